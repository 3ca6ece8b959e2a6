//! `perch workers`: who works on what.

use std::time::Duration;

use futures::future::try_join_all;

use crate::{
    app::{App, now},
    error::CommandError,
    format::{
        table::{Listing, Tone, cell, compact, cut, number, whole},
        time::{from_now, from_now_or_dash},
    },
    parse::time::duration,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Workers seen within this time
    #[arg(long, value_parser = duration, default_value = "1m", value_name = "DURATION")]
    pub seen_within: Duration,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    let mut workers: Vec<_> =
        try_join_all(queues.iter().map(|queue| queue.workers(args.seen_within))).await?.into_iter().flatten().collect();
    workers.sort_by(|a, b| (&a.name, &a.queue).cmp(&(&b.name, &b.queue)));
    if app.out.is_json() {
        return app.out.json(&workers);
    }
    if workers.is_empty() {
        return app.out.line("no worker is there; start one with `perch worker`");
    }
    let now = now(queues.redis()).await?;
    // A worker renews its leases in this time; one that is later is in trouble.
    let late = settings.engine.lease;
    let mut listing =
        Listing::new([cut("WORKER"), whole("QUEUE"), number("RUNNING"), number("OF"), whole("STARTED"), whole("SEEN")]);
    for worker in &workers {
        let is_late = worker.running > 0 && (now - worker.seen).to_std().is_ok_and(|silent| silent > late);
        listing.row([
            cell(&worker.name),
            cell(&worker.queue),
            compact(worker.running),
            cell(worker.concurrency.map_or_else(|| "?".to_owned(), |n| n.to_string())),
            cell(from_now_or_dash(worker.since, now)),
            cell(from_now(worker.seen, now)).tone_if(is_late, Tone::Bad),
        ]);
    }
    app.out.table(&listing)
}
