use serde::{Deserialize, Serialize};

use super::{Post, Slot};

/// A mean, and what hours and weekdays add to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Effects {
    mean: f64,
    hours: Vec<f64>,
    weekdays: Vec<f64>,
}

/// Hour and weekday are fitted in turn, each on what the other leaves; they settle within a few rounds.
const ROUNDS: usize = 10;

impl Effects {
    /// Fits shrunk effects to posts; without posts all is 0.
    pub(super) fn learn(posts: &[Post]) -> Self {
        let mean = posts.iter().map(|post| post.reward).sum::<f64>() / posts.len().max(1) as f64;
        let mut effects = Self { mean, hours: vec![0.0; 24], weekdays: vec![0.0; 7] };
        for _ in 0..ROUNDS {
            effects.hours = shrunk(
                posts,
                24,
                |post| post.slot.hour,
                |post| post.reward - mean - at(&effects.weekdays, post.slot.weekday),
            );
            effects.weekdays = shrunk(
                posts,
                7,
                |post| post.slot.weekday,
                |post| post.reward - mean - at(&effects.hours, post.slot.hour),
            );
        }
        effects
    }

    /// The mean alone.
    pub(super) fn without(self) -> Self {
        Self { mean: self.mean, hours: vec![0.0; 24], weekdays: vec![0.0; 7] }
    }

    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    pub(super) fn expected(&self, slot: Slot) -> f64 {
        self.mean + at(&self.hours, slot.hour) + at(&self.weekdays, slot.weekday)
    }
}

/// An hour or weekday out of its range has no effect.
fn at(effects: &[f64], place: u8) -> f64 {
    effects.get(usize::from(place)).copied().unwrap_or(0.0)
}

/// The mean of each group, drawn towards 0 by the share of its spread that chance explains: with variance `within` of a post and
/// `between` of the groups, `between / (between + within / n)`. The variance between groups is estimated by moments and is 0 where the
/// means differ no more than chance lets them.
fn shrunk(posts: &[Post], groups: usize, group: impl Fn(&Post) -> u8, left: impl Fn(&Post) -> f64) -> Vec<f64> {
    let (mut counts, mut sums, mut squares) = (vec![0.0; groups], vec![0.0; groups], 0.0);
    for post in posts.iter().filter(|post| usize::from(group(post)) < groups) {
        let (at, left) = (usize::from(group(post)), left(post));
        counts[at] += 1.0;
        sums[at] += left;
        squares += left * left;
    }
    let filled: Vec<(f64, f64)> =
        counts.iter().zip(&sums).filter(|(n, _)| **n > 0.0).map(|(n, sum)| (*n, sum / n)).collect();
    let all: f64 = filled.iter().map(|(n, _)| n).sum();
    let freedom = all - filled.len() as f64;
    if freedom <= 0.0 || filled.len() < 2 {
        return vec![0.0; groups];
    }
    let of_means: f64 = filled.iter().map(|(n, mean)| n * mean * mean).sum();
    let within = ((squares - of_means) / freedom).max(0.0);
    let centre = filled.iter().map(|(n, mean)| n * mean).sum::<f64>() / all;
    let spread = of_means - all * centre * centre;
    let share = all - filled.iter().map(|(n, _)| n * n).sum::<f64>() / all;
    let between = ((spread - (filled.len() as f64 - 1.0) * within) / share).max(0.0);
    let keep = |n: f64| if between > 0.0 { between / (between + within / n) } else { 0.0 };
    counts.iter().zip(&sums).map(|(&n, &sum)| if n > 0.0 { keep(n) * sum / n } else { 0.0 }).collect()
}
