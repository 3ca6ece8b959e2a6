use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use perch_readers::{Options as ReaderOptions, Readers};

use super::{
    Options,
    account::{Account, Chooser, Published, kind},
};
use crate::{
    learning::thompson::ChoiceError,
    planning::mixed,
    spec::{ArmSpec, Form, Hook, Length},
};

/// The followers of an account at its start. With them a post has about the median number of impressions of a real one.
const FOLLOWERS: u64 = 6_500;
/// The hours at which a simulated account may post: all, so that time is as much of an experiment as it can be.
const HOURS: [u8; 24] = {
    let mut hours = [0; 24];
    let mut hour = 0;
    while hour < 24 {
        hours[hour as usize] = hour;
        hour += 1;
    }
    hours
};

/// Readers, and an account that tries six kinds of posts on them.
#[derive(Debug, Clone)]
pub struct World {
    seed: u64,
    readers: Readers,
    arms: Vec<ArmSpec>,
    days: u32,
    posts_per_day: usize,
    changes_at: Option<DateTime<Utc>>,
}

/// The kinds of posts of a simulated account: as many as an account may have, with every form and hook.
pub fn usual_arms() -> Vec<ArmSpec> {
    let arm = |topic: &str, form, hook| ArmSpec { topic: Some(topic.to_owned()), form, hook, length: Length::Any };
    vec![
        arm("rye", Form::Single, Hook::Question),
        arm("rye", Form::List, Hook::Number),
        arm("salt", Form::Single, Hook::Claim),
        arm("salt", Form::Thread, Hook::Story),
        arm("ovens", Form::Single, Hook::Number),
        arm("ovens", Form::List, Hook::Question),
    ]
}

/// The first day, a Monday.
fn start() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 5).unwrap_or_default()
}

/// The start of a day, counted from the first one.
fn start_of(day: u32) -> DateTime<Utc> {
    (start() + Days::new(day.into())).and_time(NaiveTime::MIN).and_utc()
}

/// When a week ends, counted from 1.
pub(super) fn end_of(week: u32) -> DateTime<Utc> {
    start_of(week * 7)
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, options: &Options) -> Self {
        let (arms, days) = (usual_arms(), options.weeks * 7);
        let changes_at = options.drift.then(|| start_of(days / 2));
        let kinds = arms.iter().map(kind).collect();
        let readers =
            Readers::new(seed, ReaderOptions { kinds, change_of_mind: changes_at, ..ReaderOptions::default() });
        Self { seed, readers, arms, days, posts_per_day: options.posts_per_day.into(), changes_at }
    }

    /// Its seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// When the readers change their minds, if they do.
    pub fn changes_at(&self) -> Option<DateTime<Utc>> {
        self.changes_at
    }

    /// What an account publishes. `copy` tells apart accounts with the same readers and the same policy whose chances differ.
    ///
    /// # Errors
    ///
    /// The policy cannot be used.
    pub fn live(&self, chooser: Chooser, copy: u64) -> Result<Vec<Published>, ChoiceError> {
        let account = Account {
            readers: &self.readers,
            arms: &self.arms,
            plan: (&HOURS, self.posts_per_day, 1),
            start: start(),
            days: self.days,
            followers: FOLLOWERS,
            seed: mixed(self.seed, copy),
        };
        account.live(chooser)
    }

    /// What the readers think of each arm at a time.
    pub fn tastes(&self, at: DateTime<Utc>) -> Vec<f64> {
        self.arms.iter().map(|arm| self.readers.taste(&kind(arm), at)).collect()
    }

    /// The names of the arms.
    pub fn arms(&self) -> Vec<String> {
        self.arms.iter().map(ToString::to_string).collect()
    }

    /// The share of the possible gain that the choices among these posts have: 0 is what the uniform policy earns, 1 the arm that readers
    /// like best. Each post counts with what its policy chooses on average, that is, with the true taste of every arm times its probability.
    pub fn gain(&self, posts: &[Published]) -> f64 {
        let of = |post: &Published| {
            let tastes = self.tastes(post.at);
            let uniform = tastes.iter().sum::<f64>() / tastes.len() as f64;
            let best = tastes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let chosen: f64 = tastes.iter().zip(&post.propensities).map(|(taste, share)| taste * share).sum();
            (chosen - uniform, best - uniform)
        };
        let (gained, possible) = posts.iter().map(of).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        if possible > 0.0 { gained / possible } else { 0.0 }
    }
}
