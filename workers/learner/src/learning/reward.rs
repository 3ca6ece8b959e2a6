//! One reward a post: what readers did with it, by configured weights, against what the account expects at that hour.
//!
//! Impressions are no trials: on real posts the variance per impression is 28 times binomial. So a post gives one number, however many
//! saw it.

use serde::{Deserialize, Serialize};

/// What readers did with a post, or how much each of that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Actions {
    /// Replies.
    pub reply: f64,
    /// Quotes.
    pub quote: f64,
    /// Follows of the author from the post.
    pub follow: f64,
    /// Reposts.
    pub repost: f64,
    /// Likes.
    pub like: f64,
    /// Links opened.
    pub link_open: f64,
    /// The post opened.
    pub post_click: f64,
    /// "Not interested in this post".
    pub not_interested: f64,
    /// The author muted.
    pub mute: f64,
    /// The post reported.
    pub report: f64,
}

impl Actions {
    fn values(&self) -> [f64; 10] {
        let Self { reply, quote, follow, repost, like, link_open, post_click, not_interested, mute, report } = *self;
        [reply, quote, follow, repost, like, link_open, post_click, not_interested, mute, report]
    }
}

/// What each action counts. A reward is comparable only with rewards of the same version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// The name of this set of weights, logged with each reward.
    pub version: String,
    /// What one of each action counts.
    pub of: Actions,
}

impl Default for Weights {
    /// The ranking weights that X published in August 2026 (repository xai-org/x-algorithm).
    fn default() -> Self {
        let of = Actions {
            reply: 5.0,
            quote: 5.0,
            follow: 4.0,
            repost: 1.0,
            like: 0.5,
            link_open: 0.2,
            post_click: 0.4,
            not_interested: -43.0,
            mute: -59.0,
            report: -234.0,
        };
        Self { version: "x-2026-08".into(), of }
    }
}

/// Why a post has no reward.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RewardError {
    /// Nobody saw the post, which says nothing of it.
    #[error("the post has no impressions yet; measure it again, or leave it out")]
    NoImpressions,
    /// A count below 0, or one that is no number.
    #[error("a count of the post is {value}; counts are numbers from 0 up")]
    BadCount {
        /// What it was.
        value: f64,
    },
}

impl Weights {
    /// The engagement of a post as one count: each action times its weight, at least 0 and at most the impressions, between which its
    /// logarithmic odds exist.
    pub fn engagement(&self, actions: &Actions, impressions: f64) -> f64 {
        let sum: f64 = actions.values().iter().zip(self.of.values()).map(|(count, weight)| count * weight).sum();
        sum.clamp(0.0, impressions.max(0.0))
    }

    /// The reward of a post: the logarithmic odds of its engagement minus `expected`, what the account expects at that hour on the same
    /// scale. 0 is a post like others; 0.7 has twice their odds.
    pub fn reward(&self, actions: &Actions, impressions: f64, expected: f64) -> Result<f64, RewardError> {
        let counts = actions.values().into_iter().chain([impressions]);
        if let Some(value) = counts.into_iter().find(|count| !count.is_finite() || *count < 0.0) {
            return Err(RewardError::BadCount { value });
        }
        if impressions == 0.0 {
            return Err(RewardError::NoImpressions);
        }
        Ok(log_odds(self.engagement(actions, impressions), impressions) - expected)
    }
}

/// The empirical logit `ln((k + 1/2) / (n - k + 1/2))` (Haldane 1956; Anscombe 1956), finite for 0 and for all.
pub fn log_odds(k: f64, n: f64) -> f64 {
    ((k + 0.5) / (n - k + 0.5)).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn likes(like: f64) -> Actions {
        Actions { like, ..Actions::default() }
    }

    #[test]
    fn a_post_as_good_as_expected_has_the_reward_zero() {
        let expected = log_odds(10.0, 1_000.0);
        assert!(Weights::default().reward(&likes(20.0), 1_000.0, expected).expect("a reward").abs() < 1e-12);
    }

    #[test]
    fn a_post_nobody_saw_has_no_reward() {
        assert_eq!(Weights::default().reward(&likes(0.0), 0.0, -4.0), Err(RewardError::NoImpressions));
    }

    #[test]
    fn one_report_outweighs_four_hundred_likes() {
        let reported = Actions { report: 1.0, ..likes(400.0) };
        assert!(Weights::default().engagement(&reported, 10_000.0) < 1e-12);
    }

    #[test]
    fn a_negative_count_is_refused() {
        let result = Weights::default().reward(&likes(-1.0), 10.0, 0.0);
        assert_eq!(result, Err(RewardError::BadCount { value: -1.0 }));
    }

    proptest! {
        #[test]
        fn a_reward_is_finite_and_more_likes_never_lower_it(likes_ in 0_u32..10_000, seen in 1_u32..1_000_000) {
            let reward = |likes_: u32| {
                Weights::default().reward(&likes(f64::from(likes_)), f64::from(seen), -4.0).expect("a reward")
            };
            prop_assert!(reward(likes_).is_finite());
            prop_assert!(reward(likes_ + 1) >= reward(likes_));
        }
    }
}
