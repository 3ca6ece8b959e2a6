//! `perch tail`: what happens, as it happens.

use std::{collections::HashMap, time::Duration};

use chrono::Utc;
use perch_jobs::{JobId, JobKind, QueueName};
use perch_queue::{EntryId, Envelope, EventKind, Follow, JobEvent, Queue};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    app::{App, chosen},
    error::{OpsError, chain},
    format::{
        table::Tone,
        text::{cut, one_line},
        time::took,
    },
    output::Output,
    parse::{job_id, time::duration},
};

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
    /// Start so long ago, such as 10m, as far as the events are still there
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub since: Option<Duration>,
    /// End after so many lines
    #[arg(long, value_name = "LINES")]
    pub limit: Option<u64>,
}

/// Longest wait of one read.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(1);

pub async fn run(app: &App, args: &Args) -> Result<(), OpsError> {
    let (_, queues) = app.queues()?;
    let queues = chosen(&queues, &args.queue)?;
    queues[0].redis().ping().await?;
    let after = args
        .since
        .map(|since| EntryId { ms: u64::try_from((Utc::now() - since).timestamp_millis()).unwrap_or(0), seq: 0 });
    let out = app.out;
    let mut events = follow(&queues, after, move |away| out.note(format_args!("{away}; trying again")));
    let mut kinds = Kinds::default();
    let mut shown = 0;
    loop {
        let next = tokio::select! {
            next = events.recv() => next,
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some((queue, event)) = next else { return Ok(()) };
        if args.job.is_some_and(|id| id != event.job) {
            continue;
        }
        let kind = kinds.of(&queue, &event).await;
        if args.kind.as_ref().is_some_and(|wanted| kind.as_ref() != Some(wanted)) {
            continue;
        }
        show(&app.out, &queue, &event, kind.as_ref())?;
        shown += 1;
        if args.limit.is_some_and(|limit| shown >= limit) {
            return Ok(());
        }
    }
}

/// The events of all these queues. A queue that cannot be read is tried again for ever; `away` hears of it once.
pub fn follow(
    queues: &[Queue],
    after: Option<EntryId>,
    away: impl Fn(String) + Clone + Send + Sync + 'static,
) -> mpsc::Receiver<(Queue, JobEvent)> {
    let (sender, receiver) = mpsc::channel(1_000);
    for queue in queues {
        let queue = queue.clone();
        let (sender, away) = (sender.clone(), away.clone());
        tokio::spawn(async move {
            let mut follow = Follow::new(&queue, after);
            let mut is_away = false;
            while !sender.is_closed() {
                match follow.next(PATIENCE).await {
                    Ok(events) => {
                        is_away = false;
                        for event in events {
                            if sender.send((queue.clone(), event)).await.is_err() {
                                return;
                            }
                        }
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut is_away, true) {
                            away(format!("{}: {}", queue.name(), chain(&error)));
                        }
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
        });
    }
    receiver
}

/// The kinds of the jobs that were seen. Only the first event of a job carries it.
#[derive(Debug, Default)]
pub struct Kinds(HashMap<JobId, Told>);

/// What is known of the kind of a job that was looked for; nothing when it cannot be read.
#[derive(Debug, Clone)]
struct Told(Option<JobKind>);

/// Jobs remembered; all are forgotten when there are more.
const REMEMBERED: usize = 50_000;

impl Kinds {
    /// The kind of the event's job, if an event has told it.
    pub fn known(&mut self, event: &JobEvent) -> Option<JobKind> {
        self.remembered(event)?.0
    }

    /// The same; when no event has told it, Redis is asked, which knows it while it has the job.
    pub async fn of(&mut self, queue: &Queue, event: &JobEvent) -> Option<JobKind> {
        if let Some(Told(kind)) = self.remembered(event) {
            return kind;
        }
        let view = queue.job(event.job).await.ok().flatten();
        let kind = view.and_then(|view| view.decoded()).map(|envelope| envelope.kind);
        if !is_last(event.kind) {
            self.0.insert(event.job, Told(kind.clone()));
        }
        kind
    }

    /// What events told, or an earlier look; `None` when there was neither.
    fn remembered(&mut self, event: &JobEvent) -> Option<Told> {
        if self.0.len() > REMEMBERED {
            self.0.clear();
        }
        if matches!(event.kind, EventKind::Enqueued | EventKind::Replayed) {
            let kind = Envelope::decode(event.value.as_bytes()).ok().map(|envelope| envelope.kind);
            self.0.insert(event.job, Told(kind.clone()));
            return Some(Told(kind));
        }
        if is_last(event.kind) { self.0.remove(&event.job) } else { self.0.get(&event.job).cloned() }
    }
}

/// Whether a job is forgotten after such an event.
fn is_last(kind: EventKind) -> bool {
    matches!(kind, EventKind::Succeeded | EventKind::Cancelled | EventKind::Discarded)
}

fn show(out: &Output, queue: &Queue, event: &JobEvent, kind: Option<&JobKind>) -> Result<(), OpsError> {
    let data = event.data();
    if out.is_json() {
        return out.json_line(&json!({
            "at": event.at(),
            "queue": queue.name(),
            "event": event.kind,
            "job": event.job,
            "kind": kind,
            "attempt": data.attempt,
            "worker": data.worker,
            "ms": data.ms,
            "error": data.error,
            "next": data.next.and_then(chrono::DateTime::from_timestamp_millis),
            "trace": data.trace,
            "by": data.by,
        }));
    }
    let mut rest = String::new();
    if let Some(attempt) = data.attempt {
        rest = format!("{rest} #{attempt}");
    }
    if let Some(ms) = data.ms {
        rest = format!("{rest} {}", took(ms));
    }
    if let Some(error) = &data.error {
        rest = format!("{rest} {}", one_line(error));
    }
    let head =
        format!("{}  {}  {:<15}", event.at().format("%H:%M:%S%.3f"), event.job, kind.map_or("?", JobKind::as_str));
    let room = out.width().saturating_sub(head.chars().count() + 13).max(20);
    out.line(format_args!(
        "{head} {} {}",
        out.paint(tone(event.kind), &format!("{:<9}", event.kind.as_str())),
        cut(rest.trim(), room)
    ))
}

/// How an event looks.
pub fn tone(kind: EventKind) -> Tone {
    match kind {
        EventKind::Succeeded => Tone::Good,
        EventKind::Dead | EventKind::Lost => Tone::Bad,
        EventKind::Retried | EventKind::Cancelled | EventKind::Discarded | EventKind::Replayed => Tone::Warn,
        EventKind::Enqueued | EventKind::Started | EventKind::Snoozed | EventKind::Released => Tone::Plain,
    }
}
