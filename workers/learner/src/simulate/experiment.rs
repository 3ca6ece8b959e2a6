//! The same readers and seeds under several policies.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use serde::Serialize;

use super::{Chooser, Report, World, report::Runs};
use crate::{
    learning::thompson::ChoiceError,
    policy::{Policy, PolicyKind},
};

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Options {
    /// How many weeks, 1 to 104.
    pub weeks: u32,
    /// Posts of a day, 1 to 24.
    pub posts_per_day: u8,
    /// How many accounts, each with other readers, 1 to 1,000.
    pub seeds: u32,
    /// Whether readers change their minds half-way: what they liked best they then like least.
    pub drift: bool,
    /// What follows count in the policy that is to grow, 0 to 10. With 0 no such policy is simulated.
    pub growth_weight: f64,
    /// The policy that learns.
    pub policy: Policy,
}

impl Default for Options {
    fn default() -> Self {
        Self { weeks: 12, posts_per_day: 12, seeds: 20, drift: false, growth_weight: 1.0, policy: Policy::default() }
    }
}

impl Options {
    /// What is wrong with them, if anything: the field, and what is allowed.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if !(1..=104).contains(&self.weeks) {
            return Some(("weeks", format!("is {}; allowed: 1 to 104", self.weeks)));
        }
        if !(1..=24).contains(&self.posts_per_day) {
            return Some(("posts_per_day", format!("is {}; allowed: 1 to 24", self.posts_per_day)));
        }
        if !(1..=1_000).contains(&self.seeds) {
            return Some(("seeds", format!("is {}; allowed: 1 to 1,000", self.seeds)));
        }
        Policy { growth_weight: self.growth_weight, ..self.policy }.problem()
    }

    /// How many accounts are simulated: each seed under each policy.
    pub fn runs(&self) -> u64 {
        u64::from(self.seeds) * self.choosers().len() as u64
    }

    /// Who chooses, in the order of [`Runs`].
    fn choosers(&self) -> Vec<Chooser> {
        let uniform = Policy { kind: PolicyKind::Uniform, ..self.policy };
        let mut choosers = vec![Chooser::Best, Chooser::Policy(uniform), Chooser::Policy(self.policy)];
        if self.growth_weight > 0.0 {
            choosers.push(Chooser::Policy(Policy { growth_weight: self.growth_weight, ..self.policy }));
        }
        choosers
    }
}

/// Simulates every seed under every policy and reports. `progress` is told of each account that is done.
///
/// # Errors
///
/// The policy cannot be used.
pub fn run(options: &Options, progress: &(dyn Fn() + Sync)) -> Result<Report, ChoiceError> {
    let seeds: Vec<u64> = (1..=u64::from(options.seeds)).collect();
    let runs = in_parallel(&seeds, |seed| {
        let world = World::new(*seed, options);
        let mut done = options.choosers().into_iter().map(|chooser| {
            let posts = world.live(chooser, 0);
            progress();
            posts
        });
        let mut next = || done.next().unwrap_or(Ok(Vec::new()));
        Ok(Runs { best: next()?, uniform: next()?, learned: next()?, with_growth: next()?, world })
    });
    Ok(Report::of(options, &runs.into_iter().collect::<Result<Vec<Runs>, ChoiceError>>()?))
}

/// Applies a function to each value on all cores, and keeps the order.
pub fn in_parallel<T: Sync, R: Send>(values: &[T], of: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((at, value)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, values.get(at)?)))
        {
            done.push((at, of(value)));
        }
        done
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let others: Vec<_> = (1..cores).map(|_| scope.spawn(work)).collect();
        let own = work();
        let joined =
            others.into_iter().flat_map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        own.into_iter().chain(joined.collect::<Vec<_>>()).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
