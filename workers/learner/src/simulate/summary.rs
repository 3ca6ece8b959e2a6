//! A report from what was published.

use chrono::{DateTime, Utc};

use super::{
    Options, World,
    account::Published,
    report::{AFTER_CHANGE, Change, Followers, Gain, LOOKED_AT, Quartiles, Report, Runs, SeedReport, WINDOW, Week},
    world::end_of,
};

impl Report {
    pub(super) fn of(options: &Options, runs: &[Runs]) -> Self {
        let seeds: Vec<SeedReport> = runs.iter().map(seed).collect();
        let looked_at = seeds.first().map(|seed| seed.gains.iter().map(|gain| gain.posts).collect::<Vec<_>>());
        let gain = |posts: usize| {
            let share = |seed: &SeedReport| seed.gains.iter().find(|gain| gain.posts == posts).map(|gain| gain.share);
            Gain { posts, share: Quartiles::of(seeds.iter().filter_map(share)) }
        };
        let grown = |seed: &SeedReport| Some(seed.followers.with_growth? - seed.followers.learned);
        let changes: Vec<Change<f64>> = seeds.iter().filter_map(|seed| seed.change).collect();
        Self {
            options: *options,
            arms: runs.first().map(|runs| runs.world.arms()).unwrap_or_default(),
            gains: looked_at.into_iter().flatten().map(gain).collect(),
            followers: all_followers(&seeds.iter().map(|seed| seed.followers).collect::<Vec<_>>()),
            by_growth: (options.growth_weight > 0.0).then(|| Quartiles::of(seeds.iter().filter_map(grown))),
            change: (!changes.is_empty()).then(|| Change {
                old_best: Quartiles::of(changes.iter().map(|change| change.old_best)),
                new_best: Quartiles::of(changes.iter().map(|change| change.new_best)),
            }),
            weeks: weeks(options, runs),
            seeds,
        }
    }
}

fn seed(runs: &Runs) -> SeedReport {
    let posts = &runs.learned;
    let gain =
        |count: usize| Gain { posts: count, share: runs.world.gain(&posts[count.saturating_sub(WINDOW)..count]) };
    SeedReport {
        seed: runs.world.seed(),
        gains: LOOKED_AT.into_iter().filter(|count| *count <= posts.len()).map(gain).collect(),
        followers: followers(runs, None),
        change: runs.world.changes_at().and_then(|at| change(&runs.world, posts, at)),
    }
}

/// The followers that were gained by a time, or by the end.
fn followers(runs: &Runs, until: Option<DateTime<Utc>>) -> Followers<f64> {
    let gained = |posts: &[Published]| {
        let count = until.map_or(posts.len(), |until| posts.partition_point(|post| post.at < until));
        let first = posts.first().map_or(0, |post| post.followers);
        posts[..count].last().map_or(0.0, |post| post.followers.saturating_sub(first) as f64)
    };
    let with_growth = (!runs.with_growth.is_empty()).then(|| gained(&runs.with_growth));
    Followers { uniform: gained(&runs.uniform), learned: gained(&runs.learned), with_growth }
}

fn all_followers(of: &[Followers<f64>]) -> Followers<Quartiles> {
    let grown: Vec<f64> = of.iter().filter_map(|seed| seed.with_growth).collect();
    Followers {
        uniform: Quartiles::of(of.iter().map(|seed| seed.uniform)),
        learned: Quartiles::of(of.iter().map(|seed| seed.learned)),
        with_growth: (!grown.is_empty()).then(|| Quartiles::of(grown)),
    }
}

/// What the last choices are, of those within so many posts after the change. `None` if there are not as many.
fn change(world: &World, posts: &[Published], at: DateTime<Utc>) -> Option<Change<f64>> {
    let first = posts.partition_point(|post| post.at < at);
    let window = posts.get(first + AFTER_CHANGE - WINDOW..first + AFTER_CHANGE)?;
    let tastes = world.tastes(at);
    let place = |by: f64| (0..tastes.len()).max_by(|a, b| (by * tastes[*a]).total_cmp(&(by * tastes[*b])));
    let (new, old) = (place(1.0)?, place(-1.0)?);
    let share = |arm: usize| window.iter().map(|post| post.propensities[arm]).sum::<f64>() / WINDOW as f64;
    Some(Change { old_best: share(old), new_best: share(new) })
}

fn weeks(options: &Options, runs: &[Runs]) -> Vec<Week> {
    let week = |week: u32| {
        let until = end_of(week);
        // Means of logarithmic odds, so that the difference of two is a ratio.
        let mean = |posts: &[Published]| {
            let (from, to) = (end_of(week - 1), posts.partition_point(|post| post.at < until));
            let posts = &posts[posts.partition_point(|post| post.at < from)..to];
            posts.iter().map(|post| post.expected).sum::<f64>() / posts.len() as f64
        };
        let lift = |of: &dyn Fn(&Runs) -> f64| Quartiles::of(runs.iter().map(of).filter(|lift| lift.is_finite()));
        let gained: Vec<Followers<f64>> = runs.iter().map(|runs| followers(runs, Some(until))).collect();
        Week {
            week,
            learned: lift(&|runs| (mean(&runs.learned) - mean(&runs.uniform)).exp_m1()),
            best: lift(&|runs| (mean(&runs.best) - mean(&runs.uniform)).exp_m1()),
            followers: all_followers(&gained),
        }
    };
    (1..=options.weeks).map(week).collect()
}
