use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use super::{Knowledge, Policy, PolicyKind};
use crate::learning::{
    generator,
    thompson::{Belief, ChoiceError, Exploration, Gaussian, Posterior as _, choose as choose_arm},
};

/// A candidate that may be chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Its number.
    pub id: i64,
    /// Its arm.
    pub arm: String,
    /// Its first part.
    pub text: String,
    /// Why it may not be chosen, if it may not. It is kept in the log.
    pub removed: Option<String>,
}

/// A decision with everything that was weighed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The policy.
    pub policy: Policy,
    /// Its hash.
    pub policy_hash: String,
    /// The time that it is for.
    pub at: DateTime<Utc>,
    /// The candidate that was chosen.
    pub chosen: i64,
    /// Its arm.
    pub arm: String,
    /// The probability with which it was chosen.
    pub propensity: f64,
    /// Whether the arm, or the candidate in it, was chosen only to explore.
    pub explored: bool,
    /// The arms that had candidates.
    pub arms: Vec<ArmWeight>,
    /// All candidates, also those that may not be chosen.
    pub candidates: Vec<CandidateWeight>,
    /// The seed of everything that was drawn.
    pub seed: u64,
    /// The draws from which the probabilities come.
    pub draws: u32,
    /// The share of uniform choices that applied.
    pub epsilon: f64,
    /// From how many posts the policy had learned.
    pub lessons: usize,
}

/// An arm in a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmWeight {
    /// The arm.
    pub arm: String,
    /// What a post of it is believed to earn.
    pub mean: f64,
    /// From how many posts, discounted.
    pub posts: f64,
    /// The probability with which it was chosen.
    pub propensity: f64,
}

/// A candidate in a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateWeight {
    /// Its number.
    pub id: i64,
    /// Its arm.
    pub arm: String,
    /// Its first part, which with the arm and the time gives the features of its score.
    pub text: String,
    /// How likely it does better than the account expects, as drawn for this decision.
    pub score: Option<f64>,
    /// The probability with which it was chosen; 0 where it was removed.
    pub propensity: f64,
    /// Why it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<String>,
}

/// Chooses an arm among those that have candidates, and the candidate in it with the best score. Both leave a share of choices to chance.
///
/// # Errors
///
/// Nothing may be chosen, or the policy cannot be used.
pub fn choose(
    policy: &Policy,
    known: &Knowledge,
    offers: &[Offer],
    at: DateTime<Utc>,
    seed: u64,
) -> Result<Decision, ChoiceError> {
    let weighed = Weighed::new(policy, known, offers, at, seed)?;
    let mut rng = generator(seed ^ 0x0005_EED0_FCA9_D1DA);
    let arm = &weighed.names[weighed.arm];
    let of_arm: Vec<&CandidateWeight> =
        weighed.candidates.iter().filter(|one| one.removed.is_none() && one.arm == *arm).collect();
    let by_chance = policy.kind == PolicyKind::Uniform || rng.random_bool(weighed.epsilon);
    let chosen = if by_chance { of_arm[rng.random_range(0..of_arm.len())] } else { best(&of_arm) };
    Ok(Decision {
        policy: *policy,
        policy_hash: policy.hash(),
        at,
        chosen: chosen.id,
        arm: arm.clone(),
        propensity: chosen.propensity,
        explored: weighed.explored || by_chance,
        candidates: weighed.candidates.clone(),
        arms: weighed.arms,
        seed,
        draws: policy.exploration.draws,
        epsilon: weighed.epsilon,
        lessons: known.lessons(),
    })
}

/// What a policy would do with a candidate among these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Foreseen {
    /// The probability with which it chooses it.
    pub probability: f64,
    /// What a post of the arm of the candidate is believed to earn.
    pub of_its_arm: f64,
    /// What a post of this policy is believed to earn: over all arms, each with its probability.
    pub of_policy: f64,
}

/// The draws of scores over which the probability of a candidate within its arm is averaged.
const SCORE_DRAWS: u64 = 32;

/// What a policy would do with a candidate among these, over everything that it draws.
///
/// # Errors
///
/// Nothing may be chosen, or the policy cannot be used.
pub fn foresee(
    policy: &Policy,
    known: &Knowledge,
    offers: &[Offer],
    at: DateTime<Utc>,
    (candidate, seed): (i64, u64),
) -> Result<Foreseen, ChoiceError> {
    let weighed = Weighed::new(policy, known, offers, at, seed)?;
    let arm = offers.iter().find(|offer| offer.id == candidate).map(|offer| offer.arm.as_str());
    let Some(arm) = weighed.arms.iter().find(|weight| Some(&*weight.arm) == arm) else {
        return Ok(Foreseen { probability: 0.0, of_its_arm: 0.0, of_policy: weighed.mean() });
    };
    let of_arm: Vec<&Offer> = offers.iter().filter(|offer| offer.removed.is_none() && offer.arm == arm.arm).collect();
    let draws = if policy.samples_scores && of_arm.len() > 1 { SCORE_DRAWS } else { 1 };
    let is_best = |draw: u64| {
        let seed = policy.samples_scores.then(|| seed.wrapping_add(draw));
        let score = |offer: &&&Offer| known.score(&offer.arm, &offer.text, at, seed);
        let best = of_arm.iter().rev().max_by(|a, b| score(a).total_cmp(&score(b)));
        best.is_some_and(|offer| offer.id == candidate)
    };
    let best = (0..draws).filter(|draw| is_best(*draw)).count() as f64 / draws as f64;
    let chance = weighed.epsilon / of_arm.len().max(1) as f64;
    let is_there = of_arm.iter().any(|offer| offer.id == candidate);
    let within = if is_there { (1.0 - weighed.epsilon) * best + chance } else { 0.0 };
    Ok(Foreseen { probability: arm.propensity * within, of_its_arm: arm.mean, of_policy: weighed.mean() })
}

struct Weighed {
    names: Vec<String>,
    arm: usize,
    explored: bool,
    epsilon: f64,
    arms: Vec<ArmWeight>,
    candidates: Vec<CandidateWeight>,
}

impl Weighed {
    /// What is believed to be earned, over all arms.
    fn mean(&self) -> f64 {
        self.arms.iter().map(|arm| arm.propensity * arm.mean).sum()
    }

    fn new(
        policy: &Policy,
        known: &Knowledge,
        offers: &[Offer],
        at: DateTime<Utc>,
        seed: u64,
    ) -> Result<Self, ChoiceError> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for offer in offers.iter().filter(|offer| offer.removed.is_none()) {
            *counts.entry(&offer.arm).or_default() += 1;
        }
        let names: Vec<String> = counts.keys().map(|name| (*name).to_owned()).collect();
        let believed: Vec<Gaussian> = names.iter().map(|name| known.arm(name)).collect();
        // A uniform policy is one that only explores.
        let epsilon = if policy.kind == PolicyKind::Uniform { 1.0 } else { policy.exploration.epsilon };
        let beliefs: Vec<Belief> = believed.iter().map(Gaussian::belief).collect();
        let choice = choose_arm(&beliefs, &Exploration { epsilon, ..policy.exploration }, seed)?;
        let arms = names.iter().zip(&believed).zip(&choice.propensities).map(|((name, arm), propensity)| ArmWeight {
            arm: name.clone(),
            mean: arm.mean(),
            posts: arm.seen().count,
            propensity: *propensity,
        });
        let arms: Vec<ArmWeight> = arms.collect();
        let mut candidates = scored(policy, known, offers, at, seed);
        for arm in &arms {
            share(&mut candidates, arm, choice.epsilon, counts.get(&*arm.arm).copied().unwrap_or(1));
        }
        Ok(Self { arm: choice.arm, explored: choice.explored, epsilon: choice.epsilon, names, arms, candidates })
    }
}

fn scored(policy: &Policy, known: &Knowledge, offers: &[Offer], at: DateTime<Utc>, seed: u64) -> Vec<CandidateWeight> {
    let draw = policy.samples_scores.then_some(seed);
    let one = |offer: &Offer| CandidateWeight {
        id: offer.id,
        arm: offer.arm.clone(),
        text: offer.text.clone(),
        score: offer.removed.is_none().then(|| known.score(&offer.arm, &offer.text, at, draw)),
        propensity: 0.0,
        removed: offer.removed.clone(),
    };
    offers.iter().map(one).collect()
}

/// Divides the probability of an arm over its candidates: the best gets it, but for the share that is left to chance.
fn share(candidates: &mut [CandidateWeight], arm: &ArmWeight, epsilon: f64, count: usize) {
    let of_arm: Vec<&CandidateWeight> =
        candidates.iter().filter(|one| one.removed.is_none() && one.arm == arm.arm).collect();
    if of_arm.is_empty() {
        return;
    }
    let best = best(&of_arm).id;
    for one in candidates.iter_mut().filter(|one| one.removed.is_none() && one.arm == arm.arm) {
        let certain = if one.id == best { 1.0 - epsilon } else { 0.0 };
        one.propensity = arm.propensity * (certain + epsilon / count as f64);
    }
}

/// The candidate with the best score; of equal ones the first, so that the same candidates always give the same.
fn best<'c>(of_arm: &[&'c CandidateWeight]) -> &'c CandidateWeight {
    let mut best = of_arm[0];
    for &one in &of_arm[1..] {
        if one.score > best.score {
            best = one;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Lesson;

    fn at() -> DateTime<Utc> {
        "2026-12-01T09:00:00Z".parse().expect("a time")
    }

    fn offer(id: i64, arm: &str) -> Offer {
        Offer { id, arm: arm.to_owned(), text: format!("Text number {id}"), removed: None }
    }

    fn lessons(arm: &'static str, reward: f64, count: usize) -> impl Iterator<Item = Lesson> {
        let arm = arm.to_owned();
        (0..count).map(move |n| Lesson {
            arm: arm.clone(),
            text: "A text".into(),
            at: at(),
            reward: reward + if n % 2 == 0 { 0.1 } else { -0.1 },
            follows: None,
        })
    }

    fn known(policy: &Policy, lessons: &[Lesson]) -> Knowledge {
        Knowledge::learn(policy, lessons, &[], Tz::UTC)
    }

    #[test]
    fn the_arm_that_earned_more_is_chosen_more_and_the_other_never_stops() {
        let policy = Policy::default();
        let all: Vec<Lesson> =
            lessons("a/single/claim/any", 0.8, 30).chain(lessons("b/single/claim/any", -0.8, 30)).collect();
        let offers = [offer(1, "a/single/claim/any"), offer(2, "b/single/claim/any")];
        let decision = choose(&policy, &known(&policy, &all), &offers, at(), 7).expect("a decision");
        assert!(decision.arms[0].propensity > 0.9 && decision.arms[1].propensity >= 0.01, "{:?}", decision.arms);
        let total: f64 = decision.candidates.iter().map(|one| one.propensity).sum();
        assert!((total - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_the_guard_removed_stays_in_the_log_and_is_never_chosen() {
        let policy = Policy::default();
        let removed = Offer { removed: Some("a link".into()), ..offer(1, "a/single/claim/any") };
        let offers = [removed, offer(2, "b/single/claim/any")];
        for seed in 0..50 {
            let decision = choose(&policy, &known(&policy, &[]), &offers, at(), seed).expect("a decision");
            assert_eq!(decision.chosen, 2);
            assert_eq!(
                (decision.candidates[0].propensity, decision.candidates[0].removed.as_deref()),
                (0.0, Some("a link"))
            );
        }
        let none = choose(&policy, &known(&policy, &[]), &offers[..1], at(), 1);
        assert_eq!(none, Err(ChoiceError::NoArms));
    }

    #[test]
    fn a_uniform_policy_gives_every_arm_and_every_candidate_of_it_the_same() {
        let policy = Policy { kind: PolicyKind::Uniform, ..Policy::default() };
        let offers = [offer(1, "a/single/claim/any"), offer(2, "a/single/claim/any"), offer(3, "b/single/claim/any")];
        let all: Vec<Lesson> = lessons("a/single/claim/any", 2.0, 30).collect();
        let decision = choose(&policy, &known(&policy, &all), &offers, at(), 1).expect("a decision");
        let shares: Vec<f64> = decision.candidates.iter().map(|one| one.propensity).collect();
        assert!(shares.iter().zip([0.25, 0.25, 0.5]).all(|(is, should)| (is - should).abs() < 1e-9), "{shares:?}");
    }

    #[test]
    fn follows_count_as_far_as_the_policy_says() {
        fn follow(arm: &'static str, follows: u64) -> impl Iterator<Item = Lesson> {
            lessons(arm, 0.0, 40).map(move |lesson| Lesson { follows: Some(follows), ..lesson })
        }
        let all: Vec<Lesson> = follow("a/single/claim/any", 20).chain(follow("b/single/claim/any", 0)).collect();
        let offers = [offer(1, "a/single/claim/any"), offer(2, "b/single/claim/any")];
        let share = |growth_weight| {
            let policy = Policy { growth_weight, ..Policy::default() };
            choose(&policy, &known(&policy, &all), &offers, at(), 3).expect("a decision").arms[0].propensity
        };
        assert!(share(1.0) > 0.9 && share(0.0) < 0.9, "{} {}", share(1.0), share(0.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_decision_is_replayed_from_its_seed_and_has_the_probability_that_it_says(
            seed: u64, arms in prop::collection::vec(0_usize..4, 1..12),
        ) {
            let policy = Policy::default();
            let all: Vec<Lesson> = lessons("t1/single/claim/any", 0.3, 5).chain(lessons("t2/single/claim/any", -0.3, 5)).collect();
            let known = known(&policy, &all);
            let offers: Vec<Offer> =
                arms.iter().enumerate().map(|(id, arm)| offer(i64::try_from(id).expect("few"), &format!("t{arm}/single/claim/any"))).collect();
            let decision = choose(&policy, &known, &offers, at(), seed).expect("a decision");
            prop_assert_eq!(&decision, &choose(&policy, &known, &offers, at(), seed).expect("a decision"));
            let total: f64 = decision.candidates.iter().map(|one| one.propensity).sum();
            prop_assert!((total - 1.0).abs() < 1e-9 && decision.propensity > 0.0);
            let foreseen = |id| foresee(&policy, &known, &offers, at(), (id, seed)).expect("it is foreseen").probability;
            let total: f64 = offers.iter().map(|offer| foreseen(offer.id)).sum();
            prop_assert!((total - 1.0).abs() < 1e-9 && foreseen(-1) < 1e-12);
            // The log keeps it whole.
            let kept: Decision = serde_json::from_str(&serde_json::to_string(&decision).expect("JSON")).expect("a decision");
            prop_assert_eq!(kept.chosen, decision.chosen);
        }
    }
}
