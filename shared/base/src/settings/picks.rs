//! The picks bot.

use std::time::Duration;

use perch_job::AccountId;
use serde::{Deserialize, Serialize};

use super::{ResultsSettings, SummarySettings, TrackingSettings};

/// The picks bot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PicksSettings {
    /// The account that comments.
    pub account: AccountId,
    /// Handles of the watched accounts.
    pub watch: Vec<String>,
    /// Posts read from an account in one poll, 5 to 100 (the range of X's `max_results`).
    pub posts_per_poll: u8,
    /// Most pages of so many posts read from an account in one poll.
    #[serde(default = "one_page")]
    pub pages: u8,
    /// Older posts are left out.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// How long a post is remembered as processed.
    #[serde(with = "humantime_serde")]
    pub processed_ttl: Duration,
    /// The comment. `{pick}` and `{author}` are filled in.
    pub comment: String,
    /// What stands in where a post names no odds or no stake.
    #[serde(default)]
    pub tracking: TrackingSettings,
    /// Where results of games are fetched from.
    #[serde(default)]
    pub results: ResultsSettings,
    /// The summary of a day.
    #[serde(default)]
    pub summary: SummarySettings,
    /// The post of its own that takes the place of a comment where X allows none. The same is filled in.
    pub own_post: String,
    /// Whether the post of a new pick is retweeted.
    pub retweet: bool,
    /// Whether picks that only the rules have read are published without a word of a person or a model.
    #[serde(default)]
    pub rules_publish: bool,
    /// Whether rules decide which posts are worth a call of a model.
    pub prefilter: bool,
    /// Share of the posts that are not worth one of which a model is asked all the same, to measure the rules.
    pub prefilter_sample: f64,
    /// The pictures of posts.
    pub pictures: PictureSettings,
}

const fn one_page() -> u8 {
    1
}

/// The pictures of posts, as models get them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureSettings {
    /// Hosts that pictures are read from, over https.
    pub hosts: Vec<String>,
    /// Largest picture in bytes.
    pub max_bytes: usize,
    /// Most pictures of one post.
    pub most: usize,
}
