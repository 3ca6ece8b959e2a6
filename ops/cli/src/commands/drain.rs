//! `perch drain`: waits until a queue is empty.

use std::time::Duration;

use perch_jobs::QueueName;
use perch_queue::QueueStats;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    app::{App, named},
    error::CommandError,
    format::text::count,
    parse::time::duration,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The queue
    pub queue: QueueName,
    /// Give up after this time, such as 10m; without it, wait as long as it takes
    #[arg(long, value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Also wait for delayed jobs: those put off, and retries
    #[arg(long)]
    pub delayed: bool,
}

const LOOK: Duration = Duration::from_millis(300);

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (_, queues) = app.queues()?;
    let queue = named(&queues, &args.queue)?;
    let start = Instant::now();
    let spinner = app.out.waiting();
    loop {
        let stats = queue.stats().await?;
        let left = left(&stats, args.delayed);
        if left == 0 {
            spinner.finish_and_clear();
            return app.out.answer(
                &json!({ "queue": queue.name(), "drained": true, "delayed": stats.delayed, "dead": stats.dead }),
                format_args!(
                    "{} is drained; {} and {} are left",
                    queue.name(),
                    count(stats.delayed, "delayed job"),
                    count(stats.dead, "dead letter")
                ),
            );
        }
        if let Some(reason) = stuck(&stats) {
            return Err(CommandError::Refused(format!("{} does not drain: {reason}", queue.name())));
        }
        if args.timeout.is_some_and(|timeout| start.elapsed() >= timeout) {
            return Err(CommandError::Refused(format!("{} is not drained: {} left", queue.name(), count(left, "job"))));
        }
        let warning = if stats.workers == 0 { ", and no worker is there" } else { "" };
        spinner.set_message(format!(
            "{}: {} waiting, {} running{warning}",
            queue.name(),
            stats.waiting() + stats.overdue,
            stats.running
        ));
        tokio::time::sleep(LOOK).await;
    }
}

fn left(stats: &QueueStats, delayed: bool) -> u64 {
    stats.waiting() + stats.running + if delayed { stats.delayed } else { stats.overdue }
}

/// Why the queue can never drain, if so.
fn stuck(stats: &QueueStats) -> Option<String> {
    let by = stats.paused_by.as_ref()?;
    (stats.running == 0).then(|| format!("it was paused by {by}; `perch resume {}` lets it go on", stats.queue))
}
