//! The mathematics of learning from one's own posts. Every function is pure: values and a seed in, values out.
//!
//! - [`reward`]: one number a post, 24 hours after it went out.
//! - [`thompson`]: which arm is next, with the probability that it had.
//! - [`prior`]: what the other bots know about an arm before this bot has tried it.
//! - [`features`] and [`ftrl`]: a text as numbers, and a model that learns from one post at a time.
//! - [`calibration`]: whether a predicted probability is one.
//! - [`timing`]: hours and weekdays, as far as there is evidence.
//! - [`off_policy`]: what another policy would have earned, and whether it may take over.
//! - [`pairs`]: training and judging on randomised tests of two texts.
//! - [`bootstrap`]: the intervals of all the above.

#![expect(clippy::cast_precision_loss, reason = "counts of posts and impressions stay far below 2^52")]

pub mod bootstrap;
pub mod calibration;
pub mod features;
pub mod ftrl;
pub mod off_policy;
pub mod pairs;
pub mod prior;
pub mod reward;
pub mod thompson;
pub mod timing;

use rand::{SeedableRng as _, rngs::Xoshiro256PlusPlus};

/// The generator behind every logged seed. It is named rather than "the standard one", which may change with a release of `rand`, so
/// that a decision can be replayed years later.
pub(crate) fn generator(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// The logistic function.
pub(crate) fn sigmoid(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
}
