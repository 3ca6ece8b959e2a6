//! `perch audit`: what was changed, by whom. And the lines that other commands add to it.

use chrono::Utc;
use perch_base::Settings;
use perch_bot::cli::not_audited;
use perch_store::AuditFilter;
use serde_json::Value;

use crate::{
    app::{App, operator, store},
    error::CommandError,
    format::{
        table::{Listing, cell, cut, whole},
        time::from_now,
    },
};

#[derive(Debug, clap::Subcommand)]
pub enum Audit {
    /// The latest lines of the audit log
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only about this object: a queue, a job, a key
    #[arg(long)]
    pub object: Option<String>,
    /// Only by this person, key or part of the system
    #[arg(long)]
    pub actor: Option<String>,
    /// Only lines before this number, for the next page
    #[arg(long, value_name = "NUMBER")]
    pub before: Option<i64>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
}

pub async fn run(app: &App, Audit::List(args): &Audit) -> Result<(), CommandError> {
    let (_, store) = app.store()?;
    let filter =
        AuditFilter { object: args.object.clone(), actor: args.actor.clone(), before: args.before, limit: args.limit };
    let entries = store.audit().list(&filter).await?;
    if app.out.is_json() {
        return app.out.json(&entries);
    }
    if entries.is_empty() {
        return app.out.line("the audit log has no such line");
    }
    let now = Utc::now();
    let mut listing =
        Listing::new([whole("NUMBER"), whole("WHEN"), cut("WHO"), whole("WHAT"), cut("OBJECT"), cut("DETAILS")]);
    for entry in &entries {
        listing.row([
            cell(entry.id),
            cell(from_now(entry.at, now)),
            cell(&entry.actor),
            cell(&entry.action),
            cell(&entry.object),
            cell(&entry.details),
        ]);
    }
    app.out.table(&listing)
}

/// Adds a line about something that was done. What was done stays done when Postgres is away; then a warning says that
/// the line is missing.
pub async fn note(app: &App, settings: &Settings, action: &str, object: &str, details: &Value) {
    if let Err(error) = add(settings, action, object, details).await {
        not_audited(&app.out, &error);
    }
}

/// Adds a line about something that was done.
pub async fn add(settings: &Settings, action: &str, object: &str, details: &Value) -> Result<(), CommandError> {
    store(settings)?.audit().record(&operator(), action, object, details).await?;
    Ok(())
}
