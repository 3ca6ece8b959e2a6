//! How the metrics of a post grow with its age.

use chrono::TimeDelta;
use serde::Serialize;

use crate::draw::Draw;

/// The metrics of a post, with both names that X has for reposts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(clippy::struct_field_names, reason = "the names of the wire")]
pub(crate) struct Metrics {
    pub retweet_count: u64,
    pub repost_count: u64,
    pub reply_count: u64,
    pub like_count: u64,
    pub quote_count: u64,
    pub bookmark_count: u64,
    pub impression_count: u64,
}

/// Half of a post's reach comes within this time, and the rest ever more slowly.
const HALF_LIFE_SECONDS: u64 = 2 * 60 * 60;

/// The replies, reposts and quotes of a post in the sandbox itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reactions {
    pub replies: u64,
    pub reposts: u64,
    pub quotes: u64,
}

/// The metrics of a post: the same for the same id and age, never falling as it ages.
/// The replies, reposts and quotes in the sandbox are added.
pub(crate) fn metrics(post_id: u64, age: TimeDelta, here: Reactions) -> Metrics {
    let mut draw = Draw::new(post_id);
    let reach = 400 + draw.below(12_000);
    let liked_per_mille = 8 + draw.below(30);
    let age = u64::try_from(age.num_seconds().max(0)).unwrap_or(0);
    // With the square root, the first minute shows something and a day nearly everything.
    let share = (age * 1_000_000 / (age + HALF_LIFE_SECONDS)).isqrt();
    let impressions = reach * share / 1_000;
    let likes = impressions * liked_per_mille / 1_000;
    let retweets = likes / 6 + here.reposts;
    Metrics {
        retweet_count: retweets,
        repost_count: retweets,
        reply_count: likes / 9 + here.replies,
        like_count: likes,
        quote_count: likes / 25 + here.quotes,
        bookmark_count: likes / 12,
        impression_count: impressions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_grow_with_age_and_never_fall() {
        let at = |seconds| metrics(42, TimeDelta::seconds(seconds), Reactions::default());
        assert_eq!(at(0).impression_count, 0);
        for pair in [0, 1, 10, 60, 600, 3_600, 86_400, 864_000].windows(2) {
            let (young, old) = (at(pair[0]), at(pair[1]));
            assert!(young.impression_count < old.impression_count && young.like_count <= old.like_count);
        }
        assert_eq!(at(60), at(60));
    }
}
