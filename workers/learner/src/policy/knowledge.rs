use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::Policy;
use crate::learning::{
    features::{Candidate, Extractor, Features},
    ftrl::{Ftrl, Rates},
    prior,
    thompson::{Arm as _, Gaussian, Moments, NormalPrior},
    timing::{Post, Timing},
};

/// What one post has taught.
#[derive(Debug, Clone, PartialEq)]
pub struct Lesson {
    /// Its arm: topic, form, hook and length.
    pub arm: String,
    /// Its first part.
    pub text: String,
    /// When it was published.
    pub at: DateTime<Utc>,
    /// Its reward.
    pub reward: f64,
    /// Follows from it, where X says them.
    pub follows: Option<u64>,
}

/// What a policy knows of a bot: a function of its rewards alone, so that replaying the log gives the same.
#[derive(Debug, Clone)]
pub struct Knowledge {
    arms: BTreeMap<String, Gaussian>,
    prior: NormalPrior,
    model: Ftrl,
    extractor: Extractor,
    timing: Timing,
    timezone: Tz,
    lessons: usize,
}

impl Knowledge {
    /// Nothing yet. `others` is what each arm of the other bots of the deployment earned: the prior of an arm that this bot has hardly
    /// tried.
    pub fn new(others: &[Moments], timezone: Tz) -> Self {
        Self {
            arms: BTreeMap::new(),
            prior: prior::of_rewards(others),
            model: Ftrl::new(Rates::default()),
            extractor: Extractor::default(),
            timing: Timing::learn(&[], 0),
            timezone,
            lessons: 0,
        }
    }

    /// Learns from the posts of a bot, the oldest first, and what their hours tell.
    pub fn learn(policy: &Policy, lessons: &[Lesson], others: &[Moments], timezone: Tz) -> Self {
        let mut known = Self::new(others, timezone);
        for lesson in lessons {
            known.add(policy, lesson);
        }
        known.learn_hours(policy, lessons);
        known
    }

    /// Learns what the hours of all posts so far tell.
    pub fn learn_hours(&mut self, policy: &Policy, lessons: &[Lesson]) {
        self.timing = Timing::learn(&posts(policy, lessons, self.timezone), lessons.len() as u64);
    }

    /// Learns from one post more, but for its hour.
    pub fn add(&mut self, policy: &Policy, lesson: &Lesson) {
        let value = value(policy, lesson);
        if !value.is_finite() {
            return;
        }
        for arm in self.arms.values_mut() {
            arm.discount(policy.discount);
        }
        let prior = self.prior;
        self.arms.entry(lesson.arm.clone()).or_insert_with(|| Gaussian::new(prior)).observe(value);
        // Whether the post did better than the account expects: one reward a post, however many have seen it.
        let features = self.features(&lesson.arm, &lesson.text, lesson.at);
        self.model.learn(&features, f64::from(u8::from(value > 0.0)), 1.0);
        self.lessons += 1;
    }

    /// What is believed of an arm.
    pub(super) fn arm(&self, arm: &str) -> Gaussian {
        self.arms.get(arm).copied().unwrap_or_else(|| Gaussian::new(self.prior))
    }

    /// How likely a text does better than the account expects; with a seed, under weights drawn from what is believed.
    pub(super) fn score(&self, arm: &str, text: &str, at: DateTime<Utc>, seed: Option<u64>) -> f64 {
        let features = self.features(arm, text, at);
        let margin =
            seed.map_or_else(|| self.model.margin(&features), |seed| self.model.sampled_margin(&features, seed));
        1.0 / (1.0 + (-margin).exp())
    }

    fn features(&self, arm: &str, text: &str, at: DateTime<Utc>) -> Features {
        let mut parts = arm.split('/').map(Some).chain(std::iter::repeat(None));
        let (topic, form, hook) = (parts.next().flatten(), parts.next().flatten(), parts.next().flatten());
        let hour = local(at, self.timezone).hour;
        let candidate = Candidate { text, detail: "", topic, form, hook, hour: Some(hour), has_media: false };
        self.extractor.features(&candidate)
    }

    /// What is known of the hours.
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// From how many posts it has learned.
    pub fn lessons(&self) -> usize {
        self.lessons
    }
}

/// What a post is worth to a policy: its reward, and its follows as far as they count.
fn value(policy: &Policy, lesson: &Lesson) -> f64 {
    let follows = lesson.follows.map_or(0.0, |follows| (follows as f64).ln_1p());
    lesson.reward + policy.growth_weight * follows
}

/// The hour and weekday of a time where the readers are.
pub(super) fn local(at: DateTime<Utc>, timezone: Tz) -> crate::learning::timing::Slot {
    crate::learning::timing::Slot::of(at.with_timezone(&timezone).naive_local().and_utc())
}

fn posts(policy: &Policy, lessons: &[Lesson], timezone: Tz) -> Vec<Post> {
    lessons
        .iter()
        .map(|lesson| Post::new(lesson.at.with_timezone(&timezone).naive_local().and_utc(), value(policy, lesson)))
        .collect()
}
