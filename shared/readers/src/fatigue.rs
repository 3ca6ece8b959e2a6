//! What the posts before a post take from it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::shown::Kind;

/// A post that readers have seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// When it was published.
    pub at: DateTime<Utc>,
    /// Its kind.
    pub kind: Kind,
}

/// A second post of an author within this time is shown to half as many.
const CLOSE: TimeDelta = TimeDelta::hours(2);
/// Posts that are older tire nobody.
const REMEMBERED: TimeDelta = TimeDelta::hours(48);
/// So many posts of one kind in a row tire nobody.
const WELCOME: usize = 2;
/// From so many posts on beyond these, readers are no more tired.
const MOST: usize = 4;

/// The factor of how many see a post for the posts just before it.
pub(crate) fn reach(at: DateTime<Utc>, recent: &[Recent]) -> f64 {
    let is_close = |post: &Recent| post.at <= at && at - post.at < CLOSE;
    if recent.iter().any(is_close) { 0.5 } else { 1.0 }
}

/// For how many posts of the same kind in a row readers are tired of it.
pub(crate) fn tired(kind: &Kind, at: DateTime<Utc>, recent: &[Recent]) -> f64 {
    let mut before: Vec<&Recent> = recent.iter().filter(|post| post.at <= at && at - post.at < REMEMBERED).collect();
    before.sort_by_key(|post| std::cmp::Reverse(post.at));
    let in_a_row = 1 + before.iter().take_while(|post| post.kind == *kind).count();
    u32::try_from(in_a_row.saturating_sub(WELCOME).min(MOST)).map_or(0.0, f64::from)
}
