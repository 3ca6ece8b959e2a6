//! What a learning poster is: a persona, and how it tries things out.

mod arm;
mod check;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use arm::{ArmSpec, Form, Hook, Length};
pub use check::problems;

/// How a persona learns. Its voice, account, topics, time zone, review policy and budget are those of the persona.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnerSpec {
    /// The kinds of posts that it tries, at most six. Without any they follow from the topics of the persona.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<ArmSpec>,
    /// Posts of a day.
    #[serde(default = "posts_per_day")]
    pub posts_per_day: u8,
    /// The hours of the day at which it may post, in the time zone of the persona.
    #[serde(default = "hours")]
    pub hours: Vec<u8>,
    /// The least time between two posts, in minutes.
    #[serde(default = "min_gap_minutes")]
    pub min_gap_minutes: u16,
    /// Candidates that are written for each post.
    #[serde(default = "candidates")]
    pub candidates: u8,
    /// What it may publish as a thread.
    #[serde(default)]
    pub threads: ThreadPolicy,
    /// The parts of a thread.
    #[serde(default = "parts")]
    pub parts: u8,
    /// What becomes of a thread of which only a part is out.
    #[serde(default)]
    pub half_thread: HalfThread,
    /// Whether its posts carry X's mark for posts made with AI.
    #[serde(default = "yes")]
    pub made_with_ai: bool,
    /// What stops it by itself.
    #[serde(default)]
    pub brakes: BrakeSpec,
}

impl Default for LearnerSpec {
    fn default() -> Self {
        Self {
            arms: Vec::new(),
            posts_per_day: posts_per_day(),
            hours: hours(),
            min_gap_minutes: min_gap_minutes(),
            candidates: candidates(),
            threads: ThreadPolicy::default(),
            parts: parts(),
            half_thread: HalfThread::default(),
            made_with_ai: true,
            brakes: BrakeSpec::default(),
        }
    }
}

fn posts_per_day() -> u8 {
    4
}

fn hours() -> Vec<u8> {
    (8..=21).collect()
}

fn min_gap_minutes() -> u16 {
    90
}

fn candidates() -> u8 {
    4
}

fn parts() -> u8 {
    4
}

fn yes() -> bool {
    true
}

/// Whether threads are published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ThreadPolicy {
    /// As a chain of replies to oneself.
    #[default]
    Chain,
    /// Not at all: arms with threads are left out.
    Off,
}

/// What becomes of a thread whose next part X refuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum HalfThread {
    /// The parts that are out stay.
    #[default]
    Keep,
    /// They are deleted.
    Delete,
}

/// What stops a bot by itself, until a person lets it go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BrakeSpec {
    /// Posts in a row that X refused for good; 0 never stops it.
    pub refusals: u32,
    /// The share of candidates that the guard refused among those of the last day, 0 to 1, from 20 candidates on; 1 never stops it.
    pub guard_share: f64,
    /// The share of replies among what readers did with the posts of the last day that the guard would not let pass, 0 to 1; 1 never
    /// stops it.
    pub negative_share: f64,
    /// USD for each engagement over the last seven days; none never stops it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_engagement: Option<f64>,
}

impl Default for BrakeSpec {
    fn default() -> Self {
        Self { refusals: 3, guard_share: 0.8, negative_share: 1.0, usd_per_engagement: None }
    }
}
