//! Choices with their propensities, and rewards that count once.

use chrono::{DateTime, TimeDelta, Utc};
use perch_bot_learner::learning::thompson::{
    Arm, Bandit, Bernoulli, ChoiceError, Exploration, Gaussian, Join, Posterior as _, choose,
};
use proptest::prelude::*;

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).expect("a time")
}

fn bandit<A: Arm + Default + Clone>(arms: usize) -> Bandit<A> {
    Bandit::new(vec![A::default(); arms], 0.999)
}

fn arms(of: &[(u8, u8)]) -> Vec<Bernoulli> {
    let arm = |&(successes, failures): &(u8, u8)| {
        let mut arm = Bernoulli::default();
        (0..successes).for_each(|_| arm.observe(true));
        (0..failures).for_each(|_| arm.observe(false));
        arm
    };
    of.iter().map(arm).collect()
}

#[test]
fn a_second_reward_of_a_post_changes_nothing() {
    let mut bandit: Bandit<Gaussian> = bandit(3);
    bandit.published("post", 1, noon());
    let day_later = noon() + TimeDelta::hours(24);
    assert_eq!(bandit.reward("post", 0.7, day_later), Join::Counts { arm: 1 });
    let after = bandit.clone();
    assert_eq!(bandit.reward("post", 9.0, day_later), Join::AlreadyJoined);
    assert_eq!(bandit.reward("post", 9.0, noon() + TimeDelta::days(30)), Join::AlreadyJoined);
    assert_eq!(bandit, after);
}

#[test]
fn a_reward_that_is_early_late_or_of_no_post_changes_nothing() {
    let mut bandit: Bandit<Bernoulli> = bandit(2);
    bandit.published("post", 0, noon());
    let before = bandit.clone();
    assert_eq!(bandit.reward("post", true, noon() + TimeDelta::hours(23)), Join::TooEarly);
    assert_eq!(bandit.reward("post", true, noon() + TimeDelta::hours(49)), Join::TooLate);
    assert_eq!(bandit.reward("other", true, noon() + TimeDelta::hours(24)), Join::Unknown);
    assert_eq!(bandit, before);
}

#[test]
fn a_post_that_waits_is_no_failure() {
    let mut bandit: Bandit<Bernoulli> = bandit(2);
    for post in 0..50 {
        assert!(bandit.published(&format!("post {post}"), 0, noon()));
    }
    assert_eq!(bandit.waiting(), 50);
    assert!((bandit.arms()[0].mean() - bandit.arms()[1].mean()).abs() < 1e-12);
}

#[test]
fn a_post_told_of_twice_keeps_its_first_arm() {
    let mut bandit: Bandit<Bernoulli> = bandit(2);
    assert!(bandit.published("post", 0, noon()));
    assert!(!bandit.published("post", 1, noon()));
    assert!(!bandit.published("other", 2, noon()));
    assert_eq!(bandit.reward("post", true, noon() + TimeDelta::hours(24)), Join::Counts { arm: 0 });
}

#[test]
fn posts_that_no_reward_can_reach_are_dropped() {
    let mut bandit: Bandit<Bernoulli> = bandit(2);
    bandit.published("joined", 0, noon());
    bandit.published("lost", 0, noon());
    bandit.reward("joined", true, noon() + TimeDelta::hours(24));
    assert_eq!(bandit.prune(noon() + TimeDelta::hours(49)), 1);
    assert_eq!(bandit.reward("joined", true, noon() + TimeDelta::hours(30)), Join::Unknown);
}

#[test]
fn a_bandit_goes_on_after_it_was_stored() {
    let mut bandit: Bandit<Bernoulli> = bandit(3);
    bandit.published("post", 2, noon());
    let stored = serde_json::to_string(&bandit).expect("a bandit is JSON");
    let mut read: Bandit<Bernoulli> = serde_json::from_str(&stored).expect("it reads what it wrote");
    assert_eq!(read, bandit);
    assert_eq!(read.reward("post", true, noon() + TimeDelta::hours(24)), Join::Counts { arm: 2 });
}

#[test]
fn a_logged_seed_replays_its_choice_in_every_release() {
    // The figures are those of the first release. A change here means that logged decisions can no longer be replayed.
    let choice = choose(&arms(&[(3, 7), (5, 5), (1, 1)]), &Exploration::default(), 42).expect("three arms");
    let shares: Vec<f64> = choice.propensities.iter().map(|share| (share * 10_000.0).round()).collect();
    assert_eq!((choice.arm, choice.explored, shares), (0, false, vec![1_008.0, 4_515.0, 4_477.0]));
}

#[test]
fn arms_are_chosen_as_often_as_their_propensities_say() {
    let arms = arms(&[(3, 7), (5, 5), (1, 1)]);
    let (mut chosen, mut said) = ([0.0; 3], [0.0; 3]);
    for seed in 0..600 {
        let choice = choose(&arms, &Exploration { draws: 1_000, ..Exploration::default() }, seed).expect("three arms");
        chosen[choice.arm] += 1.0 / 600.0;
        said.iter_mut().zip(&choice.propensities).for_each(|(sum, share)| *sum += share / 600.0);
    }
    // Four standard errors of a share of 600.
    assert!(chosen.iter().zip(said).all(|(chosen, said)| (chosen - said).abs() < 0.08), "{chosen:?} {said:?}");
}

#[test]
fn settings_that_cannot_hold_are_refused() {
    let exploration = Exploration { floor: 0.3, ..Exploration::default() };
    let refused = choose(&arms(&[(1, 1); 4]), &exploration, 1);
    assert_eq!(refused, Err(ChoiceError::TooManyArms { arms: 4, floor: 0.3 }));
    assert_eq!(choose::<Bernoulli>(&[], &Exploration::default(), 1), Err(ChoiceError::NoArms));
    let few = Exploration { draws: 10, ..Exploration::default() };
    assert_eq!(
        choose(&arms(&[(1, 1)]), &few, 1).expect_err("too few").to_string(),
        "draws is 10; it must be at least 1000"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn propensities_sum_to_one_and_none_is_below_the_floor(
        of in proptest::collection::vec((0_u8..60, 0_u8..60), 1..8),
        seed in any::<u64>(),
        epsilon in 0.0..0.2,
    ) {
        let exploration = Exploration { epsilon, draws: 1_000, ..Exploration::default() };
        let arms = arms(&of);
        let choice = choose(&arms, &exploration, seed).expect("at least one arm");
        prop_assert!((choice.propensities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        prop_assert!(choice.propensities.iter().all(|share| *share >= exploration.floor - 1e-12));
        prop_assert!(choice.propensity() > 0.0);
        prop_assert_eq!(choose(&arms, &exploration, seed), Ok(choice));
    }
}
