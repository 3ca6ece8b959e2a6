use chrono::{DateTime, Utc};
use clap::ValueEnum;
use perch_jobs::{JobId, JobKind, QueueName};
use perch_queue::{JobState, JobView, Queue, Queues};
use perch_store::{JobFilter, JobRecord, Store};
use serde::Serialize;

use crate::{
    app::{App, chosen, known_kind, named, store},
    error::CommandError,
    format::{
        table::{Listing, Tone, cell, cut, whole},
        time::from_now,
    },
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only of these queues
    #[arg(long, value_name = "QUEUE")]
    pub queue: Vec<QueueName>,
    /// Only in this state; done, cancelled and discarded jobs are looked up in Postgres
    #[arg(long, value_enum)]
    pub state: Option<State>,
    /// Only of this kind
    #[arg(long)]
    pub kind: Option<JobKind>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// A state on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    Waiting,
    Delayed,
    Running,
    Dead,
    Done,
    Cancelled,
    Discarded,
}

/// A line of the list.
#[derive(Debug, Serialize)]
struct Row {
    id: JobId,
    queue: QueueName,
    kind: Option<String>,
    state: &'static str,
    attempts: u32,
    max_attempts: Option<u32>,
    group: Option<String>,
    created_at: DateTime<Utc>,
    /// When it runs next, or when it was finished.
    at: Option<DateTime<Utc>>,
    worker: Option<String>,
    error: Option<String>,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    // Ages go by the clock of the server that knows the jobs.
    let (rows, now) = if let Some(states) = live(args.state) {
        (in_redis(&queues, args, &states).await?, queues.now())
    } else {
        let store = store(&settings)?;
        (in_postgres(&store, &queues, args).await?, store.server().await?.clock)
    };
    known_kind(&queues, args.kind.as_ref(), rows.len() as u64)?;
    if app.out.is_json() {
        return app.out.json(&rows);
    }
    if rows.is_empty() {
        return app.out.line("there is no such job");
    }
    app.out.table(&listing(&rows, now))?;
    if rows.len() >= args.limit as usize {
        app.out.note(format_args!("there may be more; these are the first {} (--limit)", args.limit));
    }
    Ok(())
}

/// The states to look for in Redis; none when only Postgres knows such jobs.
fn live(state: Option<State>) -> Option<Vec<JobState>> {
    Some(match state {
        None => vec![JobState::Running, JobState::Waiting, JobState::Delayed, JobState::Dead],
        Some(State::Waiting) => vec![JobState::Waiting],
        Some(State::Delayed) => vec![JobState::Delayed],
        Some(State::Running) => vec![JobState::Running],
        Some(State::Dead) => vec![JobState::Dead],
        Some(State::Done | State::Cancelled | State::Discarded) => return None,
    })
}

/// Jobs looked at in one queue and state for the sake of `--kind`.
const LOOKED_AT: usize = 20_000;

async fn in_redis(queues: &Queues, args: &Args, states: &[JobState]) -> Result<Vec<Row>, CommandError> {
    let limit = args.limit as usize;
    let mut rows = Vec::new();
    for &state in states {
        for queue in chosen(queues, &args.queue)? {
            if rows.len() < limit {
                scan(&queue, state, args.kind.as_ref(), limit, &mut rows).await?;
            }
        }
    }
    rows.truncate(limit);
    Ok(rows)
}

async fn scan(
    queue: &Queue,
    state: JobState,
    kind: Option<&JobKind>,
    limit: usize,
    rows: &mut Vec<Row>,
) -> Result<(), CommandError> {
    let page = if kind.is_some() { 500 } else { limit.min(500) };
    for offset in (0..LOOKED_AT).step_by(page) {
        let views = queue.list(state, offset, page).await?;
        let is_last = views.is_empty();
        let of_kind = |row: &Row| kind.is_none_or(|kind| row.kind.as_deref() == Some(kind.as_str()));
        rows.extend(views.iter().map(from_view).filter(of_kind));
        if is_last || rows.len() >= limit {
            break;
        }
    }
    Ok(())
}

fn from_view(view: &JobView) -> Row {
    let envelope = view.salvaged();
    Row {
        id: view.id,
        queue: view.queue.clone(),
        kind: envelope.as_ref().map(|e| e.kind.to_string()),
        state: view.state.as_str(),
        attempts: view.attempts,
        max_attempts: envelope.as_ref().map(|e| e.max_attempts),
        group: envelope.and_then(|e| e.group),
        created_at: view.id.created_at(),
        at: view.due,
        worker: view.worker.clone(),
        error: view.errors.first().and_then(|e| e.error.clone()),
    }
}

async fn in_postgres(store: &Store, queues: &Queues, args: &Args) -> Result<Vec<Row>, CommandError> {
    let state = match args.state {
        Some(State::Cancelled) => perch_store::JobState::Cancelled,
        Some(State::Discarded) => perch_store::JobState::Discarded,
        _ => perch_store::JobState::Done,
    };
    let wanted = if args.queue.is_empty() { vec![None] } else { args.queue.iter().cloned().map(Some).collect() };
    let mut rows = Vec::new();
    for queue in wanted {
        if let Some(name) = &queue {
            named(queues, name)?;
        }
        let filter = JobFilter {
            queue,
            kind: args.kind.as_ref().map(ToString::to_string),
            state: Some(state),
            limit: args.limit,
            brief: true,
            ..JobFilter::default()
        };
        rows.extend(store.history().search(&filter).await?.into_iter().map(from_record));
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.id));
    rows.truncate(args.limit as usize);
    Ok(rows)
}

fn from_record(record: JobRecord) -> Row {
    Row {
        id: record.id,
        queue: record.queue,
        kind: record.kind,
        state: record.state.as_str(),
        attempts: record.attempts,
        max_attempts: record.max_attempts,
        group: record.group,
        created_at: record.created_at,
        at: record.finished_at,
        worker: record.worker,
        error: record.last_error,
    }
}

fn listing(rows: &[Row], now: DateTime<Utc>) -> Listing {
    let mut listing =
        Listing::new([whole("ID"), cut("KIND"), whole("STATE"), whole("TRY"), whole("WHEN"), cut("ERROR")]);
    for row in rows {
        let tone = match row.state {
            "dead" => Tone::Bad,
            "running" | "done" => Tone::Good,
            "delayed" => Tone::Warn,
            _ => Tone::Plain,
        };
        let tries = row.max_attempts.map_or_else(|| row.attempts.to_string(), |max| format!("{}/{max}", row.attempts));
        listing.row([
            cell(row.id),
            cell(row.kind.as_deref().unwrap_or("unreadable")),
            cell(row.state).tone(tone),
            cell(tries),
            cell(from_now(row.at.unwrap_or(row.created_at), now)),
            cell(row.error.as_deref().unwrap_or_default()).tone(Tone::Faint),
        ]);
    }
    listing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_jobs_fits_80_columns_with_its_ids_whole() {
        let id = JobId::at(Utc::now());
        let row = Row {
            id,
            queue: QueueName::from_static("analytics_processing"),
            kind: Some("collect_metrics".into()),
            state: "cancelled",
            attempts: 12,
            max_attempts: Some(16),
            group: None,
            created_at: Utc::now(),
            at: Some(Utc::now() - chrono::TimeDelta::minutes(59)),
            worker: None,
            error: Some("the service said 503 and that it would like to be left alone for some time".into()),
        };
        let text = listing(&[row], Utc::now()).render(80, false);
        assert!(text.contains(&id.to_string()) && text.contains('…'), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
