//! What learning gains with simulated readers, as bars.

use perch_bot_learner::simulate::{Options, run};

#[test]
fn learning_reaches_its_share_of_the_possible_gain_and_a_growth_weight_brings_followers() {
    let report = run(&Options::default(), &|| {}).expect("a report");
    println!("{report}");
    let share = |posts| report.gains.iter().find(|gain| gain.posts == posts).expect("it is looked at").share.median;
    assert!(share(300) >= 0.30, "{}", share(300));
    assert!(share(1_000) >= 0.50, "{}", share(1_000));
    assert!(report.by_growth.is_some_and(|gained| gained.median > 0.0), "{:?}", report.by_growth);
}

#[test]
fn readers_who_change_their_minds_are_followed() {
    let options = Options { drift: true, weeks: 24, seeds: 6, growth_weight: 0.0, ..Options::default() };
    let report = run(&options, &|| {}).expect("a report");
    println!("{report}");
    // What was best half-way is worst then: who does not follow loses more than a uniform choice.
    let last = report.weeks.last().expect("it has weeks");
    assert!(last.learned.median >= 0.5 * last.best.median, "{last:?}");
}
