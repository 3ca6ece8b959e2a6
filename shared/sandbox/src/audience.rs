//! The readers of the posts that bots make: what they see, like and pass on, and whom they follow. Their tastes are hidden, seeded, and differ
//! from account to account.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use perch_readers::{Counts, Kind, Options, Reactions, Readers, Recent, Shown};

/// Posts that are older tire no reader.
const REMEMBERED: TimeDelta = TimeDelta::hours(48);
/// Of the readers of a thread so many, one in three, open the parts after the first.
const OPENED: u64 = 3;

/// The readers of all accounts that posts are made as.
#[derive(Debug)]
pub(crate) struct Audience {
    seed: u64,
    topics: Vec<String>,
    /// How many times faster than real ones they react.
    pace: f64,
    accounts: HashMap<u64, Readership>,
}

/// The readers of one account, and what they have seen lately.
#[derive(Debug)]
struct Readership {
    readers: Readers,
    seen: HashMap<u64, Recent>,
}

/// A post for its readers.
#[derive(Debug)]
pub(crate) struct Presented<'a> {
    pub id: u64,
    pub author: u64,
    /// Its texts: several for a thread.
    pub parts: &'a [String],
    /// Whether it is a part of a thread after the first.
    pub continues: bool,
    pub at: DateTime<Utc>,
    pub followers: u64,
}

impl Audience {
    /// Readers who react `pace` times faster than real ones and tell posts about these topics apart.
    pub fn new(seed: u64, topics: Vec<String>, pace: f64) -> Self {
        Self { seed, topics, pace, accounts: HashMap::new() }
    }

    /// What they will do with a post.
    pub fn react(&mut self, post: &Presented<'_>) -> Reactions {
        let shown = Shown::of(post.parts, &self.topics);
        let readership = self.accounts.entry(post.author).or_insert_with(|| {
            let options = Options { kinds: Kind::all(&self.topics), ..Options::default() };
            Readership { readers: Readers::new(self.seed ^ post.author, options), seen: HashMap::new() }
        });
        if post.continues {
            return readership.readers.reactions(&shown, post.at, post.followers / OPENED, &[], post.id);
        }
        // How long ago a post was is told in the time of the readers, as its age is.
        let since = |recent: &Recent| aged(post.at - recent.at, self.pace);
        readership.seen.retain(|_, recent| since(recent) < REMEMBERED);
        let others = readership.seen.iter().filter(|(id, _)| **id != post.id);
        let before: Vec<Recent> =
            others.map(|(_, recent)| Recent { at: post.at - since(recent), kind: recent.kind.clone() }).collect();
        readership.seen.insert(post.id, Recent { at: post.at, kind: shown.kind() });
        readership.readers.reactions(&shown, post.at, post.followers, &before, post.id)
    }

    /// What they have done when a post is so old.
    pub fn counts(&self, reactions: &Reactions, age: TimeDelta) -> Counts {
        reactions.at_age(aged(age, self.pace))
    }
}

/// How long a time is to readers of that pace.
fn aged(time: TimeDelta, pace: f64) -> TimeDelta {
    let seconds = (time.as_seconds_f64().max(0.0) * pace).min(OLD);
    TimeDelta::try_milliseconds(whole_milliseconds(seconds)).unwrap_or(TimeDelta::MAX)
}

/// A year in seconds: nothing is added to a post that is older.
const OLD: f64 = 365.0 * 24.0 * 3_600.0;

#[expect(clippy::cast_possible_truncation, reason = "at most a year, never negative")]
fn whole_milliseconds(seconds: f64) -> i64 {
    (seconds * 1_000.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp(1_780_000_000, 0).expect("a valid time")
    }

    fn shown(id: u64, author: u64, parts: &[String]) -> Presented<'_> {
        Presented { id, author, parts, continues: false, at: at(), followers: 5_000 }
    }

    #[test]
    fn readers_are_the_same_for_the_same_seed_and_others_for_another_account() {
        let react = |seed, author| {
            Audience::new(seed, Vec::new(), 1.0).react(&shown(7, author, &["Salt the dough".to_owned()]))
        };
        assert_eq!(react(1, 2), react(1, 2));
        assert_ne!(react(1, 2), react(1, 3));
        assert_ne!(react(1, 2), react(2, 2));
    }

    #[test]
    fn fast_readers_have_done_after_seconds_what_others_do_in_a_day() {
        let (mut slow, mut fast) = (Audience::new(1, Vec::new(), 1.0), Audience::new(1, Vec::new(), 2_880.0));
        let reactions = slow.react(&shown(7, 2, &["Salt the dough".to_owned()]));
        assert_eq!(reactions, fast.react(&shown(7, 2, &["Salt the dough".to_owned()])));
        let day = slow.counts(&reactions, TimeDelta::hours(24));
        assert!(day.impressions > 100, "{day:?}");
        assert_eq!(fast.counts(&reactions, TimeDelta::seconds(30)), day);
        assert_eq!(slow.counts(&reactions, -TimeDelta::hours(1)), Counts::default());
        let ages = [0, 60, 3_600, 86_400, 400_000, i64::MAX / 1_000];
        let grown: Vec<u64> =
            ages.map(|seconds| fast.counts(&reactions, TimeDelta::seconds(seconds)).impressions).into();
        assert!(grown.is_sorted(), "{grown:?}");
    }

    #[test]
    fn a_second_post_within_two_hours_reaches_half_and_a_part_of_a_thread_fewer() {
        let mut audience = Audience::new(1, Vec::new(), 1.0);
        let of = |audience: &mut Audience, post: &Presented<'_>| audience.react(post).at_age(TimeDelta::days(3));
        let alone = of(&mut Audience::new(1, Vec::new(), 1.0), &shown(8, 2, &["Two".to_owned()]));
        of(&mut audience, &shown(7, 2, &["One".to_owned()]));
        let second = of(&mut audience, &shown(8, 2, &["Two".to_owned()]));
        assert!(second.impressions * 10 < alone.impressions * 7, "{second:?} {alone:?}");
        let mut fast = Audience::new(1, Vec::new(), 2_880.0);
        of(&mut fast, &Presented { at: at() - TimeDelta::seconds(5), ..shown(7, 2, &["One".to_owned()]) });
        let hours_later = of(&mut fast, &shown(8, 2, &["Two".to_owned()]));
        assert_eq!(hours_later.impressions, alone.impressions, "five seconds are four hours to fast readers");
        let part = of(&mut audience, &Presented { continues: true, ..shown(8, 2, &["Two".to_owned()]) });
        assert!(part.impressions * 2 < alone.impressions, "{part:?} {alone:?}");
    }
}
