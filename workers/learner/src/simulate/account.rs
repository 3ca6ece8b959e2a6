//! One account with simulated readers, over weeks: its days are planned, its posts chosen and rewarded by the code that does so in production.

use std::collections::VecDeque;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use perch_readers::{Counts, Kind, Reactions, Readers, Recent, Shown};

use super::texts::text;
use crate::{
    learning::{
        reward::{Actions, Weights},
        thompson::ChoiceError,
        timing::{FEWEST_POSTS, Post, Slot, Timing},
    },
    planning::{mixed, times},
    policy::{Knowledge, Lesson, Offer, Policy, choose, plan_day},
    spec::ArmSpec,
};

/// The age at which a reward is frozen.
const REWARD_AGE: TimeDelta = TimeDelta::hours(24);
/// What readers remember of the posts before.
const REMEMBERED: TimeDelta = TimeDelta::hours(48);

/// An arm as readers see it.
pub(super) fn kind(arm: &ArmSpec) -> Kind {
    let topics: Vec<&str> = arm.topic.as_deref().into_iter().collect();
    Shown::of(&text(arm, 0), &topics).kind()
}

/// Who chooses the posts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Chooser {
    /// A policy.
    Policy(Policy),
    /// Somebody who knows the readers: always the arm that they like best.
    Best,
}

/// An account, and how long it is simulated.
#[derive(Debug, Clone)]
pub struct Account<'a> {
    /// Its readers.
    pub readers: &'a Readers,
    /// What it tries.
    pub arms: &'a [ArmSpec],
    /// The hours at which it may post, the posts of a day, and how many hours they are apart at least.
    pub plan: (&'a [u8], usize, u8),
    /// Its first day.
    pub start: NaiveDate,
    /// How many days.
    pub days: u32,
    /// Its followers at the start.
    pub followers: u64,
    /// The seed of everything that is drawn for it.
    pub seed: u64,
}

/// A post that was published.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// When.
    pub at: DateTime<Utc>,
    /// Its arm, as a place in those of the account.
    pub arm: usize,
    /// The probabilities of all arms.
    pub propensities: Vec<f64>,
    /// The logarithmic odds of a reaction that are true for it.
    pub expected: f64,
    /// The followers of the account then.
    pub followers: u64,
    /// Its reward at 24 hours, where there was time for it.
    pub reward: Option<f64>,
}

struct Candidate {
    arm: usize,
    parts: Vec<String>,
}

struct Chosen {
    candidate: usize,
    propensities: Vec<f64>,
}

struct Waiting {
    post: usize,
    lesson: Lesson,
    reactions: Reactions,
}

/// What happens to an account.
struct Life<'a> {
    account: &'a Account<'a>,
    chooser: Chooser,
    policy: Policy,
    topics: Vec<&'a str>,
    names: Vec<String>,
    known: Knowledge,
    lessons: Vec<Lesson>,
    history: Vec<Post>,
    expects: Timing,
    waiting: VecDeque<Waiting>,
    recent: Vec<Recent>,
    posts: Vec<Published>,
    followers: u64,
}

impl Account<'_> {
    /// What its readers think of each arm at a time.
    pub fn tastes(&self, at: DateTime<Utc>) -> Vec<f64> {
        self.arms.iter().map(|arm| self.readers.taste(&kind(arm), at)).collect()
    }

    /// Everything that it publishes.
    ///
    /// # Errors
    ///
    /// The policy cannot be used.
    pub fn live(&self, chooser: Chooser) -> Result<Vec<Published>, ChoiceError> {
        let mut life = Life {
            account: self,
            chooser,
            policy: if let Chooser::Policy(policy) = chooser { policy } else { Policy::default() },
            topics: self.arms.iter().filter_map(|arm| arm.topic.as_deref()).collect(),
            names: self.arms.iter().map(ToString::to_string).collect(),
            known: Knowledge::new(&[], Tz::UTC),
            lessons: Vec::new(),
            history: Vec::new(),
            expects: Timing::learn(&[], 0),
            waiting: VecDeque::new(),
            recent: Vec::new(),
            posts: Vec::new(),
            followers: self.followers,
        };
        for day in self.start.iter_days().take(self.days as usize) {
            life.day(day)?;
        }
        Ok(life.posts)
    }
}

impl Life<'_> {
    fn day(&mut self, day: NaiveDate) -> Result<(), ChoiceError> {
        self.reward(day.and_time(NaiveTime::MIN).and_utc());
        self.known.learn_hours(&self.policy, &self.lessons);
        self.expects = Timing::learn(&self.history, self.history.len() as u64);
        let weekday = u8::try_from(day.weekday().num_days_from_monday()).unwrap_or(0);
        let seed = mixed(self.account.seed, u64::from(day.num_days_from_ce().unsigned_abs()));
        let plan = plan_day(&self.policy, &self.known, weekday, self.account.plan, seed);
        for (at, _) in times(&plan, day, Tz::UTC) {
            self.reward(at);
            self.publish(at)?;
        }
        Ok(())
    }

    /// Freezes the rewards of all posts that are old enough. The others wait, which says nothing of them.
    fn reward(&mut self, now: DateTime<Utc>) {
        while self.waiting.front().is_some_and(|waiting| waiting.lesson.at + REWARD_AGE <= now) {
            let Some(Waiting { post, mut lesson, reactions }) = self.waiting.pop_front() else { return };
            let counts = reactions.at_age(REWARD_AGE);
            self.followers += counts.follows;
            // A post that nobody saw ends without a reward.
            let Ok(odds) = Weights::default().reward(&actions(&counts), float(counts.impressions), 0.0) else {
                continue;
            };
            // Until the hours are looked at, the expectation is the mean, which each post changes.
            if self.history.len() < FEWEST_POSTS {
                self.expects = Timing::learn(&self.history, 0);
            }
            let expected = if self.history.is_empty() { odds } else { self.expects.expected(Slot::of(lesson.at)) };
            self.history.push(Post::new(lesson.at, odds));
            lesson.reward = odds - expected;
            lesson.follows = Some(counts.follows);
            self.posts[post].reward = Some(lesson.reward);
            self.known.add(&self.policy, &lesson);
            self.lessons.push(lesson);
        }
    }

    fn publish(&mut self, at: DateTime<Utc>) -> Result<(), ChoiceError> {
        self.recent.retain(|post| at - post.at < REMEMBERED);
        let nth = self.posts.len() as u64;
        let seed = mixed(self.account.seed, nth);
        let candidates = self.candidates(seed);
        let chosen = match self.chooser {
            Chooser::Policy(_) => self.choose(&candidates, at, seed)?,
            Chooser::Best => self.best(&candidates, at),
        };
        let Candidate { arm, parts } = &candidates[chosen.candidate];
        let shown = Shown::of(parts, &self.topics);
        let readers = self.account.readers;
        self.posts.push(Published {
            at,
            arm: *arm,
            propensities: chosen.propensities,
            expected: readers.expected_log_odds(&shown, at, &self.recent),
            followers: self.followers,
            reward: None,
        });
        let reactions = readers.reactions(&shown, at, self.followers, &self.recent, seed);
        let lesson = Lesson { arm: self.names[*arm].clone(), text: parts[0].clone(), at, reward: 0.0, follows: None };
        self.waiting.push_back(Waiting { post: self.posts.len() - 1, lesson, reactions });
        self.recent.push(Recent { at, kind: shown.kind() });
        Ok(())
    }

    /// One text or two of each arm.
    fn candidates(&self, seed: u64) -> Vec<Candidate> {
        let of_arm = |(arm, spec): (usize, &ArmSpec)| {
            let seed = mixed(seed, arm as u64);
            (0..=seed % 2).map(|nth| Candidate { arm, parts: text(spec, mixed(seed, nth)) }).collect::<Vec<_>>()
        };
        self.account.arms.iter().enumerate().flat_map(of_arm).collect()
    }

    fn choose(&self, candidates: &[Candidate], at: DateTime<Utc>, seed: u64) -> Result<Chosen, ChoiceError> {
        let offer = |(id, candidate): (i64, &Candidate)| Offer {
            id,
            arm: self.names[candidate.arm].clone(),
            text: candidate.parts[0].clone(),
            removed: None,
        };
        let offers: Vec<Offer> = (0..).zip(candidates).map(offer).collect();
        let decision = choose(&self.policy, &self.known, &offers, at, seed)?;
        let propensity = |name: &String| {
            decision.arms.iter().find(|weight| weight.arm == *name).map_or(0.0, |weight| weight.propensity)
        };
        Ok(Chosen {
            candidate: usize::try_from(decision.chosen).unwrap_or(0),
            propensities: self.names.iter().map(propensity).collect(),
        })
    }

    /// A text of the arm that the readers like best at a time.
    fn best(&self, candidates: &[Candidate], at: DateTime<Utc>) -> Chosen {
        let tastes = self.account.tastes(at);
        let best = (0..tastes.len()).max_by(|a, b| tastes[*a].total_cmp(&tastes[*b])).unwrap_or(0);
        let candidate = candidates.iter().position(|candidate| candidate.arm == best).unwrap_or(0);
        Chosen { candidate, propensities: (0..tastes.len()).map(|arm| f64::from(u8::from(arm == best))).collect() }
    }
}

fn actions(counts: &Counts) -> Actions {
    Actions {
        reply: float(counts.replies),
        quote: float(counts.quotes),
        follow: float(counts.follows),
        repost: float(counts.reposts),
        like: float(counts.likes),
        link_open: float(counts.url_clicks),
        post_click: float(counts.detail_expands),
        ..Actions::default()
    }
}

fn float(count: u64) -> f64 {
    count as f64
}
