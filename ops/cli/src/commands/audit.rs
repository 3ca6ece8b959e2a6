//! `perch audit`: lists the audit log; and adds the lines of other commands to it.

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
    output::Paging,
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
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn run(app: &App, Audit::List(args): &Audit) -> Result<(), CommandError> {
    let (_, store) = app.store()?;
    let filter = AuditFilter { object: args.object.clone(), actor: args.actor.clone() };
    let page = store.audit().list(&filter, &args.paging.or(20)).await?;
    let now = Utc::now();
    app.out.page(&page, "the audit log has no such line", |entries| {
        let mut listing =
            Listing::new([whole("NUMBER"), whole("WHEN"), cut("WHO"), whole("WHAT"), cut("OBJECT"), cut("DETAILS")]);
        for entry in entries {
            listing.row([
                cell(entry.id),
                cell(from_now(entry.at, now)),
                cell(&entry.actor),
                cell(&entry.action),
                cell(&entry.object),
                cell(&entry.details),
            ]);
        }
        listing
    })
}

/// Adds a line to the audit log after an action. The action stands even when Postgres is away; then a warning says that
/// the line is missing.
pub async fn note(app: &App, settings: &Settings, action: &str, object: &str, details: &Value) {
    if let Err(error) = add(settings, action, object, details).await {
        not_audited(&app.out, &error);
    }
}

/// Adds a line to the audit log.
pub async fn add(settings: &Settings, action: &str, object: &str, details: &Value) -> Result<(), CommandError> {
    store(settings)?.audit().record(&operator(), action, object, details).await?;
    Ok(())
}
