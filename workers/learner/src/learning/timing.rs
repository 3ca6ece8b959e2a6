//! When to post: effects of hour and weekday, shrunk as far as chance could explain them.
//!
//! A week has 168 hours, too many for the posts of one account: raw means of cells predict worse than the global mean. So hour and
//! weekday add up, each effect is shrunk by empirical Bayes (James & Stein 1961; Morris 1983), and the effects are used only if they
//! predicted better than the global mean on newer posts than those they were found on. Otherwise the answer is the global mean, and
//! [`Verdict`] says that there is no evidence.

mod effects;

use std::fmt;

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use serde::{Deserialize, Serialize};

use self::effects::Effects;
use crate::learning::bootstrap::{Estimate, RESAMPLES, by_group};

/// One post: when it went out, and what it earned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Post {
    /// When, in the time zone of the readers or any other that is used throughout.
    pub slot: Slot,
    /// The week, counted from any start. Weeks are resampled as a whole.
    pub week: i64,
    /// The reward, such as a logarithm of likes.
    pub reward: f64,
}

/// An hour of a weekday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot {
    /// The weekday, 0 is Monday, at most 6.
    pub weekday: u8,
    /// The hour, at most 23.
    pub hour: u8,
}

impl Slot {
    /// The slot of a time.
    #[expect(clippy::cast_possible_truncation, reason = "a weekday is below 7 and an hour below 24")]
    pub fn of(at: DateTime<Utc>) -> Self {
        Self { weekday: at.weekday().num_days_from_monday() as u8, hour: at.hour() as u8 }
    }
}

impl Post {
    /// A post of a time in UTC.
    pub fn new(at: DateTime<Utc>, reward: f64) -> Self {
        // 1 January 1970 was a Thursday; three days more make weeks begin on Monday.
        const WEEK: i64 = 7 * 24 * 3_600;
        Self { slot: Slot::of(at), week: (at.timestamp() + 3 * 24 * 3_600).div_euclid(WEEK), reward }
    }
}

/// What is known of hours and weekdays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    effects: Effects,
    verdict: Verdict,
}

/// Whether there is evidence that the time matters. Written out, it gives the figures in words.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Verdict {
    /// The effects predicted newer posts better than the global mean by this much squared error a post.
    Evidence(Estimate),
    /// They did not, so every slot is expected to earn the global mean.
    NoEvidence(Estimate),
    /// There are too few posts to tell.
    TooFewPosts {
        /// How many there are.
        posts: usize,
    },
}

/// From how many posts on the time is looked at.
pub const FEWEST_POSTS: usize = 100;

/// How many times the history is cut into posts to learn from and newer ones to predict.
const CUTS: usize = 5;

impl Timing {
    /// Learns from posts, in any order. Posts whose reward is no number are left out.
    pub fn learn(posts: &[Post], seed: u64) -> Self {
        let mut posts: Vec<Post> = posts.iter().copied().filter(|post| post.reward.is_finite()).collect();
        posts.sort_by_key(|post| post.week);
        let verdict = judge(&posts, seed);
        let effects = Effects::learn(&posts);
        let effects = if matches!(verdict, Verdict::Evidence(_)) { effects } else { effects.without() };
        Self { effects, verdict }
    }

    /// What a post at this slot is expected to earn.
    pub fn expected(&self, slot: Slot) -> f64 {
        self.effects.expected(slot)
    }

    /// The mean over all posts.
    pub fn global_mean(&self) -> f64 {
        self.effects.mean()
    }

    /// Whether there is evidence that the time matters.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

/// Predicts each newer fifth of the second half from all before it. The effects must win with 97.5 % confidence over weeks.
fn judge(posts: &[Post], seed: u64) -> Verdict {
    if posts.len() < FEWEST_POSTS {
        return Verdict::TooFewPosts { posts: posts.len() };
    }
    let edge = |cut: usize| {
        let at = posts.len() / 2 + posts.len() * cut / (2 * CUTS);
        // A week is never split: posts of one week share what happened in it.
        posts.get(at).map_or(posts.len(), |post| posts.partition_point(|other| other.week < post.week))
    };
    let mut gains: Vec<(i64, f64)> = Vec::new();
    for cut in 0..CUTS {
        let effects = Effects::learn(&posts[..edge(cut)]);
        for post in &posts[edge(cut)..edge(cut + 1)] {
            let error = |predicted: f64| (post.reward - predicted).powi(2);
            gains.push((post.week, error(effects.mean()) - error(effects.expected(post.slot))));
        }
    }
    let gain = mean_by_week(&gains, seed);
    if gain.low > 0.0 { Verdict::Evidence(gain) } else { Verdict::NoEvidence(gain) }
}

/// The mean of values with its interval over weeks; the values are sorted by week.
fn mean_by_week(values: &[(i64, f64)], seed: u64) -> Estimate {
    let weeks: Vec<(f64, f64)> = values
        .chunk_by(|a, b| a.0 == b.0)
        .map(|week| (week.iter().map(|(_, value)| value).sum(), week.len() as f64))
        .collect();
    let mean = |drawn: &[usize]| {
        let (sum, count) = drawn.iter().fold((0.0, 0.0), |(s, n), &week| (s + weeks[week].0, n + weeks[week].1));
        [sum / count]
    };
    let [estimate] = by_group(weeks.len(), RESAMPLES, seed, mean);
    estimate
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evidence(gain) => {
                write!(
                    f,
                    "the time matters: hour and weekday predict newer posts better by {gain:.4} squared error a post"
                )
            }
            Self::NoEvidence(gain) => write!(
                f,
                "no evidence that the time matters: hour and weekday change the squared error of newer posts by {gain:.4}, \
                 so all slots count as equal"
            ),
            Self::TooFewPosts { posts } => write!(f, "no evidence yet: {posts} posts, {FEWEST_POSTS} are needed"),
        }
    }
}

/// The squared errors of predictions on posts that were not learned from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Posts that were predicted.
    pub posts: usize,
    /// The mean squared error of the global mean.
    pub global_mean: f64,
    /// The mean squared error of the raw mean of each of the 168 cells.
    pub raw_cells: f64,
    /// The mean squared error of shrunk effects, whatever the verdict.
    pub shrunk: f64,
    /// The mean squared error of what [`Timing::expected`] says.
    pub used: f64,
    /// How much less than that of the global mean it is, with its interval over weeks.
    pub gain: Estimate,
}

impl Comparison {
    /// Learns from some posts and predicts others; `None` if there is none to learn from or to predict.
    pub fn of(learned: &[Post], predicted: &[Post], seed: u64) -> Option<Self> {
        if learned.is_empty() || predicted.is_empty() {
            return None;
        }
        let timing = Timing::learn(learned, seed);
        let effects = Effects::learn(learned);
        let cell = |slot: Slot| {
            let (sum, count) = learned
                .iter()
                .filter(|post| post.slot == slot)
                .fold((0.0, 0.0), |(sum, count), post| (sum + post.reward, count + 1.0));
            if count > 0.0 { sum / count } else { effects.mean() }
        };
        let error = |of: &dyn Fn(Slot) -> f64| {
            predicted.iter().map(|post| (post.reward - of(post.slot)).powi(2)).sum::<f64>() / predicted.len() as f64
        };
        let mut gains: Vec<(i64, f64)> = predicted
            .iter()
            .map(|post| {
                let error = |expected: f64| (post.reward - expected).powi(2);
                (post.week, error(timing.global_mean()) - error(timing.expected(post.slot)))
            })
            .collect();
        gains.sort_by_key(|(week, _)| *week);
        Some(Self {
            posts: predicted.len(),
            global_mean: error(&|_| effects.mean()),
            raw_cells: error(&cell),
            shrunk: error(&|slot| effects.expected(slot)),
            used: error(&|slot| timing.expected(slot)),
            gain: mean_by_week(&gains, seed),
        })
    }

    /// Whether what is used is no worse than the global mean.
    pub fn is_met(&self) -> bool {
        self.used <= self.global_mean
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use crate::learning::generator;

    /// Posts of two years with rewards around an effect of the slot.
    fn posts(count: u32, seed: u64, effect: impl Fn(Slot) -> f64) -> Vec<Post> {
        let mut rng = generator(seed);
        let mut post = |number: u32| {
            let slot = Slot { weekday: rng.random_range(0..7), hour: rng.random_range(8..22) };
            let noise: f64 = StandardNormal.sample(&mut rng);
            Post { slot, week: i64::from(number * 104 / count), reward: effect(slot) + 0.9 * noise }
        };
        (0..count).map(&mut post).collect()
    }

    fn evening(slot: Slot) -> f64 {
        if slot.hour >= 18 { 1.0 } else { 0.0 }
    }

    #[test]
    fn an_evening_that_earns_more_is_found() {
        let timing = Timing::learn(&posts(1_300, 1, evening), 1);
        assert!(matches!(timing.verdict(), Verdict::Evidence(_)), "{}", timing.verdict());
        let gap = timing.expected(Slot { weekday: 2, hour: 19 }) - timing.expected(Slot { weekday: 2, hour: 10 });
        assert!((gap - 1.0).abs() < 0.35, "{gap}");
    }

    #[test]
    fn hours_that_are_all_alike_leave_the_global_mean_and_say_so() {
        let found = (0..40).filter(|&seed| {
            let timing = Timing::learn(&posts(600, seed, |_| 0.0), seed);
            let says_so = timing.verdict().to_string().starts_with("no evidence");
            let slot = Slot { weekday: 1, hour: 12 };
            assert!(!says_so || timing.expected(slot).total_cmp(&timing.global_mean()).is_eq());
            !says_so
        });
        assert!(found.count() <= 2);
    }

    #[test]
    fn shrunk_effects_beat_raw_cells_on_posts_that_came_later() {
        let (all, slight) = (1_300, |slot: Slot| 0.2 * evening(slot));
        let posts = posts(all, 5, slight);
        let (learned, later) = posts.split_at(900);
        let compared = Comparison::of(learned, later, 5).expect("posts on both sides");
        assert!(compared.shrunk < compared.raw_cells - 0.03, "{compared:?}");
        assert!(compared.shrunk < compared.global_mean + 0.01, "{compared:?}");
    }

    #[test]
    fn a_few_posts_are_too_few() {
        let timing = Timing::learn(&posts(20, 1, evening), 1);
        assert_eq!(timing.verdict().to_string(), "no evidence yet: 20 posts, 100 are needed");
        assert!(Timing::learn(&[], 1).expected(Slot { weekday: 0, hour: 0 }) == 0.0);
    }

    #[test]
    fn a_slot_has_the_weekday_and_the_hour_of_its_time() {
        let sunday = DateTime::parse_from_rfc3339("2026-08-02T23:59:00Z").expect("a time").to_utc();
        let monday = DateTime::parse_from_rfc3339("2026-08-03T00:01:00Z").expect("a time").to_utc();
        assert_eq!(Slot::of(sunday), Slot { weekday: 6, hour: 23 });
        assert_eq!(Post::new(monday, 0.0).week, Post::new(sunday, 0.0).week + 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn expectations_stay_between_the_worst_and_the_best_post(
            rewards in proptest::collection::vec((-5.0..5.0, 0_u8..7, 0_u8..24, 0_i64..50), 1..200),
        ) {
            let post = |&(reward, weekday, hour, week): &(f64, u8, u8, i64)| {
                Post { slot: Slot { weekday, hour }, week, reward }
            };
            let posts: Vec<Post> = rewards.iter().map(post).collect();
            let timing = Timing::learn(&posts, 1);
            // Hour and weekday add up, so the sum of both may pass the range by its width.
            for hour in 0..24 {
                let expected = timing.expected(Slot { weekday: 3, hour });
                prop_assert!(expected.abs() <= 15.0);
            }
        }
    }
}
