//! Empirical Bayes (Efron & Morris 1975): what other bots saw of an arm is the prior of the bot that has not tried it.
//!
//! Bots that agree give a strong prior, bots that differ a weak one. A prior is never worth more than [`STRONGEST`] observations, so a
//! bot whose readers are different finds that out.

use crate::learning::thompson::{BetaPrior, Moments, NormalPrior};

/// The most observations that a prior may be worth. A bot with as many of its own weighs both alike.
pub const STRONGEST: f64 = 50.0;

/// What one bot saw of an arm that succeeds or fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The successes.
    pub successes: f64,
    /// All observations.
    pub trials: f64,
}

/// The Beta prior under which the rates of the bots are the most likely (beta-binomial likelihood, maximised over the strength with the
/// pooled rate as its mean). Fewer than two bots with observations cannot say how much bots differ: they leave the prior of Jeffreys.
pub fn of_rates(bots: &[Rate]) -> BetaPrior {
    let seen: Vec<Rate> = bots.iter().copied().filter(|bot| bot.trials > 0.0).collect();
    let trials: f64 = seen.iter().map(|bot| bot.trials).sum();
    let successes: f64 = seen.iter().map(|bot| bot.successes).sum();
    if seen.len() < 2 {
        return BetaPrior::JEFFREYS;
    }
    // Half a success and half a failure keep the mean away from 0 and 1, where no Beta distribution has it.
    let mean = (successes + 0.5) / (trials + 1.0);
    let with = |strength: f64| BetaPrior { alpha: mean * strength, beta: (1.0 - mean) * strength };
    // Steps of a quarter of an octave from 1 up; the likelihood is flat between them.
    let steps = std::iter::successors(Some(1.0), |strength| Some(strength * 2_f64.powf(0.25)));
    let strengths = steps.take_while(|&strength| strength <= STRONGEST);
    strengths.map(with).max_by(|a, b| likelihood(&seen, *a).total_cmp(&likelihood(&seen, *b))).unwrap_or_default()
}

/// The logarithm of the beta-binomial likelihood, without the part that does not depend on the prior.
fn likelihood(bots: &[Rate], prior: BetaPrior) -> f64 {
    let of = |bot: &Rate| {
        let failures = bot.trials - bot.successes;
        ln_beta(prior.alpha + bot.successes, prior.beta + failures) - ln_beta(prior.alpha, prior.beta)
    };
    bots.iter().map(of).sum()
}

fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// The logarithm of the gamma function for `x > 0`: recurrence up to 8, then Stirling's series (Abramowitz & Stegun 6.1.15, 6.1.41),
/// whose next term is below 1e-9 there.
fn ln_gamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < 8.0 {
        below += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1_260.0 - square / 1_680.0)));
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - below
}

/// The Normal–inverse-gamma prior of an arm from what each bot saw of it: the variance between bots after `DerSimonian` & Laird (1986),
/// the variance within them pooled. Fewer than two bots with two posts each leave the default.
pub fn of_rewards(bots: &[Moments]) -> NormalPrior {
    let seen: Vec<&Moments> = bots.iter().filter(|bot| bot.count >= 2.0).collect();
    let freedom: f64 = seen.iter().map(|bot| bot.count - 1.0).sum();
    let within = seen.iter().map(|bot| bot.squares).sum::<f64>() / freedom;
    if seen.len() < 2 || within.is_nan() || within <= 0.0 {
        return NormalPrior::default();
    }
    let between = variance_between(&seen, within);
    let weight = |bot: &Moments| 1.0 / (between + within / bot.count);
    let weights: f64 = seen.iter().map(|bot| weight(bot)).sum();
    let mean = seen.iter().map(|bot| weight(bot) * bot.mean).sum::<f64>() / weights;
    let shape = (freedom.min(STRONGEST) / 2.0).max(1.0);
    NormalPrior { mean, strength: (within / between).clamp(1.0, STRONGEST), shape, scale: within * shape }
}

fn variance_between(bots: &[&Moments], within: f64) -> f64 {
    let counts: f64 = bots.iter().map(|bot| bot.count).sum();
    let mean = bots.iter().map(|bot| bot.count * bot.mean).sum::<f64>() / counts;
    let spread: f64 = bots.iter().map(|bot| bot.count * (bot.mean - mean).powi(2)).sum::<f64>() / within;
    let share = counts - bots.iter().map(|bot| bot.count * bot.count).sum::<f64>() / counts;
    (within * (spread - (bots.len() as f64 - 1.0)) / share).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(of: &[(f64, f64)]) -> Vec<Rate> {
        of.iter().map(|&(successes, trials)| Rate { successes, trials }).collect()
    }

    #[test]
    fn the_gamma_function_has_its_known_values() {
        for (x, expected) in [(0.5, 0.572_364_942_9), (1.0, 0.0), (5.0, 3.178_053_830_3), (100.0, 359.134_205_369_6)] {
            assert!((ln_gamma(x) - expected).abs() < 1e-8, "{x}: {}", ln_gamma(x));
        }
    }

    #[test]
    fn bots_that_agree_give_a_strong_prior_and_bots_that_differ_a_weak_one() {
        let alike = of_rates(&rates(&[(50.0, 500.0), (51.0, 500.0), (49.0, 500.0), (50.0, 500.0)]));
        let apart = of_rates(&rates(&[(5.0, 500.0), (400.0, 500.0), (50.0, 500.0), (250.0, 500.0)]));
        assert!(alike.strength() > 40.0 && (alike.alpha / alike.strength() - 0.1).abs() < 0.01, "{alike:?}");
        assert!(apart.strength() < 5.0, "{apart:?}");
    }

    #[test]
    fn one_bot_alone_leaves_the_prior_of_jeffreys() {
        assert_eq!(of_rates(&rates(&[(5.0, 10.0), (0.0, 0.0)])), BetaPrior::JEFFREYS);
        assert_eq!(of_rewards(&[[0.3, 0.4].into_iter().collect()]), NormalPrior::default());
    }

    #[test]
    fn a_prior_of_rewards_has_the_mean_of_the_bots_and_its_strength_from_their_agreement() {
        let bot = |mean: f64| (0..100).map(|i| mean + if i % 2 == 0 { 1.0 } else { -1.0 }).collect::<Moments>();
        let alike = of_rewards(&[bot(0.50), bot(0.52), bot(0.48)]);
        let apart = of_rewards(&[bot(-2.0), bot(0.0), bot(3.5)]);
        assert!((alike.mean - 0.5).abs() < 0.01 && alike.strength >= STRONGEST, "{alike:?}");
        assert!((apart.mean - 0.5).abs() < 0.1 && apart.strength < 2.0, "{apart:?}");
    }
}
