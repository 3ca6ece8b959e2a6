//! How well the learning poster learns, on data that is not part of the project: `--data DIR`, where the folder `upworthy` of `DIR` holds
//! randomised tests of headlines and the folder `own-posts` the post analytics of one account, as X exports them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Datelike as _, Utc};
use perch_bot_learner::learning::{
    pairs::{self, Judgement, Package, Training},
    timing::{Comparison, Post, Timing},
};

use super::Bench;
use crate::{
    error::{BenchError, Outcome},
    report::{Bound, Report},
};

/// The share of the weeks that it learns from; it is judged on the rest.
const LEARNED: f64 = 0.7;
/// The first year that the times to post are judged on.
const JUDGED_FROM: i32 = 2_019;

pub fn run(bench: &Bench, report: &mut Report) -> Outcome {
    let Some(data) = &bench.data else {
        report.remark("not measured: it needs --data DIR, a folder with `upworthy` and `own-posts`");
        return Ok(());
    };
    headlines(&data.join("upworthy"), report)?;
    times(&data.join("own-posts"), report)
}

fn headlines(folder: &Path, report: &mut Report) -> Outcome {
    let mut packages: Vec<Package> = Vec::new();
    for file in files(folder, "packages")? {
        let read = File::open(&file).map_err(BenchError::io("read the tests of headlines"))?;
        packages.extend(pairs::read(read).map_err(BenchError::setup)?);
    }
    let judged = pairs::evaluate(&packages, LEARNED, &Training::default());
    let Judgement { ordered, log_loss, more_clicks, .. } = judged;
    report.goal_value("pairs of headlines in the right order", ordered.value, Bound::AtLeast(Judgement::ORDERED));
    report.goal_value("log loss of pairs of headlines", log_loss.value, Bound::AtMost(Judgement::LOG_LOSS));
    report.goal_value("more clicks by the choice", more_clicks.value, Bound::AtLeast(Judgement::MORE_CLICKS));
    judged.to_string().lines().for_each(|line| report.remark(line));
    Ok(())
}

/// Whether the learned times are no worse than the global mean.
fn times(folder: &Path, report: &mut Report) -> Outcome {
    let mut posts = Vec::new();
    for file in files(folder, "tweet_activity")? {
        posts.extend(own_posts(&file)?);
    }
    let (learned, later): (Vec<_>, Vec<_>) = posts.iter().partition(|post| post.0.year() < JUDGED_FROM);
    let (learned, later) = (slots(learned), slots(later));
    report.remark(format!("{} posts before {JUDGED_FROM}, judged on {} from then on", learned.len(), later.len()));
    report.remark(Timing::learn(&learned, 1).verdict().to_string());
    let compared = Comparison::of(&learned, &later, 1)
        .ok_or_else(|| BenchError::Setup(format!("there are no posts from {JUDGED_FROM} on, or none before")))?;
    let Comparison { global_mean, raw_cells, shrunk, used, .. } = compared;
    report.remark(format!("squared error: mean {global_mean:.4}, raw cells {raw_cells:.4}, shrunk {shrunk:.4}"));
    let says = "squared error of learned times, of that of the global mean";
    report.goal_value(says, used / global_mean, Bound::AtMost(1.0));
    Ok(())
}

fn files(folder: &Path, prefix: &str) -> Outcome<Vec<PathBuf>> {
    let listed = fs::read_dir(folder).map_err(BenchError::io(format!("read {}", folder.display())))?;
    let is_ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    let mut paths: Vec<PathBuf> = listed.filter_map(|entry| Some(entry.ok()?.path())).filter(is_ours).collect();
    paths.sort();
    Ok(paths)
}

/// When a post went out, and the logarithm of its likes.
type Liked = (DateTime<Utc>, f64);

fn slots(posts: Vec<&Liked>) -> Vec<Post> {
    posts.into_iter().map(|&(at, reward)| Post::new(at, reward)).collect()
}

fn own_posts(file: &Path) -> Outcome<Vec<Liked>> {
    let wrong = |error: &dyn ToString| BenchError::Setup(format!("{}: {}", file.display(), error.to_string()));
    let mut reader = csv::Reader::from_path(file).map_err(|error| wrong(&error))?;
    let header = reader.headers().map_err(|error| wrong(&error))?.clone();
    let place = |name: &str| {
        header.iter().position(|other| other == name).ok_or_else(|| wrong(&format!("there is no column {name}")))
    };
    let (time, likes) = (place("time")?, place("likes")?);
    let mut posts = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| wrong(&error))?;
        let at = DateTime::parse_from_str(&record[time], "%Y-%m-%d %H:%M %z").map_err(|error| wrong(&error))?.to_utc();
        posts.push((at, (record[likes].parse::<f64>().map_err(|error| wrong(&error))? + 1.0).ln()));
    }
    Ok(posts)
}
