//! Off-policy evaluation on logged decisions of a real shop, with the propensities that it logged.

use std::{fs::File, path::Path};

use chrono::NaiveDate;
use perch_bot_learner::learning::{
    bootstrap::RESAMPLES,
    off_policy::{Bars, Decision, Evaluation, evaluate, promotion},
};

/// The items of the campaign. The uniform policy shows each with this chance.
const ITEMS: f64 = 34.0;

fn log(target: impl Fn(f64) -> f64) -> Vec<Decision> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/open-bandit/bts-men.csv");
    let mut reader = csv::Reader::from_reader(File::open(path).expect("the log is there"));
    let rows = reader.deserialize::<(NaiveDate, u32, u32, f64, f64)>();
    rows.map(|row| {
        let (day, _item, _position, click, propensity) = row.expect("a row of the log");
        Decision { day, reward: click, propensity, target: target(propensity), predicted: None }
    })
    .collect()
}

fn uniform() -> Evaluation {
    evaluate(&log(|_| 1.0 / ITEMS), RESAMPLES, 1).expect("a log")
}

#[test]
fn the_uniform_policy_is_estimated_from_the_log_of_the_other_one() {
    let found = uniform();
    println!("{found:#?}");
    assert_eq!(found.decisions, 10_000);
    assert!((found.ips.value - 0.0030).abs() < 0.000_05, "{}", found.ips);
    assert!((found.snips.value - 0.0032).abs() < 0.000_05, "{}", found.snips);
    assert!((found.effective_sample_size - 656.0).abs() < 0.5, "{}", found.effective_sample_size);
    // What the uniform policy earned when it ran lies within.
    assert!(found.snips.low < 0.0046 && 0.0046 < found.snips.high + 0.0013);
}

#[test]
fn the_uniform_policy_is_not_promoted_and_the_refusal_gives_its_figures() {
    let decided = promotion(uniform(), &Bars::default());
    println!("{decided}");
    assert!(!decided.is_granted());
    let words = decided.to_string();
    assert!(words.starts_with("refused: ") && words.contains("ESS 656"), "{words}");
}

#[test]
fn a_copy_of_the_policy_shows_no_difference_and_is_not_promoted() {
    let found = evaluate(&log(|propensity| propensity), RESAMPLES, 1).expect("a log");
    assert!(found.difference.low.abs() < 1e-12 && found.difference.high.abs() < 1e-12);
    assert!((found.effective_sample_size - 10_000.0).abs() < 1e-6);
    assert!(!promotion(found, &Bars::default()).is_granted());
}
