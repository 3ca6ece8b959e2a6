//! How the metrics of a post grow with its age.

use chrono::TimeDelta;
use perch_readers::Counts;
use serde::Serialize;

use crate::draw::Draw;

/// The public metrics of a post, with both names that X has for reposts.
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

impl From<Counts> for Metrics {
    fn from(counts: Counts) -> Self {
        Self {
            retweet_count: counts.reposts,
            repost_count: counts.reposts,
            reply_count: counts.replies,
            like_count: counts.likes,
            quote_count: counts.quotes,
            bookmark_count: counts.bookmarks,
            impression_count: counts.impressions,
        }
    }
}

/// Half of a post's reach comes within this time, and the rest ever more slowly.
const HALF_LIFE_SECONDS: u64 = 2 * 60 * 60;

/// What is done with a post that has no readers of its own, such as those of watched accounts: the same for the same id and age, never
/// falling as it ages.
pub(crate) fn usual(post_id: u64, age: TimeDelta) -> Counts {
    let mut draw = Draw::new(post_id);
    let reach = 400 + draw.below(12_000);
    let liked_per_mille = 8 + draw.below(30);
    let age = u64::try_from(age.num_seconds().max(0)).unwrap_or(0);
    // With the square root, the first minute shows something and a day nearly everything.
    let share = (age * 1_000_000 / (age + HALF_LIFE_SECONDS)).isqrt();
    let impressions = reach * share / 1_000;
    let likes = impressions * liked_per_mille / 1_000;
    Counts {
        impressions,
        likes,
        replies: likes / 9,
        reposts: likes / 6,
        quotes: likes / 25,
        bookmarks: likes / 12,
        profile_clicks: likes / 3,
        url_clicks: likes / 8,
        detail_expands: likes,
        follows: likes / 40,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_grow_with_age_and_never_fall() {
        let at = |seconds| usual(42, TimeDelta::seconds(seconds));
        assert_eq!(at(0).impressions, 0);
        for pair in [0, 1, 10, 60, 600, 3_600, 86_400, 864_000].windows(2) {
            let (young, old) = (at(pair[0]), at(pair[1]));
            assert!(young.impressions < old.impressions && young.likes <= old.likes);
        }
        assert_eq!(at(60), at(60));
    }
}
