//! `perch enqueue`: enqueues one job, or many from NDJSON.

mod bulk;
mod record;

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::PathBuf,
    time::Duration,
};

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, JobKind, Priority, RetryPolicy, Unique, UniqueScope};
use perch_queue::{Acceptance, Client, EnqueueOptions, NewJob, OnConflict};
use serde_json::value::RawValue;

use crate::{
    app::App,
    error::CommandError,
    parse::{
        job_id,
        time::{duration, time},
    },
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The kind of the job; with --ndjson it may be left out, then each line is a whole job
    #[arg(required_unless_present = "ndjson")]
    pub kind: Option<JobKind>,
    /// The payload as JSON; {} when it is left out
    #[arg(conflicts_with_all = ["file", "ndjson"])]
    pub payload: Option<String>,
    /// Read the payload, or with --ndjson the jobs, from a file; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Many jobs, one JSON object a line, from standard input or --file
    #[arg(long, long_help = NDJSON_HELP)]
    pub ndjson: bool,
    /// With --ndjson: begin with this line, to go on where an earlier run stopped
    #[arg(long, requires = "ndjson", default_value_t = 1, value_name = "LINE")]
    pub from_line: u64,
    #[command(flatten)]
    pub options: Options,
}

const NDJSON_HELP: &str = "\
Many jobs, one JSON object a line, from standard input or --file.
With KIND each line is a payload. Without it each line is a job:
  {\"kind\": \"poll_account\", \"payload\": {\"username\": \"a\"}, \"priority\": \"low\"}
and may also hold what a request of the HTTP API may: id, run_at, delay_ms, priority, retry (max_attempts, base_ms, cap_ms),
timeout_ms, deadline, unique (key, scope), on_conflict, group. A line of `perch dead export` is one, too.";

/// Options that override the rules of a kind.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Not before this time, such as 2026-03-01T09:00:00Z
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub at: Option<DateTime<Utc>>,
    /// Not before so much time has passed, such as 90s or 2h
    #[arg(long = "in", value_parser = duration, value_name = "DURATION", conflicts_with = "at")]
    pub delay: Option<Duration>,
    /// Before or after other jobs of its queue
    #[arg(long, value_enum)]
    pub priority: Option<Priority>,
    /// At most one unfinished job with this key
    #[arg(long, value_name = "KEY")]
    pub unique_key: Option<String>,
    /// Hold the unique key for this time, whatever becomes of the job
    #[arg(long, value_parser = duration, value_name = "DURATION", requires = "unique_key")]
    pub unique_for: Option<Duration>,
    /// What happens when another job holds the unique key
    #[arg(long, value_enum, default_value_t = OnConflict::Keep, value_name = "ANSWER")]
    pub on_conflict: OnConflict,
    /// What the limits of the job are counted by
    #[arg(long)]
    pub group: Option<String>,
    /// Attempts in all
    #[arg(long, value_name = "N")]
    pub max_attempts: Option<u32>,
    /// The id to give it; a second enqueue with the same id adds nothing
    #[arg(long, value_parser = job_id, conflicts_with = "ndjson")]
    pub id: Option<JobId>,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, client) = app.client()?;
    if args.ndjson {
        let input: Box<dyn Read + Send> = match &args.file {
            Some(path) if path.as_os_str() != "-" => Box::new(open(path)?),
            _ => Box::new(io::stdin()),
        };
        return bulk::run(app, &client, &settings, args, BufReader::new(input)).await;
    }
    let Some(kind) = args.kind.clone() else {
        return Err(CommandError::Usage("name the kind of the job, or give --ndjson".into()));
    };
    one(app, &client, args, kind).await
}

async fn one(app: &App, client: &Client, args: &Args, kind: JobKind) -> Result<(), CommandError> {
    let text = match (&args.payload, &args.file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => read_all(path)?,
        (None, None) => "{}".to_owned(),
    };
    let payload = RawValue::from_string(text)
        .map_err(|error| CommandError::Refused(format!("the payload is not JSON: {error}")))?;
    let retry = args.options.max_attempts.map(|n| with_attempts(client, &kind, n));
    let options = EnqueueOptions { retry, ..args.options.resolve(Utc::now()) };
    let late = options.run_at.is_some_and(|at| at <= Utc::now());
    let enqueued = client.submit(NewJob { kind, payload, options }).await?;
    if late {
        app.out.note("note: that time has passed, so the job runs at once");
    }
    let said = match enqueued.acceptance {
        Acceptance::Accepted => enqueued.id.to_string(),
        Acceptance::Duplicate => format!("{}  is there already; nothing was added", enqueued.id),
        Acceptance::Kept => format!("{}  holds the unique key and was kept; nothing was added", enqueued.id),
        Acceptance::Replaced => {
            format!("{}  in place of {}", enqueued.id, enqueued.replaced.map(|id| id.to_string()).unwrap_or_default())
        }
        Acceptance::Deferred => {
            format!("{}  is kept in Postgres; it starts when Redis, which is away, is back", enqueued.id)
        }
    };
    app.out.answer(&enqueued, said)
}

impl Options {
    /// The options of a job enqueued at `now`, without the retry policy, which depends on its kind.
    fn resolve(&self, now: DateTime<Utc>) -> EnqueueOptions {
        EnqueueOptions {
            id: self.id,
            run_at: self
                .at
                .or_else(|| self.delay.and_then(|delay| Some(now + chrono::TimeDelta::from_std(delay).ok()?))),
            priority: self.priority,
            unique: self.unique_key.as_ref().map(|key| Unique {
                key: key.clone(),
                scope: self.unique_for.map_or(UniqueScope::Done, |window| {
                    UniqueScope::WindowMs(u64::try_from(window.as_millis()).unwrap_or(u64::MAX))
                }),
            }),
            on_conflict: self.on_conflict,
            group: self.group.clone(),
            ..EnqueueOptions::default()
        }
    }
}

/// The retry policy of the kind with `max_attempts`.
fn with_attempts(client: &Client, kind: &JobKind, max_attempts: u32) -> RetryPolicy {
    let of_kind = client.queues().types().get(kind.as_str()).map_or(RetryPolicy::DEFAULT, |known| known.retry);
    RetryPolicy { max_attempts, ..of_kind }
}

fn open(path: &PathBuf) -> Result<File, CommandError> {
    File::open(path).map_err(|source| CommandError::File { path: path.clone(), source })
}

fn read_all(path: &PathBuf) -> Result<String, CommandError> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().read_to_string(&mut text)
    } else {
        open(path)?.read_to_string(&mut text)
    };
    read.map_err(|source| CommandError::File { path: path.clone(), source })?;
    Ok(text)
}
