use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use rand_distr::{Binomial, Distribution as _, Poisson, StandardNormal};

use crate::{
    fatigue::{self, Recent},
    generator,
    reactions::{Counts, Reactions},
    rhythm::Rhythm,
    shown::{Kind, Shown},
    tastes::Taste,
};

/// What readers are like, besides what their seed decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The kinds of posts among which the best and the worst differ by `spread`. Without any, they are all forms and hooks.
    pub kinds: Vec<Kind>,
    /// How many times the reactions to the worst kind the best one gets.
    pub spread: f64,
    /// The same for the follows, beside that for reactions.
    pub follow_spread: f64,
    /// The logarithm of how much more readers react at the keenest hour.
    pub rhythm: f64,
    /// What each post of the same kind in a row takes from the next, as a share.
    pub fatigue: f64,
    /// Where they live.
    pub timezone: Tz,
    /// When they change their minds, if they do: what was liked best is then liked least.
    pub change_of_mind: Option<DateTime<Utc>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kinds: Vec::new(),
            spread: 1.3,
            follow_spread: 2.0,
            rhythm: 0.1,
            fatigue: 0.01,
            timezone: Tz::UTC,
            change_of_mind: None,
        }
    }
}

/// How often readers react to a post that they see: likes, replies, reposts and quotes together.
const RATE: f64 = 0.016;
/// The impressions of a median post.
const MEDIAN_IMPRESSIONS: f64 = 145.0 * VARIANCE;
/// How much more reactions vary than coin tosses.
const VARIANCE: f64 = 28.0;
/// Impressions of a post for each follower, on average over a day.
const REACH: f64 = 0.8;
/// The standard deviation of the logarithm of impressions that nothing explains.
const REACH_NOISE: f64 = 0.35;
/// What the length of a post adds for each doubling, at most, as a logarithm.
const LENGTH: f64 = 0.03;
/// The length that is neither short nor long.
const USUAL_LENGTH: f64 = 140.0;

/// Simulated readers.
#[derive(Debug, Clone)]
pub struct Readers {
    seed: u64,
    options: Options,
    reactions: Taste,
    follows: Taste,
    rhythm: Rhythm,
    length: f64,
}

impl Readers {
    /// Readers whose tastes follow from a seed.
    pub fn new(seed: u64, options: Options) -> Self {
        let all = if options.kinds.is_empty() { Kind::all(&[] as &[&str]) } else { options.kinds.clone() };
        let tendency: f64 = StandardNormal.sample(&mut generator(seed, "length"));
        Self {
            seed,
            reactions: Taste::new(seed, "reactions", options.spread, &all),
            follows: Taste::new(seed, "follows", options.follow_spread, &all),
            rhythm: Rhythm::new(seed, options.rhythm, options.timezone),
            length: tendency.clamp(-1.0, 1.0) * LENGTH,
            options,
        }
    }

    /// The logarithm of what their taste multiplies the reactions to a kind by at a time; 0 lies in the middle between the best kind and the
    /// worst.
    pub fn taste(&self, kind: &Kind, at: DateTime<Utc>) -> f64 {
        self.mind(at) * self.reactions.of(kind)
    }

    /// 1, and after the change of mind -1, which turns every taste into its opposite.
    fn mind(&self, at: DateTime<Utc>) -> f64 {
        if self.options.change_of_mind.is_some_and(|change| at >= change) { -1.0 } else { 1.0 }
    }

    /// The logarithmic odds that somebody who sees the post likes, answers, reposts or quotes it, on average over posts like it. Differences
    /// between posts are those of their mean rewards.
    pub fn expected_log_odds(&self, shown: &Shown, at: DateTime<Utc>, recent: &[Recent]) -> f64 {
        let rate = (RATE * self.factor(shown, at, recent)).min(0.5);
        (rate / (1.0 - rate)).ln()
    }

    /// How many see the post on average.
    #[expect(clippy::cast_precision_loss, reason = "followers are far below 2^52")]
    pub fn expected_impressions(&self, at: DateTime<Utc>, followers: u64, recent: &[Recent]) -> f64 {
        followers as f64 * REACH * self.rhythm.reach(at) * fatigue::reach(at, recent)
    }

    /// What multiplies the rate of reactions of an average post.
    fn factor(&self, shown: &Shown, at: DateTime<Utc>, recent: &[Recent]) -> f64 {
        let kind = shown.kind();
        let tired = self.options.fatigue.clamp(0.0, 0.2) * fatigue::tired(&kind, at, recent);
        (self.taste(&kind, at) + self.of_length(shown) + self.rhythm.rate(at)).exp() * (1.0 - tired)
    }

    #[expect(clippy::cast_precision_loss, reason = "a post has few characters")]
    fn of_length(&self, shown: &Shown) -> f64 {
        self.length * (shown.length.max(1) as f64 / USUAL_LENGTH).log2().clamp(-1.0, 1.0)
    }

    /// What readers do with a post. `recent` are the posts of the account of the last two days, in any order. The same post with the same seed
    /// gets the same reactions; the seed alone decides what is chance.
    pub fn reactions(
        &self,
        shown: &Shown,
        at: DateTime<Utc>,
        followers: u64,
        recent: &[Recent],
        seed: u64,
    ) -> Reactions {
        let chance = Chance(self.seed.rotate_left(32) ^ seed);
        let impressions = chance.impressions(self.expected_impressions(at, followers, recent));
        let factor = self.factor(shown, at, recent) * chance.quality();
        let follows = factor * (self.mind(at) * self.follows.of(&shown.kind())).exp();
        let count = |name: &str, share: f64| chance.count(name, impressions, share * factor);
        Reactions::new(Counts {
            impressions,
            likes: count("like", RATE * 0.72),
            replies: count("reply", RATE * 0.12),
            reposts: count("repost", RATE * 0.12),
            quotes: count("quote", RATE * 0.04),
            bookmarks: count("bookmark", RATE * 0.15),
            profile_clicks: count("profile click", RATE * 0.3),
            url_clicks: count("url click", RATE * 0.12),
            detail_expands: count("detail expand", RATE * 0.75),
            follows: chance.count("follow", impressions, RATE * 0.03 * follows),
        })
    }
}

/// What is chance in the reactions to one post. Each thing has draws of its own, so that posts of two kinds with one seed differ only by
/// their kinds.
struct Chance(u64);

impl Chance {
    fn impressions(&self, expected: f64) -> u64 {
        let normal: f64 = StandardNormal.sample(&mut generator(self.0, "reach"));
        let mean = expected * (REACH_NOISE * normal).exp();
        Poisson::new(mean).map_or(0, |poisson| whole(poisson.sample(&mut generator(self.0, "impressions"))))
    }

    /// How much more readers react to this post than to others of its kind: a lognormal factor with the mean 1. It has the variance that
    /// makes that of all reactions [`VARIANCE`] times binomial for a median post: `n p + (n p)² v = 28 n p`.
    fn quality(&self) -> f64 {
        let variance = (VARIANCE - 1.0) / (MEDIAN_IMPRESSIONS * RATE);
        let log_variance = variance.ln_1p();
        let normal: f64 = StandardNormal.sample(&mut generator(self.0, "quality"));
        (log_variance.sqrt() * normal - log_variance / 2.0).exp()
    }

    fn count(&self, name: &str, impressions: u64, rate: f64) -> u64 {
        Binomial::new(impressions, rate.clamp(0.0, 1.0))
            .map_or(0, |binomial| binomial.sample(&mut generator(self.0, name)))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count is far below 2^52 and never negative"
)]
fn whole(count: f64) -> u64 {
    count.max(0.0) as u64
}
