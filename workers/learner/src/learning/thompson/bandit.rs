use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Arm, Choice, ChoiceError, Exploration, Join, Ledger, choose};

/// Arms that learn from posts, each of which counts once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bandit<A> {
    arms: Vec<A>,
    discount: f64,
    ledger: Ledger,
}

impl<A: Arm> Bandit<A> {
    /// Arms that forget: each observation multiplies the weight of all before it by `discount` (Raj & Kalyani, Taming non-stationary
    /// bandits, 2017). 1 never forgets; 0.9995 remembers about 2,000 posts. A value outside of 0 to 1 is drawn to the nearer of the two.
    pub fn new(arms: Vec<A>, discount: f64) -> Self {
        Self { arms, discount: discount.clamp(0.0, 1.0), ledger: Ledger::default() }
    }

    /// The arms, in their order.
    pub fn arms(&self) -> &[A] {
        &self.arms
    }

    /// How many posts wait for their reward.
    pub fn waiting(&self) -> usize {
        self.ledger.waiting()
    }

    /// Chooses among all arms; see [`choose`].
    pub fn choose(&self, exploration: &Exploration, seed: u64) -> Result<Choice, ChoiceError> {
        choose(&self.arms, exploration, seed)
    }

    /// A post went out with an arm. Returns false if it was known, or if there is no such arm.
    pub fn published(&mut self, post: &str, arm: usize, at: DateTime<Utc>) -> bool {
        arm < self.arms.len() && self.ledger.published(post, arm, at)
    }

    /// Joins the reward of a post, measured at a time. Only [`Join::Counts`] changes what is believed.
    pub fn reward(&mut self, post: &str, observation: A::Observation, measured: DateTime<Utc>) -> Join {
        let join = self.ledger.join(post, measured);
        if let Join::Counts { arm } = join {
            self.observe(arm, observation);
        }
        join
    }

    /// Counts an observation of an arm that was joined elsewhere, as by the database. Without such an arm nothing happens.
    pub fn observe(&mut self, arm: usize, observation: A::Observation) {
        if arm >= self.arms.len() {
            return;
        }
        for arm in &mut self.arms {
            arm.discount(self.discount);
        }
        self.arms[arm].observe(observation);
    }

    /// Drops posts that no reward can reach any more; see [`Ledger::prune`].
    pub fn prune(&mut self, now: DateTime<Utc>) -> usize {
        self.ledger.prune(now)
    }
}
