use serde::Serialize;

use super::{Options, World, account::Published};
use crate::learning::bootstrap::quantile;

/// After how many posts the gain is looked at.
pub const LOOKED_AT: [usize; 3] = [100, 300, 1_000];
/// The posts up to then whose choices are looked at.
pub const WINDOW: usize = 50;
/// After how many posts since readers changed their minds it is looked at what is chosen.
pub const AFTER_CHANGE: usize = 400;

/// One seed under every policy.
#[derive(Debug)]
pub(super) struct Runs {
    pub(super) world: World,
    pub(super) best: Vec<Published>,
    pub(super) uniform: Vec<Published>,
    pub(super) learned: Vec<Published>,
    /// Empty where growth counts nothing.
    pub(super) with_growth: Vec<Published>,
}

/// The median of the seeds, with the quartiles around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Quartiles {
    /// A quarter of the seeds is below.
    pub low: f64,
    /// Half of them are.
    pub median: f64,
    /// Three quarters are.
    pub high: f64,
}

impl Quartiles {
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |share| quantile(&values, share).unwrap_or(0.0);
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }
}

/// What was gained after so many posts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gain<T> {
    /// How many posts.
    pub posts: usize,
    /// The share of the possible gain over the uniform policy that the last 50 choices up to then have: 1 is the best arm alone.
    pub share: T,
}

/// Followers gained under each policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Followers<T> {
    /// All arms alike.
    pub uniform: T,
    /// The policy that learns from rewards.
    pub learned: T,
    /// The policy to which follows count beside the reward, where it was simulated.
    pub with_growth: Option<T>,
}

/// The probability of the arm that was the best before readers changed their minds, and of the one that is since.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Change<T> {
    /// That of the old best arm.
    pub old_best: T,
    /// That of the new one.
    pub new_best: T,
}

/// One week of all seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Week {
    /// Which, from 1.
    pub week: u32,
    /// How much more readers are expected to react to a post than under the uniform policy, as a share, under the policy that learns.
    pub learned: Quartiles,
    /// The same for somebody who knows the best arm and posts nothing else.
    pub best: Quartiles,
    /// Followers gained by the end of the week.
    pub followers: Followers<Quartiles>,
}

/// What came of one seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeedReport {
    /// The seed.
    pub seed: u64,
    /// What it gained.
    pub gains: Vec<Gain<f64>>,
    /// Its followers at the end.
    pub followers: Followers<f64>,
    /// What is chosen 400 posts after readers changed their minds, where they did.
    pub change: Option<Change<f64>>,
}

/// What learning gains.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What was simulated.
    pub options: Options,
    /// The arms of each account.
    pub arms: Vec<String>,
    /// What was gained, over all seeds.
    pub gains: Vec<Gain<Quartiles>>,
    /// Followers gained, over all seeds.
    pub followers: Followers<Quartiles>,
    /// How many followers more than the policy that learns from rewards alone the one gained to which follows count.
    pub by_growth: Option<Quartiles>,
    /// What is chosen 400 posts after readers changed their minds, where they did.
    pub change: Option<Change<Quartiles>>,
    /// The weeks, over all seeds.
    pub weeks: Vec<Week>,
    /// Every seed.
    pub seeds: Vec<SeedReport>,
}
