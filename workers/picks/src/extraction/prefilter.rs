//! Whether a post is worth a model call. Decisions only; no I/O.

use perch_jobs::{Post, PostId};
use sha2::{Digest, Sha256};

use crate::{
    PicksSettings,
    rules::{PostWorth, worth},
};

/// The decision whether a model is asked about a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PrefilterDecision {
    /// Whether the rules find the post worth a call.
    pub worth: bool,
    /// Why.
    pub reason: &'static str,
    /// Whether a model is asked although the post is not worth it, to measure what the rules miss.
    pub sampled: bool,
}

impl PrefilterDecision {
    /// Whether a model is asked.
    pub(super) fn asks(self) -> bool {
        self.worth || self.sampled
    }
}

/// Decides about a post. The decision for a post is always the same, however often its job runs.
pub(super) fn decide(settings: &PicksSettings, post: &Post) -> PrefilterDecision {
    if !settings.prefilter {
        return PrefilterDecision { worth: true, reason: "picks.prefilter is off", sampled: false };
    }
    let PostWorth { worth, reason } = worth(&post.text, !post.media.is_empty());
    PrefilterDecision { worth, reason, sampled: !worth && share_of(&post.id) < settings.prefilter_sample }
}

/// A pseudo-random number in [0, 1), fixed for each post.
fn share_of(post: &PostId) -> f64 {
    let digest = Sha256::digest(post.as_str());
    let bits = digest.iter().take(4).fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_evenly_over_posts() {
        let share = |below: f64| {
            let ids = (1..=10_000_u64).map(|n| n.to_string().parse::<PostId>().expect("digits"));
            ids.filter(|id| share_of(id) < below).count()
        };
        assert_eq!((share(0.0), share(1.0)), (0, 10_000));
        let sampled = share(0.05);
        assert!((400..600).contains(&sampled), "{sampled}");
    }
}
