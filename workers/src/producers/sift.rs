//! Which of the posts that a poll read go on to extraction. Decisions only; no I/O.

use std::{cmp::Ordering, collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use perch_clients::{
    XError,
    x::{Page, XPost},
};
use perch_jobs::{Post, PostId};

/// A post that a poll read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub post: Post,
    pub is_reply: bool,
    pub is_repost: bool,
}

/// Why a post is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Reply,
    Repost,
    TooOld,
    Processed,
}

impl Reason {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Repost => "repost",
            Self::TooOld => "too_old",
            Self::Processed => "processed",
        }
    }
}

/// What becomes of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sifted {
    Take,
    Skip(Reason),
}

/// The posts of a page, oldest first.
pub(super) fn candidates(page: &Page<XPost>) -> Result<Vec<Candidate>, XError> {
    let candidate = |post: &XPost| {
        let (is_reply, is_repost) = (post.is_reply(), post.is_repost());
        Ok(Candidate { post: post.to_post(&page.includes)?, is_reply, is_repost })
    };
    Ok(in_order(page.data.iter().map(candidate).collect::<Result<Vec<_>, XError>>()?))
}

/// Posts of several pages, oldest first and each once, so that what was read before stays before.
pub(super) fn in_order(mut posts: Vec<Candidate>) -> Vec<Candidate> {
    posts.sort_by(|a, b| by_age(&a.post.id, &b.post.id));
    posts.dedup_by(|a, b| a.post.id == b.post.id);
    posts
}

/// Decides for each post whether it is taken, in the order of the posts.
pub(super) fn sift(
    posts: &[Candidate],
    now: DateTime<Utc>,
    max_age: Duration,
    processed: &BTreeSet<PostId>,
) -> Vec<Sifted> {
    let decide = |candidate: &Candidate| {
        let age = (now - candidate.post.created_at).to_std().unwrap_or_default();
        if candidate.is_repost {
            Sifted::Skip(Reason::Repost)
        } else if candidate.is_reply {
            Sifted::Skip(Reason::Reply)
        } else if age > max_age {
            Sifted::Skip(Reason::TooOld)
        } else if processed.contains(&candidate.post.id) {
            Sifted::Skip(Reason::Processed)
        } else {
            Sifted::Take
        }
    };
    posts.iter().map(decide).collect()
}

/// The newest post up to which nothing is left to do, given the oldest one that could not be handed on.
pub(super) fn settled_up_to<'p>(posts: &'p [Candidate], failed: Option<&PostId>) -> Option<&'p PostId> {
    posts
        .iter()
        .map(|candidate| &candidate.post.id)
        .filter(|id| failed.is_none_or(|failed| by_age(id, failed).is_lt()))
        .max_by(|a, b| by_age(a, b))
}

/// Ids of posts grow with time; as text the shorter number is the smaller one.
pub(super) fn by_age(a: &PostId, b: &PostId) -> Ordering {
    let digits = |id: &PostId| id.as_str().trim_start_matches('0').to_owned();
    let (a, b) = (digits(a), digits(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

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
        Candidate { post, is_reply: false, is_repost: false }
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
        let sifted = sift(&posts, now, DAY, &BTreeSet::from([id(5)]));
        assert_eq!(
            sifted,
            [
                Sifted::Take,
                Sifted::Skip(Reason::Reply),
                Sifted::Skip(Reason::Repost),
                Sifted::Skip(Reason::TooOld),
                Sifted::Skip(Reason::Processed),
            ]
        );
    }

    #[test]
    fn a_post_exactly_at_the_limit_and_one_from_a_clock_ahead_are_taken() {
        let now = Utc::now();
        let posts = [candidate(1, now, TimeDelta::hours(24)), candidate(2, now, TimeDelta::seconds(-30))];
        assert_eq!(sift(&posts, now, DAY, &BTreeSet::new()), [Sifted::Take, Sifted::Take]);
    }

    #[test]
    fn a_longer_id_is_newer_than_a_shorter_one() {
        assert!(by_age(&id(999), &id(1_000)).is_lt());
    }

    proptest! {
        #[test]
        fn nothing_that_was_not_handed_on_is_ever_passed(ids in prop::collection::vec(1u64..5_000, 1..20), failed in 1u64..5_000) {
            let now = Utc::now();
            let posts: Vec<Candidate> = ids.iter().map(|n| candidate(*n, now, TimeDelta::zero())).collect();
            if let Some(last) = settled_up_to(&posts, Some(&id(failed))) {
                prop_assert!(by_age(last, &id(failed)).is_lt());
            }
            let newest = ids.iter().max().map(|n| id(*n));
            prop_assert_eq!(settled_up_to(&posts, None).cloned(), newest);
        }
    }
}
