//! `perch recover`: rebuilds the queues of an empty or rolled-back Redis from Postgres.

use std::collections::BTreeMap;

use perch_core::recovery::{LossCheck, Recovered, Recovery};
use perch_jobs::QueueName;
use perch_publishing::reconciler;
use serde_json::json;

use crate::{
    app::{App, store},
    commands::audit,
    error::CommandError,
    format::{
        table::{Listing, cell, number, whole},
        text::count,
    },
};

/// Rebuilds the queues of an empty or rolled-back Redis from Postgres
///
/// Jobs that Postgres knows as unfinished and that Redis has lost wait again, with the attempts that they had; dead letters
/// are dead letters again. Jobs that have ended and that an older copy of Redis brought back are removed. It may run while
/// workers do, and again: what is right already stays.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only show what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Postgres may have lost something: posts that are put back are looked for on X before they are made. Set by itself where
    /// Postgres shows that it was restored, promoted or replaced
    #[arg(long)]
    pub in_doubt: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    let store = store(&settings)?;
    store.require_schema().await?;
    queues.redis().ping().await?;
    let doubts = LossCheck::new(&queues, &store, &settings);
    let looked = doubts.look().await?;
    for doubt in &looked.doubts {
        app.out.note(format_args!("warning: {doubt}"));
    }
    let in_doubt = args.in_doubt || !looked.doubts.is_empty() || !looked.can_be_told();
    if in_doubt {
        app.out.note(
            "warning: what ran in the seconds that Postgres may have lost may run again; posts are looked for on X before they are made",
        );
    }
    if !args.dry_run {
        app.out
            .confirm(&format!("This brings the queues of {} to what Postgres knows of them", settings.env), args.yes)?;
    }
    let bar = app.out.spinner("jobs");
    let all = queues.iter().cloned().collect();
    let recovery =
        Recovery::new(all, &queues, &store, &settings, reconciler()).dry_run(args.dry_run).in_doubt(in_doubt);
    let done = recovery.whole(&looked, |jobs| bar.inc(jobs)).await?;
    bar.finish_and_clear();
    if !args.dry_run {
        doubts.settle(&looked, in_doubt).await?;
    }
    if !args.dry_run && !done.is_empty() {
        audit::note(app, &settings, "recover", settings.env.prefix(), &json!(done)).await;
    }
    report(app, args.dry_run, &done)
}

fn report(app: &App, dry_run: bool, done: &BTreeMap<QueueName, Recovered>) -> Result<(), CommandError> {
    if app.out.is_json() {
        return app.out.json(&json!({ "dry_run": dry_run, "queues": done }));
    }
    if done.is_empty() {
        return app.out.line("Redis and Postgres agree; there is nothing to recover");
    }
    let mut listing = Listing::new([
        whole("QUEUE"),
        number("RESTORED"),
        number("DEAD LETTERS"),
        number("REMOVED"),
        number("UNREADABLE"),
    ]);
    for (queue, done) in done {
        listing.row([
            cell(queue),
            cell(done.restored),
            cell(done.dead_letters),
            cell(done.removed),
            cell(done.unreadable),
        ]);
    }
    app.out.table(&listing)?;
    let all = |part: fn(&Recovered) -> u64| done.values().map(part).sum::<u64>();
    let back = count(all(|done| done.restored + done.dead_letters), "job");
    let gone = count(all(|done| done.removed), "job");
    let (would, were) =
        if dry_run { ("would be ", "nothing was changed") } else { ("", "start the workers, or let them go on") };
    app.out.line(format_args!("{back} {would}put back, {gone} that had ended {would}removed; {were}"))
}
