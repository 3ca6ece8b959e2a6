use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use chrono::NaiveDate;
use perch_bot::cli::{CommandError, Invocation};
use perch_jobs::PersonaName;
use serde::Deserialize;

use super::{evaluate_times::of_posts, one, said};
use crate::{
    evaluating::judge,
    learning::{
        bootstrap::RESAMPLES,
        off_policy::{Bars, Decision, Promotion, evaluate, promotion},
        pairs::{self, Training},
    },
    settings::LearnerSettings,
    store::LearnerStore as _,
};

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub struct Args {
    /// The log of this bot
    #[arg(requires = "version", conflicts_with_all = ["log", "pairs", "posts"])]
    pub name: Option<PersonaName>,
    /// The version of its policy that is judged
    #[arg(long, requires = "name")]
    pub version: Option<i32>,
    /// A log as CSV with the columns day, reward, propensity and, unless --arms is given, target: the probability under the other policy
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// The other policy is the uniform one over so many arms
    #[arg(long, value_name = "N", requires = "log")]
    pub arms: Option<u32>,
    /// Randomised tests of pairs of texts, as CSV in the form of the Upworthy archive
    #[arg(long, value_name = "FILE", conflicts_with = "log")]
    pub pairs: Option<PathBuf>,
    /// The posts of an account, as CSV with the columns time and likes, as X exports them; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with_all = ["log", "pairs"], requires = "judged_from")]
    pub posts: Vec<PathBuf>,
    /// The day from which on posts are predicted by those before it, with --posts
    #[arg(long, value_name = "DAY", requires = "posts")]
    pub judged_from: Option<NaiveDate>,
    /// The share of the weeks that the model is trained on, with --pairs
    #[arg(long, value_name = "SHARE", default_value_t = 0.7, requires = "pairs")]
    pub train: f64,
}

pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    if let Some(judged_from) = args.judged_from {
        return said(at, &of_posts(&args.posts, judged_from)?);
    }
    match (args, &args.name) {
        (Args { pairs: Some(file), .. }, _) => of_pairs(at, file, args.train),
        (Args { log: Some(file), .. }, _) => said(at, &of_log(file, args.arms)?),
        (_, Some(name)) => of_bot(at, name, args.version.unwrap_or(1)).await,
        _ => Err(CommandError::Usage("name a bot with --version, or give --log, --pairs or --posts".into())),
    }
}

async fn of_bot(at: &Invocation<'_>, name: &PersonaName, version: i32) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    one(store, name).await?;
    let own = settings.sections.get::<LearnerSettings>()?;
    let stored = store.learner().policy(name, version).await?.ok_or_else(|| {
        CommandError::Refused(format!(
            "{name} has no version {version}; `perch learn policies {name}` shows those there are"
        ))
    })?;
    let waiting = at.out.waiting();
    waiting.set_message("the log of decisions is evaluated");
    let judged = judge(store, &own, name, &stored.policy).await;
    waiting.finish_and_clear();
    said(at, &judged.map_err(|error| CommandError::Refused(error.to_string()))?)
}

/// A row of a log. Both the names of the columns here and those of the Open Bandit Dataset are understood.
#[derive(Debug, Deserialize)]
struct Row {
    day: NaiveDate,
    #[serde(alias = "click")]
    reward: f64,
    #[serde(alias = "propensity_score")]
    propensity: f64,
    #[serde(default)]
    target: Option<f64>,
}

fn opened(file: &Path) -> Result<File, CommandError> {
    File::open(file).map_err(|error| CommandError::Usage(format!("{}: {error}", file.display())))
}

fn of_log(file: &Path, arms: Option<u32>) -> Result<Promotion, CommandError> {
    let refused = |why: String| CommandError::Usage(format!("{}: {why}", file.display()));
    let uniform = arms.map(|arms| 1.0 / f64::from(arms.max(1)));
    let log = rows(opened(file)?, uniform).map_err(refused)?;
    let evaluation = evaluate(&log, RESAMPLES, 1).map_err(|error| refused(error.to_string()))?;
    Ok(promotion(evaluation, &Bars::default()))
}

fn rows(source: impl Read, uniform: Option<f64>) -> Result<Vec<Decision>, String> {
    let mut reader = csv::Reader::from_reader(source);
    let mut log = Vec::new();
    for row in reader.deserialize::<Row>() {
        let Row { day, reward, propensity, target } = row.map_err(|error| error.to_string())?;
        let target = uniform.or(target).ok_or("has no column target; give it, or --arms for the uniform policy")?;
        log.push(Decision { day, reward, propensity, target, predicted: None });
    }
    Ok(log)
}

fn of_pairs(at: &Invocation<'_>, file: &Path, share: f64) -> Result<(), CommandError> {
    if !(0.1..=0.9).contains(&share) {
        return Err(CommandError::Usage(format!("--train is {share}; allowed: 0.1 to 0.9")));
    }
    let packages =
        pairs::read(opened(file)?).map_err(|error| CommandError::Usage(format!("{}: {error}", file.display())))?;
    let waiting = at.out.waiting();
    waiting.set_message("a model is trained on the first weeks and judged on the others");
    let judgement = pairs::evaluate(&packages, share, &Training::default());
    waiting.finish_and_clear();
    said(at, &judgement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_either_form_is_read_and_one_without_a_target_says_what_to_do() {
        let ours = "day,reward,propensity,target\n2026-12-01,0.5,0.25,0.5\n";
        let target = |text: &str, uniform| rows(text.as_bytes(), uniform).expect("rows")[0].target;
        assert!((target(ours, None) - 0.5).abs() < 1e-12);
        let theirs = "day,item_id,position,click,propensity_score\n2019-11-24,2,2,0,0.045525\n";
        assert!((target(theirs, Some(0.25)) - 0.25).abs() < 1e-12);
        assert!(rows(theirs.as_bytes(), None).expect_err("no target").contains("--arms"));
        assert!(rows("day,reward\nx,1\n".as_bytes(), None).is_err());
    }
}
