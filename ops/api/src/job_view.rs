//! A job as the API shows it, whether Redis or Postgres knows it.

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, QueueName};
use perch_queue::{EventData, JobView};
use perch_store::{AttemptOutcome, AttemptRecord, JobRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

use perch_core::look_up::JobStanding;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = JobState)]
pub enum State {
    /// Ready, or waiting for a free place of its group.
    Waiting,
    /// Scheduled, or waiting for its next attempt.
    Delayed,
    /// A worker has it.
    Running,
    /// In the dead letters.
    Dead,
    /// It succeeded.
    Done,
    /// It was cancelled.
    Cancelled,
    /// It was removed from the dead letters.
    Discarded,
    /// Redis does not have it, and nothing tells how it ended: Redis lost it, or Postgres is far behind.
    Unknown,
}

impl State {
    /// The engine's word; none for what only the history knows.
    pub(super) fn live(self) -> Option<perch_queue::JobState> {
        match self {
            Self::Waiting => Some(perch_queue::JobState::Waiting),
            Self::Delayed => Some(perch_queue::JobState::Delayed),
            Self::Running => Some(perch_queue::JobState::Running),
            Self::Dead => Some(perch_queue::JobState::Dead),
            Self::Done | Self::Cancelled | Self::Discarded | Self::Unknown => None,
        }
    }

    /// The history's word, for what it tells.
    pub(super) fn recorded(self) -> Option<perch_store::JobState> {
        Some(match self {
            Self::Waiting => perch_store::JobState::Waiting,
            Self::Delayed => perch_store::JobState::Scheduled,
            Self::Running => perch_store::JobState::Running,
            Self::Dead => perch_store::JobState::Dead,
            Self::Done => perch_store::JobState::Done,
            Self::Cancelled => perch_store::JobState::Cancelled,
            Self::Discarded => perch_store::JobState::Discarded,
            Self::Unknown => return None,
        })
    }
}

impl From<perch_queue::JobState> for State {
    fn from(state: perch_queue::JobState) -> Self {
        match state {
            perch_queue::JobState::Waiting => Self::Waiting,
            perch_queue::JobState::Delayed => Self::Delayed,
            perch_queue::JobState::Running => Self::Running,
            perch_queue::JobState::Dead => Self::Dead,
        }
    }
}

impl From<perch_store::JobState> for State {
    fn from(state: perch_store::JobState) -> Self {
        match state {
            perch_store::JobState::Scheduled => Self::Delayed,
            perch_store::JobState::Waiting => Self::Waiting,
            perch_store::JobState::Running => Self::Running,
            perch_store::JobState::Done => Self::Done,
            perch_store::JobState::Dead => Self::Dead,
            perch_store::JobState::Cancelled => Self::Cancelled,
            perch_store::JobState::Discarded => Self::Discarded,
        }
    }
}

/// A job in a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobSummary {
    /// Its id.
    #[schema(value_type = String)]
    pub id: JobId,
    /// Its kind; missing when its envelope cannot be read.
    pub kind: Option<String>,
    /// Its queue.
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// Where it stands.
    pub state: State,
    /// Which jobs go first: `high`, `normal` or `low`.
    pub priority: String,
    /// What its limits are counted by.
    pub group: Option<String>,
    /// The job whose handler enqueued it.
    #[schema(value_type = Option<String>)]
    pub parent: Option<JobId>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it runs next, or was last meant to.
    pub run_at: Option<DateTime<Utc>>,
    /// Attempts begun.
    pub attempts: u32,
    /// Attempts in all.
    pub max_attempts: Option<u32>,
    /// How often an operator brought it back from the dead letters.
    pub replays: u32,
    /// The worker that has it, or had it last.
    pub worker: Option<String>,
    /// When its lease ends, if it runs.
    pub lease_ends: Option<DateTime<Utc>>,
    /// True when it runs and was asked to stop.
    pub cancelling: bool,
    /// The last error.
    pub last_error: Option<String>,
}

impl From<&JobView> for JobSummary {
    fn from(view: &JobView) -> Self {
        let envelope = view.decoded();
        let of = envelope.as_ref();
        Self {
            id: view.id,
            kind: of.map(|envelope| envelope.kind.to_string()),
            queue: view.queue.clone(),
            state: view.state.into(),
            priority: of.map_or("normal", |envelope| envelope.priority.as_str()).to_owned(),
            group: of.and_then(|envelope| envelope.group.clone()),
            parent: of.and_then(|envelope| envelope.parent),
            created_at: view.id.created_at(),
            run_at: view.due.or_else(|| of.and_then(|envelope| envelope.run_at)),
            attempts: view.attempts,
            max_attempts: of.map(|envelope| envelope.max_attempts),
            replays: of.map_or(0, |envelope| envelope.replays),
            worker: view.worker.clone(),
            lease_ends: view.lease_ends,
            cancelling: view.cancelling,
            last_error: view.errors.first().and_then(|error| error.error.clone()),
        }
    }
}

impl From<&JobRecord> for JobSummary {
    fn from(record: &JobRecord) -> Self {
        Self {
            id: record.id,
            kind: record.kind.clone(),
            queue: record.queue.clone(),
            state: record.state.into(),
            priority: record.priority.clone(),
            group: record.group.clone(),
            parent: record.parent,
            created_at: record.created_at,
            run_at: record.run_at,
            attempts: record.attempts,
            max_attempts: record.max_attempts,
            replays: record.replays,
            worker: record.worker.clone(),
            lease_ends: None,
            cancelling: false,
            last_error: record.last_error.clone(),
        }
    }
}

impl From<&JobStanding> for JobSummary {
    fn from(standing: &JobStanding) -> Self {
        let summary = Self::from(&standing.record);
        Self { state: if standing.is_known { summary.state } else { State::Unknown }, ..summary }
    }
}

/// One attempt of a job.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptAnswer {
    /// Its number, from 1.
    pub attempt: u32,
    /// How it ended: `running`, `succeeded`, `retried`, `snoozed`, `dead`, `cancelled`, `lost` or `released`; missing while
    /// only its error is known.
    #[schema(value_type = Option<String>, example = "retried")]
    pub outcome: Option<AttemptOutcome>,
    /// The worker.
    pub worker: Option<String>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// What went wrong.
    pub error: Option<String>,
    /// Its trace: 32 hexadecimal digits.
    pub trace_id: Option<String>,
}

impl From<AttemptRecord> for AttemptAnswer {
    fn from(record: AttemptRecord) -> Self {
        Self {
            attempt: record.attempt,
            outcome: Some(record.outcome),
            worker: record.worker,
            started_at: record.started_at,
            finished_at: record.finished_at,
            duration_ms: record.duration_ms,
            error: record.error,
            trace_id: record.trace,
        }
    }
}

impl AttemptAnswer {
    /// What Redis keeps of an attempt that failed.
    fn of_error(data: &EventData) -> Option<Self> {
        let finished_at = data.at.and_then(DateTime::from_timestamp_millis);
        let took = data.ms.and_then(|ms| i64::try_from(ms).ok()).and_then(chrono::TimeDelta::try_milliseconds);
        Some(Self {
            attempt: data.attempt?,
            outcome: None,
            worker: data.worker.clone(),
            started_at: finished_at.zip(took).and_then(|(at, took)| at.checked_sub_signed(took)),
            finished_at,
            duration_ms: data.ms,
            error: data.error.clone(),
            trace_id: data.trace.clone(),
        })
    }
}

/// The attempts that the history knows, and those so recent that only Redis does. Oldest first.
pub(super) fn attempts(recorded: Vec<AttemptRecord>, errors: &[EventData]) -> Vec<AttemptAnswer> {
    let mut attempts: Vec<AttemptAnswer> = recorded.into_iter().map(AttemptAnswer::from).collect();
    for found in errors.iter().rev().filter_map(AttemptAnswer::of_error) {
        let place = attempts.iter().position(|known| known.attempt == found.attempt && known.error == found.error);
        if place.is_some() {
            continue;
        }
        // The attempt is known to have begun; how it ended is known only here.
        let running = |known: &&mut AttemptAnswer| {
            known.attempt == found.attempt && known.outcome == Some(AttemptOutcome::Running)
        };
        match attempts.iter_mut().find(running) {
            Some(begun) => *begun = found,
            None => attempts.push(found),
        }
    }
    attempts.sort_by_key(|attempt| attempt.attempt);
    attempts
}

/// Where the history of a job comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum History {
    /// Postgres answered.
    Recorded,
    /// Postgres is away: attempts and children may be missing.
    Unavailable,
}

/// A job with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobAnswer {
    /// Where it stands.
    #[serde(flatten)]
    pub job: JobSummary,
    /// When the last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was done, dead, cancelled or discarded.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its payload; null when its envelope cannot be read.
    #[schema(value_type = Value)]
    pub payload: Option<Box<RawValue>>,
    /// What its handler answered; null when it answered nothing, or has not yet.
    #[schema(value_type = Value)]
    pub result: Option<Value>,
    /// The trace that enqueued it, as a W3C `traceparent`.
    pub traceparent: Option<String>,
    /// Its attempts, oldest first.
    pub attempt_history: Vec<AttemptAnswer>,
    /// The jobs that its handler enqueued, oldest first.
    pub children: Vec<JobSummary>,
    /// Where attempts and children come from.
    pub history: History,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(attempt: u32, outcome: AttemptOutcome, error: Option<&str>) -> AttemptRecord {
        AttemptRecord {
            attempt,
            worker: None,
            started_at: None,
            finished_at: None,
            duration_ms: None,
            outcome,
            error: error.map(str::to_owned),
            next_run: None,
            trace: None,
        }
    }

    fn error(attempt: u32, words: &str) -> EventData {
        EventData { attempt: Some(attempt), error: Some(words.into()), ms: Some(5), ..EventData::default() }
    }

    #[test]
    fn an_attempt_that_only_redis_knows_yet_is_shown_with_the_others() {
        let known = vec![recorded(1, AttemptOutcome::Retried, Some("503"))];
        let all = attempts(known, &[error(2, "timeout"), error(1, "503")]);
        let seen: Vec<(u32, Option<&str>)> = all.iter().map(|a| (a.attempt, a.error.as_deref())).collect();
        assert_eq!(seen, [(1, Some("503")), (2, Some("timeout"))]);
    }

    #[test]
    fn an_attempt_whose_beginning_alone_was_recorded_is_shown_as_it_ended() {
        let all = attempts(vec![recorded(1, AttemptOutcome::Running, None)], &[error(1, "timeout")]);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].error.as_deref(), all[0].outcome), (Some("timeout"), None));
    }
}
