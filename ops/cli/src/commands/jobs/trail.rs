//! The attempts of a job, put together from what Postgres and Redis know.

use chrono::{DateTime, Utc};
use perch_core::look_up;
use perch_queue::{EventData, JobEvent, JobState, JobView};
use perch_store::{AttemptRecord, EventRecord};
use serde::Serialize;

/// The outcome of an attempt that has none yet.
const RUNNING: &str = "running";

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the JSON")]
pub struct Attempt {
    pub attempt: u32,
    /// The word of the history, or `failed` where only Redis knows of it.
    pub outcome: String,
    pub worker: Option<String>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub duration_ms: Option<u64>,
    pub error: Option<String>,
    pub next_run: Option<DateTime<Utc>>,
    pub trace: Option<String>,
}

/// The attempts in order: those of the history, what the events on their way there tell, and what only Redis remembers.
pub fn attempts(history: Vec<AttemptRecord>, told: &[JobEvent], view: Option<&JobView>) -> Vec<Attempt> {
    let mut all: Vec<Attempt> = look_up::attempts(history, told).iter().map(recorded).collect();
    if let Some(view) = view {
        remember(&mut all, view);
    }
    // The sort keeps the order of attempts that share a number: those that did not count come first.
    all.sort_by_key(|known| known.attempt);
    all
}

/// Adds what only Redis remembers: the last errors, and that the job runs.
fn remember(all: &mut Vec<Attempt>, view: &JobView) {
    for error in view.errors.iter().rev() {
        let is_recorded = all.iter().any(|known| {
            Some(known.attempt) == error.attempt && known.error == error.error && known.outcome != RUNNING
        });
        if !is_recorded {
            all.retain(|known| !(known.outcome == RUNNING && Some(known.attempt) == error.attempt));
            all.push(remembered(error));
        }
    }
    let runs = view.state == JobState::Running;
    if runs && !all.iter().any(|known| known.outcome == RUNNING && known.attempt == view.attempts) {
        all.push(Attempt {
            attempt: view.attempts,
            outcome: RUNNING.into(),
            worker: view.worker.clone(),
            started_at: None,
            finished_at: None,
            duration_ms: None,
            error: None,
            next_run: None,
            trace: None,
        });
    }
}

/// The events of the history, and those on their way there.
pub fn events(history: Vec<EventRecord>, told: &[JobEvent]) -> Vec<EventRecord> {
    let mut all = history;
    for event in told {
        let data = event.data();
        let record = EventRecord {
            at: event.at(),
            kind: event.kind.as_str().to_owned(),
            attempt: data.attempt.and_then(|n| i32::try_from(n).ok()),
            worker: data.worker,
            error: data.error,
            // Of a replay the value is the envelope, which says who it was under the same name.
            actor: data.by,
        };
        let is_known =
            |known: &EventRecord| (known.at, &known.kind, known.attempt) == (record.at, &record.kind, record.attempt);
        if !all.iter().any(is_known) {
            all.push(record);
        }
    }
    all
}

fn recorded(record: &AttemptRecord) -> Attempt {
    let outcome = serde_json::to_value(record.outcome).ok();
    Attempt {
        attempt: record.attempt,
        outcome: outcome.as_ref().and_then(|word| word.as_str()).unwrap_or("unknown").to_owned(),
        worker: record.worker.clone(),
        started_at: record.started_at,
        finished_at: record.finished_at,
        duration_ms: record.duration_ms,
        error: record.error.clone(),
        next_run: record.next_run,
        trace: record.trace.clone(),
    }
}

fn remembered(error: &EventData) -> Attempt {
    Attempt {
        attempt: error.attempt.unwrap_or(0),
        outcome: "failed".into(),
        worker: error.worker.clone(),
        started_at: None,
        finished_at: error.at.and_then(DateTime::from_timestamp_millis),
        duration_ms: error.ms,
        error: error.error.clone(),
        next_run: error.next.and_then(DateTime::from_timestamp_millis),
        trace: error.trace.clone(),
    }
}

#[cfg(test)]
mod tests {
    use perch_jobs::{JobId, QueueName};
    use perch_store::AttemptOutcome;

    use super::*;

    fn record(attempt: u32, outcome: AttemptOutcome, error: Option<&str>) -> AttemptRecord {
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

    fn view(state: JobState, attempts: u32, errors: &[(u32, &str)]) -> JobView {
        JobView {
            id: JobId::at(Utc::now()),
            queue: QueueName::from_static("extraction"),
            state,
            due: None,
            lease_ends: None,
            worker: Some("w".into()),
            attempts,
            cancelling: false,
            unknown_kind_since: None,
            errors: errors
                .iter()
                .map(|(attempt, error)| EventData {
                    attempt: Some(*attempt),
                    error: Some((*error).to_owned()),
                    ..EventData::default()
                })
                .collect(),
            envelope: String::new(),
        }
    }

    fn words(all: &[Attempt]) -> Vec<(u32, &str)> {
        all.iter().map(|attempt| (attempt.attempt, attempt.outcome.as_str())).collect()
    }

    #[test]
    fn an_attempt_that_both_know_is_told_once() {
        let history = [record(1, AttemptOutcome::Retried, Some("503"))];
        let all = attempts(history.into(), &[], Some(&view(JobState::Delayed, 1, &[(1, "503")])));
        assert_eq!(words(&all), [(1, "retried")]);
    }

    #[test]
    fn without_postgres_the_attempts_are_those_that_redis_remembers() {
        let all = attempts(Vec::new(), &[], Some(&view(JobState::Running, 3, &[(2, "second"), (1, "first")])));
        assert_eq!(words(&all), [(1, "failed"), (2, "failed"), (3, "running")]);
    }

    #[test]
    fn an_attempt_that_failed_since_the_last_sync_does_not_run_any_more() {
        let history = [record(1, AttemptOutcome::Running, None)];
        let all = attempts(history.into(), &[], Some(&view(JobState::Dead, 1, &[(1, "503")])));
        assert_eq!(words(&all), [(1, "failed")]);
    }
}
