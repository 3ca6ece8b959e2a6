//! How well the learning poster learns, on data that is not part of the project: `--data DIR`, where the folder `upworthy` of `DIR` holds
//! randomised tests of headlines and the folder `own-posts` the post analytics of one account, as X exports them. It is judged by
//! `perch learn evaluate`, as anybody can.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::Bench;
use crate::{
    deployed::perch,
    error::{BenchError, Outcome},
    report::{Bound, Report},
};

/// The first day that the times to post are judged on.
const JUDGED_FROM: &str = "2019-01-01";

pub async fn run(bench: &Bench, report: &mut Report) -> Outcome {
    let Some(data) = &bench.data else {
        report.remark("not measured: it needs --data DIR, a folder with `upworthy` and `own-posts`");
        return Ok(());
    };
    for file in files(&data.join("upworthy"), "packages")? {
        let judged = evaluated(&["--pairs", &file]).await?;
        let figure = |name: &str| judged[name]["value"].as_f64().unwrap_or(f64::NAN);
        let interval = |name: &str| format!("{name} {}", judged[name]);
        report.goal_value("pairs of headlines in the right order", figure("ordered"), Bound::AtLeast(0.65));
        report.goal_value("log loss of pairs of headlines", figure("log_loss"), Bound::AtMost(0.63));
        report.goal_value("more clicks by the choice, as a share", figure("more_clicks"), Bound::AtLeast(0.04));
        for name in ["ordered", "ordered_of_different", "log_loss", "more_clicks"] {
            report.remark(interval(name));
        }
    }
    let posts = files(&data.join("own-posts"), "tweet_activity")?;
    let mut arguments = vec!["--judged-from", JUDGED_FROM];
    arguments.extend(posts.iter().flat_map(|file| ["--posts", file]));
    let judged = evaluated(&arguments).await?;
    let figure = |name: &str| judged[name].as_f64().unwrap_or(f64::NAN);
    let says = "squared error of learned times, of that of the global mean";
    report.goal_value(says, figure("used") / figure("global_mean"), Bound::AtMost(1.0));
    report.remark(judged["verdict"].as_str().unwrap_or_default());
    Ok(())
}

/// The answer of `perch learn evaluate`.
async fn evaluated(arguments: &[&str]) -> Outcome<Value> {
    let vars = [("APP_ENV".to_owned(), "staging".to_owned())];
    let said = perch(&[&["learn", "evaluate", "--json"], arguments].concat(), &vars).await?;
    Ok(serde_json::from_str(&said)?)
}

fn files(folder: &Path, prefix: &str) -> Outcome<Vec<String>> {
    let listed = fs::read_dir(folder).map_err(BenchError::io(format!("read {}", folder.display())))?;
    let is_ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    let paths = listed.filter_map(|entry| Some(entry.ok()?.path())).filter(is_ours);
    let mut files: Vec<String> = paths.map(|path| path.display().to_string()).collect();
    files.sort();
    Ok(files)
}
