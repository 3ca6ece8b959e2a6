//! `perch workers`: lists the workers.

use std::time::Duration;

use perch_core::worker_list;
use perch_queue::Queue;

use crate::{
    app::{App, now},
    error::CommandError,
    format::{
        table::{Listing, Tone, cell, compact, cut, number, whole},
        time::{from_now, from_now_or_dash},
    },
    output::Paging,
    parse::time::duration,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Workers seen within this time
    #[arg(long, value_parser = duration, default_value = "1m", value_name = "DURATION")]
    pub seen_within: Duration,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    let all: Vec<Queue> = queues.iter().cloned().collect();
    let page = worker_list::workers(&all, args.seen_within, &args.paging).await?;
    let now = now(queues.redis()).await?;
    // A worker with running jobs is seen at least once per lease; one seen longer ago is marked.
    let late = settings.engine.lease;
    app.out.page(&page, "no worker is there; start one with `perch worker`", |workers| {
        let mut listing = Listing::new([
            cut("WORKER"),
            whole("QUEUE"),
            number("RUNNING"),
            number("OF"),
            whole("STARTED"),
            whole("SEEN"),
        ]);
        for worker in workers {
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
        listing
    })
}
