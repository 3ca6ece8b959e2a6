use perch_base::Settings;
use perch_core::{
    job_list::JobSummary,
    look_up::{JobStanding, LookUp, attempts},
};
use perch_jobs::{JobId, JobState};
use perch_queue::{JobView, Queues};
use perch_store::{AttemptRecord, EventRecord, JobRecord, Store, StoreError, StoredEffect, UnsyncedJob};
use serde_json::Value;

use super::{
    details::{JobDetails, JobHeader, events},
    find, show_text,
};
use crate::{
    app::{App, store},
    error::{CommandError, chain},
    parse::job_id,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The job
    #[arg(value_parser = job_id)]
    pub id: JobId,
}

#[derive(Default)]
struct Recorded {
    news: Option<UnsyncedJob>,
    is_whole: bool,
    job: Option<JobRecord>,
    /// Why the row in Postgres cannot be read.
    unreadable: Option<String>,
    attempts: Vec<AttemptRecord>,
    events: Vec<EventRecord>,
    children: Vec<JobSummary>,
    effects: Vec<StoredEffect>,
}

impl Recorded {
    fn is_anything(&self) -> bool {
        self.job.is_some() || self.news.is_some() || self.unreadable.is_some()
    }
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    let id = args.id;
    // Redis is read first: if the job ends after that, its events are there when the stream and Postgres are read.
    let found = find(&queues, id).await;
    let (recorded, postgres_error) = match recorded(&settings, &queues, id, found.is_ok()).await {
        Ok(recorded) => (recorded, None),
        Err(error) => (Recorded::default(), Some(chain(&error))),
    };
    let view = match found {
        Ok(found) => found.map(|(_, view)| view),
        Err(error) if recorded.is_anything() => {
            app.out.note(format_args!("warning: {}; this is what Postgres knows", chain(&error)));
            None
        }
        Err(error) => return Err(error.into()),
    };
    if view.is_none() && !recorded.is_anything() {
        return Err(CommandError::Refused(unknown(id, postgres_error.as_deref())));
    }
    let known = known(id, view, recorded, postgres_error);
    if app.out.is_json() { app.out.json(&known) } else { show_text::show(&app.out, &known, queues.now()) }
}

fn unknown(id: JobId, postgres_error: Option<&str>) -> String {
    match postgres_error {
        Some(error) => {
            format!("Redis does not know job {id}, and finished jobs are in Postgres, which is away: {error}")
        }
        None => format!("no job has the id {id}: neither Redis nor Postgres knows it"),
    }
}

async fn recorded(settings: &Settings, queues: &Queues, id: JobId, has_redis: bool) -> Result<Recorded, CommandError> {
    let store = store(settings)?;
    let look_up = LookUp::new(queues, &store, settings);
    let (news, is_whole) = if has_redis { look_up.news(id).await? } else { (None, false) };
    let (mut recorded, children) = history(&store, id).await?;
    if has_redis {
        let standing = look_up.standing(children).await.map_err(|error| CommandError::Refused(chain(&error)))?;
        recorded.children = standing.iter().map(JobSummary::from).collect();
    } else {
        let told = |record| JobStanding { record, is_known: false };
        recorded.children = children.into_iter().map(|record| JobSummary::from(&told(record))).collect();
    }
    Ok(Recorded { news, is_whole, ..recorded })
}

async fn history(store: &Store, id: JobId) -> Result<(Recorded, Vec<JobRecord>), CommandError> {
    let history = store.history();
    // One query after the other: when Postgres is away, only the first one waits.
    let (job, unreadable) = match history.job(id).await {
        Ok(job) => (job, None),
        Err(error @ StoreError::Unreadable { .. }) => (None, Some(chain(&error))),
        Err(error) => return Err(error.into()),
    };
    let (attempts, events, children, effects) =
        tokio::try_join!(history.attempts(id), history.events(id), history.children(id), history.effects_of(id))?;
    Ok((Recorded { job, unreadable, attempts, events, effects, ..Recorded::default() }, children))
}

fn known(id: JobId, view: Option<JobView>, recorded: Recorded, postgres_error: Option<String>) -> JobDetails {
    let Recorded { news, is_whole, job, unreadable, attempts: history, events: of_history, children, effects } =
        recorded;
    let standing = JobStanding::of_gone(job, news.as_ref(), is_whole);
    let is_known = standing.as_ref().is_some_and(|standing| standing.is_known);
    let job = standing.map(|standing| standing.record);
    let envelope = match (&view, &job) {
        (Some(view), _) => {
            Some(serde_json::from_str(&view.envelope).unwrap_or_else(|_| Value::String(view.envelope.clone())))
        }
        (None, Some(job)) => job.envelope.clone().map(|mut envelope| {
            if let (Some(fields), Some(payload)) = (envelope.as_object_mut(), &job.payload) {
                fields.insert("payload".into(), payload.clone());
            }
            envelope
        }),
        (None, None) => None,
    };
    let summary = match (&view, &job) {
        (Some(view), job) => {
            let died = job.as_ref().filter(|_| view.state == JobState::Dead).and_then(|job| job.finished_at);
            Some(JobSummary { finished_at: died, ..view.into() })
        }
        (None, Some(job)) if is_known => Some(job.into()),
        (None, Some(job)) => Some(JobSummary { state: JobState::Unknown, ..job.into() }),
        (None, None) => None,
    };
    let unknown = || JobHeader::Unreadable { id, state: JobState::Unknown, created_at: id.created_at() };
    let told = news.as_ref().map_or(&[][..], |news| &news.events);
    JobDetails {
        job: summary.map_or_else(unknown, |job| JobHeader::Readable(Box::new(job))),
        attempt_history: attempts(history, told, view.as_ref()),
        events: events(of_history, told),
        redis: view,
        postgres: job,
        postgres_error,
        is_whole,
        unreadable,
        envelope,
        children,
        effects,
    }
}
