//! `perch doctor`: finds problems of an installation, and says how to fix them.

mod backup;
mod bots;
mod brake;
mod check;
mod configuration;
mod envelopes;
mod models;
mod postgres;
mod recovery;
mod redis;
mod sync;

use perch_base::Settings;
use serde_json::json;

use self::check::{Check, Level};
use crate::{
    app::App,
    error::{CommandError, chain},
    format::{
        line::{Line, Tone},
        text::count,
    },
};

pub use self::redis::warn_at_start;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read every job in Redis too, and compare it with its checksum; takes some seconds for a million
    #[arg(long)]
    pub deep: bool,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let conclusions = Conclusions { well: "all is well", works: "it works", fails: "before it works" };
    report(app, &looked_at(app, async |settings: &Settings| all(settings, args.deep).await).await, &conclusions)
}

/// The closing sentences of a list of findings.
pub struct Conclusions {
    /// No warning and no failure.
    pub well: &'static str,
    /// Warnings only; their number follows.
    pub works: &'static str,
    /// Failures; their number comes before it.
    pub fails: &'static str,
}

/// The findings of `look`, or a failure when the configuration cannot be read.
pub async fn looked_at(app: &App, look: impl AsyncFnOnce(&Settings) -> Vec<Check>) -> Vec<Check> {
    match app.settings() {
        Ok(settings) => look(&settings).await,
        Err(error) => vec![
            Check::fail("configuration", chain(&error))
                .mend("correct what is named; `perch config check` reads it again. The other checks need it"),
        ],
    }
}

/// Prints findings; an error when one of them is a failure.
pub fn report(app: &App, checks: &[Check], conclusions: &Conclusions) -> Result<(), CommandError> {
    let failed = checks.iter().filter(|check| check.level == Level::Fail).count();
    let warned = checks.iter().filter(|check| check.level == Level::Warn).count();
    if app.out.is_json() {
        app.out.json(&json!({ "ok": failed == 0, "failed": failed, "warned": warned, "checks": checks }))?;
    } else {
        for check in checks {
            show(app, check)?;
        }
        app.out.blank()?;
        app.out.line(match (failed, warned) {
            (0, 0) => conclusions.well.to_owned(),
            (0, n) => format!("{}; {} to look at", conclusions.works, count(n as u64, "thing")),
            (n, _) => format!("{} to mend {}", count(n as u64, "thing"), conclusions.fails),
        })?;
    }
    if failed == 0 { Ok(()) } else { Err(CommandError::Reported) }
}

async fn all(settings: &Settings, is_deep: bool) -> Vec<Check> {
    let mut checks = configuration::checks(settings);
    let (redis, postgres) = tokio::join!(redis::checks(settings), postgres::checks(settings));
    let is_up = !redis.iter().chain(&postgres).any(|check| check.level == Level::Fail);
    checks.extend(redis);
    checks.extend(postgres);
    if is_up {
        checks.push(brake::check(settings).await);
        checks.extend(bots::checks(settings).await);
        checks.push(sync::check(settings).await);
        checks.extend(recovery::checks(settings).await);
        checks.push(backup::postgres(settings).await.unwrap_or_else(|away| away));
        checks.push(backup::ledger(settings).await);
        if is_deep {
            checks.push(envelopes::check(settings).await);
        }
    }
    checks
}

/// The checks of what a restore needs.
pub async fn restore(settings: &Settings) -> Vec<Check> {
    let (redis, postgres) = tokio::join!(redis::on_disk(settings), backup::postgres(settings));
    let is_up = redis.is_ok() && postgres.is_ok();
    let mut checks: Vec<Check> = [redis, postgres].map(|check| check.unwrap_or_else(|away| away)).into();
    if is_up {
        checks.push(backup::ledger(settings).await);
        checks.push(sync::check(settings).await);
    }
    checks
}

fn show(app: &App, check: &Check) -> Result<(), CommandError> {
    let (word, tone) = match check.level {
        Level::Ok => ("ok", Tone::Good),
        Level::Info => ("note", Tone::Faint),
        Level::Warn => ("warn", Tone::Warn),
        Level::Fail => ("FAIL", Tone::Bad),
    };
    let head = tone.line(format_args!("{word:<4}")).then(format_args!("  {:<17}  ", check.name));
    app.out.hanging(&head, 25, check.found.as_str())?;
    let Some(mend) = &check.mend else { return Ok(()) };
    app.out.hanging(&Line::new(format_args!("{:25}", "")), 25, format!("-> {mend}"))
}
