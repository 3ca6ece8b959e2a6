//! `perch doctor`: what is wrong with this installation, and how to mend it.

mod check;
mod configuration;
mod postgres;
mod recovery;
mod redis;
mod sync;

use perch_base::Settings;
use serde_json::json;

use self::check::{Check, Level};
use crate::{
    app::App,
    error::{OpsError, chain},
    format::{
        table::Tone,
        text::{count, wrapped},
    },
};

pub use self::redis::warn_at_start;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(app: &App, _: &Args) -> Result<(), OpsError> {
    let checks = match app.settings() {
        Ok(settings) => all(&settings).await,
        Err(error) => vec![
            Check::fail("configuration", chain(&error))
                .mend("correct what is named; `perch config check` reads it again. The other checks need it"),
        ],
    };
    let failed = checks.iter().filter(|check| check.level == Level::Fail).count();
    let warned = checks.iter().filter(|check| check.level == Level::Warn).count();
    if app.out.is_json() {
        app.out.json(&json!({ "ok": failed == 0, "failed": failed, "warned": warned, "checks": checks }))?;
    } else {
        for check in &checks {
            show(app, check)?;
        }
        let conclusion = match (failed, warned) {
            (0, 0) => "\nall is well".to_owned(),
            (0, n) => format!("\nit works; {} to look at", count(n as u64, "thing")),
            (n, _) => format!("\n{} to mend before it works", count(n as u64, "thing")),
        };
        app.out.line(conclusion)?;
    }
    if failed == 0 { Ok(()) } else { Err(OpsError::Reported) }
}

async fn all(settings: &Settings) -> Vec<Check> {
    let mut checks = configuration::checks(settings);
    let (redis, postgres) = tokio::join!(redis::checks(settings), postgres::checks(settings));
    let is_up = !redis.iter().chain(&postgres).any(|check| check.level == Level::Fail);
    checks.extend(redis);
    checks.extend(postgres);
    if is_up {
        checks.push(sync::check(settings).await);
        checks.extend(recovery::checks(settings).await);
    }
    checks
}

fn show(app: &App, check: &Check) -> Result<(), OpsError> {
    let (word, tone) = match check.level {
        Level::Ok => ("ok", Tone::Good),
        Level::Info => ("note", Tone::Faint),
        Level::Warn => ("warn", Tone::Warn),
        Level::Fail => ("FAIL", Tone::Bad),
    };
    let word = app.out.paint(tone, &format!("{word:<4}"));
    let mut lines = wrapped(&check.found, app.out.width().saturating_sub(25)).into_iter();
    app.out.line(format_args!("{word}  {:<17}  {}", check.name, lines.next().unwrap_or_default()))?;
    for line in lines {
        app.out.line(format_args!("{:25}{line}", ""))?;
    }
    for line in check.mend.iter().flat_map(|mend| wrapped(&format!("-> {mend}"), app.out.width().saturating_sub(25))) {
        app.out.line(format_args!("{:25}{line}", ""))?;
    }
    Ok(())
}
