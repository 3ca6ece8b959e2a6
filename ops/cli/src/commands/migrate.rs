//! `perch migrate`: brings the database to the schema of this release.

use serde_json::json;

use crate::{app::App, error::CommandError, format::time::took};

#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(app: &App, _: &Args) -> Result<(), CommandError> {
    let (_, store) = app.store()?;
    let out = app.out;
    let report = store
        .migrate(|step| {
            if !out.is_json() {
                let ms = u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX);
                // The migration goes on even when standard output is closed.
                let bot = step.bot.map(|bot| format!("{bot}: ")).unwrap_or_default();
                let _ = out.line(format_args!("{:>4}  {bot}{}  ({})", step.version, step.description, took(ms)));
            }
        })
        .await?;
    let steps: Vec<_> = report
        .applied
        .iter()
        .map(|step| {
            json!({
                "bot": step.bot,
                "version": step.version,
                "description": step.description,
                "ms": u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
            })
        })
        .collect();
    let text = if report.applied.is_empty() {
        format!("the database has schema {} already", report.to)
    } else {
        format!("the database has schema {} now; it had {}", report.to, report.from)
    };
    app.out.answer(&json!({ "from": report.from, "to": report.to, "applied": steps }), text)
}
