//! One line of NDJSON as a job.

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, JobKind, Priority, RetryPolicy, Unique, strict};
use perch_queue::{EnqueueOptions, NewJob, OnConflict};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A whole job as a line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    kind: JobKind,
    payload: Box<RawValue>,
    id: Option<JobId>,
    run_at: Option<DateTime<Utc>>,
    priority: Option<Priority>,
    unique: Option<Unique>,
    on_conflict: Option<OnConflict>,
    group: Option<String>,
    max_attempts: Option<u32>,
}

/// What every line has in common.
pub struct Common<'a> {
    /// The kind, when each line is a payload.
    pub kind: Option<&'a JobKind>,
    /// The options of the command line; a line's own ones go first.
    pub options: EnqueueOptions,
    /// The attempts that the command line asks for.
    pub max_attempts: Option<u32>,
    /// The retry policy of a kind with other attempts.
    pub with_attempts: &'a dyn Fn(&JobKind, u32) -> RetryPolicy,
}

impl Common<'_> {
    fn retry(&self, kind: &JobKind, own: Option<u32>) -> Option<RetryPolicy> {
        own.or(self.max_attempts).map(|n| (self.with_attempts)(kind, n))
    }
}

/// The job that a line stands for, or what is wrong with it.
pub fn read(line: &[u8], common: &Common<'_>) -> Result<NewJob, String> {
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("not UTF-8: byte {} of the line cannot be read", error.valid_up_to() + 1))?;
    match common.kind {
        Some(kind) => {
            let payload = RawValue::from_string(text.trim().to_owned()).map_err(|error| not_json(&error))?;
            let options = EnqueueOptions { retry: common.retry(kind, None), ..common.options.clone() };
            Ok(NewJob { kind: kind.clone(), payload, options })
        }
        None => record(text, common),
    }
}

fn record(text: &str, common: &Common<'_>) -> Result<NewJob, String> {
    let record: Record = strict::from_str(text).map_err(|error| not_json(&error))?;
    let options = common.options.clone();
    let retry = common.retry(&record.kind, record.max_attempts);
    Ok(NewJob {
        kind: record.kind,
        payload: record.payload,
        options: EnqueueOptions {
            id: record.id,
            run_at: record.run_at.or(options.run_at),
            priority: record.priority.or(options.priority),
            unique: record.unique.or(options.unique),
            on_conflict: record.on_conflict.unwrap_or(options.on_conflict),
            group: record.group.or(options.group),
            retry,
            ..EnqueueOptions::default()
        },
    })
}

/// The line has its number already, so what serde says about lines is left out.
fn not_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text.rfind(" at line ").map_or(text.as_str(), |at| &text[..at]);
    match error.column() {
        0 => reason.to_owned(),
        column => format!("{reason} (column {column})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(kind: Option<&str>, line: &[u8]) -> Result<NewJob, String> {
        let kind: Option<JobKind> = kind.map(|kind| kind.parse().expect("a kind"));
        let with_attempts = |_: &JobKind, n| RetryPolicy { max_attempts: n, ..RetryPolicy::DEFAULT };
        let options = EnqueueOptions { priority: Some(Priority::Low), ..EnqueueOptions::default() };
        read(line, &Common { kind: kind.as_ref(), options, max_attempts: Some(7), with_attempts: &with_attempts })
    }

    #[test]
    fn a_line_is_a_payload_when_the_kind_is_given() {
        let job = read_as(Some("poll_account"), br#" {"username":"a"} "#).expect("a job");
        assert_eq!((job.kind.as_str(), job.payload.get()), ("poll_account", r#"{"username":"a"}"#));
        assert_eq!(job.options.priority, Some(Priority::Low));
        assert_eq!(job.options.retry.map(|retry| retry.max_attempts), Some(7));
    }

    #[test]
    fn a_whole_job_says_more_than_the_command_line() {
        let line = br#"{"kind":"poll_account","payload":{"username":"a"},"priority":"high","max_attempts":2}"#;
        let job = read_as(None, line).expect("a job");
        assert_eq!(job.options.priority, Some(Priority::High));
        assert_eq!(job.options.retry.map(|retry| retry.max_attempts), Some(2));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said_with_its_place() {
        for (line, said) in [
            (&b"{\"kind\":\"a\"}"[..], "missing field `payload`"),
            (b"{\"kind\":\"a\",\"payload\":1,\"colour\":2}", "unknown field `colour`"),
            (b"{oops}", "column 2"),
            (b"\xff\xfe", "not UTF-8"),
        ] {
            let error = read_as(None, line).expect_err("the line is bad");
            assert!(error.contains(said) && !error.contains("line 1"), "{error}");
        }
    }
}
