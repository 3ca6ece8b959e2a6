use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Which posts wait for their reward, and which have it. A post that waits is neither a success nor a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// A reward is taken at this age of the post.
    freeze_at: TimeDelta,
    /// Past this age there is none.
    expires_at: TimeDelta,
    posts: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    arm: usize,
    published: DateTime<Utc>,
    joined: bool,
}

/// What becomes of a reward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// It counts for this arm.
    Counts {
        /// The arm that the post was published with.
        arm: usize,
    },
    /// The post has its reward; a second one changes nothing.
    AlreadyJoined,
    /// The post is too young; measure again at the age of freezing.
    TooEarly,
    /// The post is too old; the reward is not comparable with the others.
    TooLate,
    /// No such post waits.
    Unknown,
}

impl Default for Ledger {
    /// Frozen at 24 hours; at 48 hours X no longer shows a post in its main timeline.
    fn default() -> Self {
        Self { freeze_at: TimeDelta::hours(24), expires_at: TimeDelta::hours(48), posts: BTreeMap::new() }
    }
}

impl Ledger {
    /// A post went out with an arm. A second word about the same post changes nothing and returns false.
    pub fn published(&mut self, post: &str, arm: usize, at: DateTime<Utc>) -> bool {
        let is_new = !self.posts.contains_key(post);
        if is_new {
            self.posts.insert(post.to_owned(), Entry { arm, published: at, joined: false });
        }
        is_new
    }

    /// Whether a reward measured at this time counts. If it does, no later one will.
    pub fn join(&mut self, post: &str, measured: DateTime<Utc>) -> Join {
        let Some(entry) = self.posts.get_mut(post) else { return Join::Unknown };
        let age = measured - entry.published;
        if entry.joined {
            return Join::AlreadyJoined;
        }
        if age < self.freeze_at {
            return Join::TooEarly;
        }
        if age > self.expires_at {
            return Join::TooLate;
        }
        entry.joined = true;
        Join::Counts { arm: entry.arm }
    }

    /// How many posts still wait.
    pub fn waiting(&self) -> usize {
        self.posts.values().filter(|entry| !entry.joined).count()
    }

    /// Drops posts that no reward can reach any more, so that the ledger stays small. Returns how many were dropped without a reward.
    pub fn prune(&mut self, now: DateTime<Utc>) -> usize {
        let (before, expires_at) = (self.waiting(), self.expires_at);
        self.posts.retain(|_, entry| now - entry.published <= expires_at);
        before - self.waiting()
    }
}
