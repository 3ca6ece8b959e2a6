//! What simulated readers are like.

#![expect(clippy::cast_precision_loss, reason = "counts of posts stay far below 2^52")]

use chrono::{DateTime, TimeDelta, Utc};
use perch_readers::{Counts, Form, Hook, Kind, Options, Readers, Recent, Shown};
use proptest::prelude::*;

fn noon() -> DateTime<Utc> {
    "2026-12-01T12:00:00Z".parse().expect("a time")
}

fn shown(topic: &str, hook: Hook) -> Shown {
    Shown { topic: Some(topic.into()), form: Form::Single, hook, parts: 1, length: 140 }
}

fn kinds() -> Vec<Kind> {
    Kind::all(&["rye", "salt"])
}

fn plain() -> Options {
    Options { rhythm: 0.0, kinds: kinds(), ..Options::default() }
}

fn day(counts: &perch_readers::Reactions) -> Counts {
    counts.at_age(TimeDelta::hours(24))
}

/// Followers with whom an average post has the median number of impressions at this time.
fn usual_followers(readers: &Readers, at: DateTime<Utc>) -> u64 {
    let for_each = readers.expected_impressions(at, 1_000_000, &[]) / 1_000_000.0;
    let enough = |followers: &u32| f64::from(*followers) * for_each >= 4_060.0;
    (1_u32..10_000_000).find(enough).map_or(0, u64::from)
}

#[test]
fn reactions_vary_28_times_as_much_as_coin_tosses() {
    let readers = Readers::new(3, plain());
    let (post, followers) = (shown("rye", Hook::Claim), usual_followers(&readers, noon()));
    let p = 1.0 / (1.0 + (-readers.expected_log_odds(&post, noon(), &[])).exp());
    // In a lognormal distribution single posts weigh much, so the mean over posts needs many of them.
    let posts = 40_000_u32;
    let (mut dispersion, mut rate) = (0.0, 0.0);
    for seed in 0..posts {
        let counts = readers.reactions(&post, noon(), followers, &[], seed.into()).at_age(TimeDelta::hours(48));
        let [k, n] = [counts.public(), counts.impressions].map(|count| f64::from(u32::try_from(count).expect("small")));
        dispersion += (k - n * p).powi(2) / (n * p * (1.0 - p)) / f64::from(posts);
        rate += k / n / f64::from(posts);
    }
    assert!((rate / p - 1.0).abs() < 0.02, "{rate} against {p}");
    assert!((25.0..32.0).contains(&dispersion), "{dispersion}");
}

#[test]
fn a_kind_that_is_liked_more_earns_as_much_more_as_is_expected() {
    let readers = Readers::new(5, plain());
    let taste = |hook| readers.taste(&shown("rye", hook).kind(), noon());
    let mut hooks = Hook::ALL;
    hooks.sort_by(|a, b| taste(*a).total_cmp(&taste(*b)));
    let mean = |hook| {
        let one = |seed| readers.reactions(&shown("rye", hook), noon(), 50_000, &[], seed);
        (0..4_000).map(|seed| day(&one(seed)).public()).sum::<u64>()
    };
    let ratio = mean(hooks[3]) as f64 / mean(hooks[0]) as f64;
    let should = (taste(hooks[3]) - taste(hooks[0])).exp();
    assert!(should > 1.02 && (ratio / should - 1.0).abs() < 0.01, "{ratio} against {should}");
}

#[test]
fn the_best_kind_and_the_worst_differ_by_30_percent() {
    for seed in 0..50 {
        let readers = Readers::new(seed, plain());
        let odds: Vec<f64> = kinds().iter().map(|kind| readers.taste(kind, noon())).collect();
        let (low, high) = odds.iter().fold((f64::MAX, f64::MIN), |(low, high), odds| (low.min(*odds), high.max(*odds)));
        assert!(((high - low).exp() - 1.3).abs() < 1e-9);
    }
}

#[test]
fn a_change_of_mind_makes_the_best_the_worst() {
    let change = noon();
    let readers = Readers::new(9, Options { change_of_mind: Some(change), ..plain() });
    let best = |at| {
        let by = |a: &Kind, b: &Kind| readers.taste(a, at).total_cmp(&readers.taste(b, at));
        (kinds().into_iter().max_by(by), kinds().into_iter().min_by(by))
    };
    let (before, after) = (best(change - TimeDelta::seconds(1)), best(change));
    assert_eq!((before.0, before.1), (after.1, after.0));
}

#[test]
fn a_second_post_within_two_hours_reaches_half_as_many() {
    let readers = Readers::new(1, plain());
    let before = |minutes| Recent { at: noon() - TimeDelta::minutes(minutes), kind: Kind::default() };
    let reach = |recent: &[Recent]| readers.expected_impressions(noon(), 5_000, recent);
    assert!((reach(&[before(119)]) / reach(&[]) - 0.5).abs() < 1e-12);
    assert!((reach(&[before(120), before(500)]) / reach(&[]) - 1.0).abs() < 1e-12);
}

#[test]
fn the_same_kind_again_and_again_earns_less_until_another_comes() {
    let readers = Readers::new(1, Options { fatigue: 0.02, ..plain() });
    let post = shown("rye", Hook::Claim);
    let of = |kinds: &[Kind]| {
        let recent: Vec<Recent> = kinds
            .iter()
            .zip(1_i64..)
            .map(|(kind, ago)| Recent { at: noon() - TimeDelta::hours(3 * ago), kind: kind.clone() })
            .collect();
        readers.expected_log_odds(&post, noon(), &recent)
    };
    let (same, other) = (post.kind(), Kind::default());
    let row: Vec<f64> = (0..8).map(|length| of(&vec![same.clone(); length])).collect();
    assert!((row[1] - row[0]).abs() < 1e-12 && row[2] < row[1] && row[3] < row[2] && (row[7] - row[5]).abs() < 1e-12);
    assert!((of(&[other, same.clone(), same.clone(), same]) - row[0]).abs() < 1e-12);
}

#[test]
fn more_react_at_some_hours_than_at_others() {
    let readers = Readers::new(2, Options::default());
    let at_hours = |of: &dyn Fn(DateTime<Utc>) -> f64| {
        let all: Vec<f64> = (0..24).map(|hour| of(noon() + TimeDelta::hours(hour))).collect();
        all.iter().copied().fold(f64::MIN, f64::max) - all.iter().copied().fold(f64::MAX, f64::min)
    };
    let reach = at_hours(&|at| readers.expected_impressions(at, 1_000, &[]).ln());
    let rate = at_hours(&|at| readers.expected_log_odds(&shown("rye", Hook::Claim), at, &[]));
    assert!(reach > 0.5 && (0.15..0.3).contains(&rate), "{reach} {rate}");
}

#[test]
fn a_text_is_recognised_and_a_topic_that_nobody_named_has_a_taste_too() {
    let shown = Shown::of(&["Last week I baked rye.", "Then salt came."], &["salt", "Rye bread", "rye"]);
    let kind = Kind { topic: Some("rye".into()), form: Form::Thread, hook: Hook::Story };
    assert_eq!((shown.kind(), shown.parts, shown.length), (kind, 2, 22));
    let readers = Readers::new(1, plain());
    let other = Kind { topic: Some("ovens".into()), ..shown.kind() };
    assert!(readers.taste(&other, noon()).abs() <= 1.3_f64.ln() / 2.0 + 1e-12);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn reactions_come_early_never_fall_and_end_after_two_days(seed: u64, followers in 0_u64..1_000_000, hours in prop::collection::vec(0_i64..100, 1..10)) {
        let readers = Readers::new(seed, Options::default());
        let reactions = readers.reactions(&shown("rye", Hook::Number), noon(), followers, &[], seed);
        let mut hours = hours;
        hours.sort_unstable();
        let ages: Vec<[u64; 11]> = hours.iter().map(|hour| values(&reactions.at_age(TimeDelta::hours(*hour)))).collect();
        prop_assert!(ages.windows(2).all(|two| two[0].iter().zip(two[1]).all(|(young, old)| *young <= old)));
        let all = reactions.at_age(TimeDelta::hours(48));
        prop_assert_eq!(reactions.at_age(TimeDelta::days(300)), all);
        prop_assert_eq!(reactions.at_age(TimeDelta::seconds(-5)), Counts::default());
        prop_assert!(all.impressions < 10 || reactions.at_age(TimeDelta::hours(4)).impressions * 2 >= all.impressions);
        // Each of the four public reactions may be rounded up by a half.
        prop_assert!(ages.iter().all(|counts| counts[1..10].iter().all(|count| *count <= counts[0])));
    }

    #[test]
    fn the_same_post_gets_the_same_reactions(seed: u64, post: u64) {
        let of = |seed| Readers::new(seed, Options::default()).reactions(&shown("rye", Hook::Story), noon(), 5_000, &[], post);
        prop_assert_eq!(of(seed), of(seed));
        prop_assert_ne!(of(seed), of(seed.wrapping_add(1)));
    }
}

fn values(counts: &Counts) -> [u64; 11] {
    let Counts {
        impressions,
        likes,
        replies,
        reposts,
        quotes,
        bookmarks,
        profile_clicks,
        url_clicks,
        detail_expands,
        follows,
    } = *counts;
    [
        impressions,
        likes,
        replies,
        reposts,
        quotes,
        bookmarks,
        profile_clicks,
        url_clicks,
        detail_expands,
        follows,
        counts.public(),
    ]
}
