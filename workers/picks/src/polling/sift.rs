//! Decides which posts of a poll go to extraction. Decisions only; no I/O.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use perch_clients::x::{Page, XPost};
use perch_jobs::{Post, PostId};

/// A post that a poll read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub post: Post,
    /// Its earlier versions, oldest first.
    pub earlier: Vec<PostId>,
    pub is_reply: bool,
    pub is_repost: bool,
}

/// Why a post is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SkipReason {
    Reply,
    Repost,
    TooOld,
    Processed,
    /// It lacks its author or its time.
    Unreadable,
}

impl SkipReason {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Repost => "repost",
            Self::TooOld => "too_old",
            Self::Processed => "processed",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Whether a post goes to extraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SiftDecision {
    Take,
    Skip(SkipReason),
}

/// The time from which posts are read. It covers the posts that were not too old when the poll was due, and everything after the last
/// poll, however late this poll is.
pub(super) fn read_from(due: DateTime<Utc>, max_age: Duration, read_to: Option<DateTime<Utc>>) -> DateTime<Utc> {
    let fresh = TimeDelta::from_std(max_age).ok().and_then(|age| due.checked_sub_signed(age));
    let fresh = fresh.unwrap_or(DateTime::<Utc>::MIN_UTC);
    read_to.map_or(fresh, |read_to| read_to.min(fresh))
}

/// The posts of a page, oldest first, each once. A post without its author or time is left out.
pub(super) fn candidates(page: &Page<XPost>) -> Vec<Candidate> {
    let candidate = |post: &XPost| {
        let (is_reply, is_repost) = (post.is_reply(), post.is_repost());
        match post.to_post(&page.includes) {
            Ok(read) => Some(Candidate { post: read, earlier: post.earlier(), is_reply, is_repost }),
            Err(error) => {
                tracing::warn!(%error, "a post cannot be read and is left out");
                None
            }
        }
    };
    let mut posts: Vec<Candidate> = page.data.iter().filter_map(candidate).collect();
    posts.sort_by(|a, b| a.post.id.by_age(&b.post.id));
    posts.dedup_by(|a, b| a.post.id == b.post.id);
    posts
}

/// Decides for each post whether it is taken, in the order of the posts. Without `from`, no post is too old.
pub(super) fn sift(
    posts: &[Candidate],
    from: Option<DateTime<Utc>>,
    processed: &BTreeSet<PostId>,
) -> Vec<SiftDecision> {
    let decide = |candidate: &Candidate| {
        if candidate.is_repost {
            SiftDecision::Skip(SkipReason::Repost)
        } else if candidate.is_reply {
            SiftDecision::Skip(SkipReason::Reply)
        } else if from.is_some_and(|from| candidate.post.created_at < from) {
            SiftDecision::Skip(SkipReason::TooOld)
        } else if processed.contains(&candidate.post.id) {
            SiftDecision::Skip(SkipReason::Processed)
        } else {
            SiftDecision::Take
        }
    };
    posts.iter().map(decide).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn id(n: u64) -> PostId {
        n.to_string().parse().expect("digits")
    }

    fn candidate(n: u64, now: DateTime<Utc>, age: TimeDelta) -> Candidate {
        let post = Post {
            id: id(n),
            author_id: "12".into(),
            author: "sharp_sally".into(),
            text: "Lakers -3.5".into(),
            created_at: now - age,
            media: Vec::new(),
        };
        Candidate { post, earlier: Vec::new(), is_reply: false, is_repost: false }
    }

    #[test]
    fn each_reason_to_leave_a_post_out_is_told_apart() {
        let now = Utc::now();
        let fresh = |n| candidate(n, now, TimeDelta::minutes(5));
        let posts = [
            fresh(1),
            Candidate { is_reply: true, ..fresh(2) },
            Candidate { is_repost: true, ..fresh(3) },
            candidate(4, now, TimeDelta::hours(30)),
            fresh(5),
        ];
        let sifted = sift(&posts, Some(read_from(now, DAY, None)), &BTreeSet::from([id(5)]));
        assert_eq!(
            sifted,
            [
                SiftDecision::Take,
                SiftDecision::Skip(SkipReason::Reply),
                SiftDecision::Skip(SkipReason::Repost),
                SiftDecision::Skip(SkipReason::TooOld),
                SiftDecision::Skip(SkipReason::Processed),
            ]
        );
    }

    #[test]
    fn a_post_exactly_at_the_limit_and_one_from_a_clock_ahead_are_taken() {
        let now = Utc::now();
        let posts = [candidate(1, now, TimeDelta::hours(24)), candidate(2, now, TimeDelta::seconds(-30))];
        let sifted = sift(&posts, Some(read_from(now, DAY, None)), &BTreeSet::new());
        assert_eq!(sifted, [SiftDecision::Take, SiftDecision::Take]);
    }

    #[test]
    fn a_poll_reads_what_was_fresh_when_it_was_due_and_all_since_the_one_before() {
        let due = Utc::now();
        assert_eq!(read_from(due, DAY, None), due - TimeDelta::days(1));
        let before = due - TimeDelta::days(3);
        assert_eq!(read_from(due, DAY, Some(before)), before);
        assert_eq!(read_from(due, DAY, Some(due - TimeDelta::hours(1))), due - TimeDelta::days(1));
        assert!(read_from(due, Duration::MAX, None) < before);
    }

    #[test]
    fn one_odd_post_does_not_keep_the_others_of_its_page_from_being_read() {
        let post = |id: &str, author: &str| {
            let given = serde_json::json!({ "id": id, "text": "Suns ML", "author_id": author,
                "created_at": "2026-11-21T09:30:00Z", "public_metrics": { "like_count": 3 } });
            serde_json::from_value::<XPost>(given).expect("a post")
        };
        let mut timeless = post("8", "12");
        timeless.created_at = None;
        let known = serde_json::json!({ "users": [{ "id": "12", "name": "Sally", "username": "sharp_sally" }] });
        let page = Page {
            data: vec![post("9", "12"), timeless, post("7", "13"), post("6", "12")],
            includes: serde_json::from_value(known).expect("a user"),
            errors: Vec::new(),
            odd: Vec::new(),
            newest_id: None,
            next_token: None,
        };
        let ids: Vec<PostId> = candidates(&page).into_iter().map(|candidate| candidate.post.id).collect();
        assert_eq!(ids, [id(6), id(9)]);
    }
}
