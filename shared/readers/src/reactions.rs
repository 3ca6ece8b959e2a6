use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// What readers have done with a post.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How often it was seen.
    pub impressions: u64,
    /// Likes.
    pub likes: u64,
    /// Replies.
    pub replies: u64,
    /// Reposts.
    pub reposts: u64,
    /// Quotes.
    pub quotes: u64,
    /// Bookmarks.
    pub bookmarks: u64,
    /// Visits of the profile from the post.
    pub profile_clicks: u64,
    /// Links opened.
    pub url_clicks: u64,
    /// The post opened.
    pub detail_expands: u64,
    /// Follows of the author from the post.
    pub follows: u64,
}

impl Counts {
    /// Likes, replies, reposts and quotes: what everybody can see.
    pub const fn public(&self) -> u64 {
        self.likes + self.replies + self.reposts + self.quotes
    }

    fn each(&self, of: impl Fn(u64) -> u64) -> Self {
        Self {
            impressions: of(self.impressions),
            likes: of(self.likes),
            replies: of(self.replies),
            reposts: of(self.reposts),
            quotes: of(self.quotes),
            bookmarks: of(self.bookmarks),
            profile_clicks: of(self.profile_clicks),
            url_clicks: of(self.url_clicks),
            detail_expands: of(self.detail_expands),
            follows: of(self.follows),
        }
    }
}

/// At this age X no longer shows a post.
const SHOWN_FOR: TimeDelta = TimeDelta::hours(48);
/// How fast reactions fade: half of them come within three and a half hours.
const FADES_IN: TimeDelta = TimeDelta::hours(5);

/// All reactions to a post, over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reactions {
    all: Counts,
}

impl Reactions {
    pub(crate) fn new(all: Counts) -> Self {
        Self { all }
    }

    /// What there is when a post is so old. Nothing ever falls, and nothing is added after 48 hours.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count that is far below 2^52 is a count"
    )]
    pub fn at_age(&self, age: TimeDelta) -> Counts {
        let share = arrived(age);
        self.all.each(|count| (count as f64 * share).round() as u64)
    }
}

/// The share of all reactions that have come at an age.
fn arrived(age: TimeDelta) -> f64 {
    let fading = |age: TimeDelta| 1.0 - (-age.as_seconds_f64() / FADES_IN.as_seconds_f64()).exp();
    fading(age.clamp(TimeDelta::zero(), SHOWN_FOR)) / fading(SHOWN_FOR)
}
