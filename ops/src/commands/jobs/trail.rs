//! The attempts of a job, put together from what Postgres and Redis know.

use chrono::{DateTime, Utc};
use perch_queue::{EventData, JobState, JobView};
use perch_store::{AttemptOutcome, AttemptRecord};
use serde::Serialize;

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

/// The attempts in order: those of the history, and those that it does not hold yet.
pub fn attempts(history: &[AttemptRecord], view: Option<&JobView>) -> Vec<Attempt> {
    let mut all: Vec<Attempt> = history.iter().map(recorded).collect();
    let Some(view) = view else { return all };
    for error in view.errors.iter().rev() {
        let is_recorded = history.iter().any(|known| {
            Some(known.attempt) == error.attempt
                && known.error == error.error
                && known.outcome != AttemptOutcome::Running
        });
        if !is_recorded {
            all.retain(|known| !(known.outcome == "running" && Some(known.attempt) == error.attempt));
            all.push(remembered(error));
        }
    }
    let runs = view.state == JobState::Running;
    if runs && !all.iter().any(|known| known.outcome == "running" && known.attempt == view.attempts) {
        all.push(Attempt {
            attempt: view.attempts,
            outcome: "running".into(),
            worker: view.worker.clone(),
            started_at: None,
            finished_at: None,
            duration_ms: None,
            error: None,
            next_run: None,
            trace: None,
        });
    }
    // The sort keeps the order of attempts that share a number: those that did not count come first.
    all.sort_by_key(|known| known.attempt);
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
        let all = attempts(&history, Some(&view(JobState::Delayed, 1, &[(1, "503")])));
        assert_eq!(words(&all), [(1, "retried")]);
    }

    #[test]
    fn without_postgres_the_attempts_are_those_that_redis_remembers() {
        let all = attempts(&[], Some(&view(JobState::Running, 3, &[(2, "second"), (1, "first")])));
        assert_eq!(words(&all), [(1, "failed"), (2, "failed"), (3, "running")]);
    }

    #[test]
    fn an_attempt_that_failed_since_the_last_sync_does_not_run_any_more() {
        let history = [record(1, AttemptOutcome::Running, None)];
        let all = attempts(&history, Some(&view(JobState::Dead, 1, &[(1, "503")])));
        assert_eq!(words(&all), [(1, "failed")]);
    }
}
