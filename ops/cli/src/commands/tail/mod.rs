//! `perch tail`: shows events as they happen, and earlier ones.

mod event;
mod merged;
mod source;

use std::{sync::Arc, time::Duration};

use perch_base::Settings;
use perch_jobs::{JobId, JobKind, QueueName};
use perch_queue::{Queue, Queues, Redis, Subscription};
use perch_store::Syncer;
use tokio::sync::Notify;

use self::{
    event::TailEvent,
    merged::Merged,
    source::{History, Source},
};
use crate::{
    app::{App, chosen, known_kind, now, store},
    error::{CommandError, chain},
    parse::{
        job_id,
        time::{PointInTime, when},
    },
};

pub use event::tone;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only of these queues
    #[arg(long, value_name = "QUEUE")]
    pub queue: Vec<QueueName>,
    /// Only of this kind
    #[arg(long)]
    pub kind: Option<JobKind>,
    /// Only of this job
    #[arg(long, value_parser = job_id, value_name = "ID")]
    pub job: Option<JobId>,
    /// Start then: how long ago, such as 10m, a day, or a time; with the history, as far as it goes back
    #[arg(long, value_parser = when, value_name = "TIME")]
    pub since: Option<PointInTime>,
    /// End after so many lines
    #[arg(long, value_name = "LINES")]
    pub limit: Option<u64>,
    /// End when everything is shown that has happened
    #[arg(long, requires = "since")]
    pub no_follow: bool,
}

/// Longest wait of one blocking read.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(1);
/// Events younger than this may still be followed by others of the same time.
const MOMENT: Duration = Duration::from_millis(5);
/// The least time between two reads of all queues.
const PACE: Duration = Duration::from_millis(40);

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    known_kind(&queues, args.kind.as_ref(), 0)?;
    let all = chosen(&queues, &args.queue)?;
    let redis = queues.redis();
    let now = now(redis).await?;
    let since = args.since.map_or(now, |since| since.from(now).min(now));
    let past = past(&settings, &queues);
    let sources = all.iter().map(|queue| Source::new(queue, past.clone(), since, app.out));
    let mut merged = Merged::new(sources);
    let news = Arc::new(Notify::new());
    if !args.no_follow {
        for queue in &all {
            watch(queue.clone(), news.clone());
        }
    }
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut is_away = false;
    while left > 0 {
        let looked = tokio::select! {
            looked = show_all(app, args, redis, &mut merged, &mut left) => looked,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        match looked {
            Ok(()) => is_away = false,
            Err(error @ CommandError::Queue(_)) if !args.no_follow => {
                if !std::mem::replace(&mut is_away, true) {
                    app.out.note(format_args!("{}; trying again", chain(&error)));
                }
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error),
        }
        let waits = merged.has_waiting();
        if left == 0 || (args.no_follow && !waits && !is_away) {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(MOMENT), if waits => {}
            () = news.notified(), if !waits => tokio::time::sleep(PACE).await,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
    Ok(())
}

/// Shows all events until now, in order.
async fn show_all(
    app: &App,
    args: &Args,
    redis: &Redis,
    merged: &mut Merged,
    left: &mut u64,
) -> Result<(), CommandError> {
    // Read before the queues: later events have a later time.
    let until = now(redis).await?;
    merged.look_again();
    while let Some(told) = merged.next(until).await? {
        if !is_wanted(args, &told) {
            continue;
        }
        told.show(&app.out, until)?;
        *left -= 1;
        if *left == 0 {
            return Ok(());
        }
    }
    Ok(())
}

fn is_wanted(args: &Args, told: &TailEvent) -> bool {
    args.job.is_none_or(|id| id == told.what.job)
        && args.kind.as_ref().is_none_or(|kind| told.what.kind.as_deref() == Some(kind.as_str()))
}

/// The history, if there is a Postgres.
fn past(settings: &Settings, queues: &Queues) -> Option<History> {
    let store = store(settings).ok()?;
    let syncer = Syncer::new(queues.redis().clone(), store.clone(), settings.env, &queues.names(), settings.sync.batch);
    Some(History { store, syncer })
}

/// Notifies when a queue has new events.
fn watch(queue: Queue, news: Arc<Notify>) {
    tokio::spawn(async move {
        let mut follow = Subscription::new(&queue, None);
        loop {
            match follow.next(PATIENCE).await {
                Ok(events) if events.is_empty() => {}
                Ok(_) => news.notify_one(),
                Err(_) => {
                    news.notify_one();
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    });
}
