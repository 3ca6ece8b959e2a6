//! One line of NDJSON as a job.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_jobs::{JobKind, JobTypes, Unique, strict};
use perch_queue::{EnqueueOptions, InvalidField, JobRequest, NewJob, RetryRequest, UniqueRequest};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

/// The options that hold for every line.
pub struct Common<'a> {
    /// The kind, when each line is a payload.
    pub kind: Option<&'a JobKind>,
    /// The options of the command line; those of a line override them.
    pub options: EnqueueOptions,
    /// `--max-attempts`.
    pub max_attempts: Option<u32>,
    /// The rules of the kinds.
    pub types: &'a JobTypes,
    /// The time by the clock of the queues.
    pub now: &'a dyn Fn() -> DateTime<Utc>,
    /// How far ahead a job may start.
    pub most_ahead: Duration,
}

impl Common<'_> {
    fn retry(&self, own: Option<RetryRequest>) -> Option<RetryRequest> {
        let own = own.unwrap_or_default();
        let retry = RetryRequest { max_attempts: own.max_attempts.or(self.max_attempts), ..own };
        Some(retry).filter(|retry| *retry != RetryRequest::default())
    }

    /// Fills a request with the options of the command line; those of the request override them.
    fn filled(&self, own: JobRequest) -> JobRequest {
        let all = &self.options;
        let unique = || all.unique.clone().map(|Unique { key, scope }| UniqueRequest { key, scope });
        JobRequest {
            run_at: own.run_at.or(all.run_at.filter(|_| own.delay_ms.is_none())),
            priority: own.priority.or(all.priority),
            retry: self.retry(own.retry),
            unique: own.unique.or_else(unique),
            on_conflict: own.on_conflict.or(Some(all.on_conflict)),
            group: own.group.or_else(|| all.group.clone()),
            ..own
        }
    }

    fn job(&self, request: JobRequest) -> Result<NewJob, BadLine> {
        let known = self.types.get(&request.kind);
        let read = request.into_job(known, (self.now)(), self.most_ahead);
        read.map_err(|InvalidField { field, reason }| BadLine {
            path: Some(field.to_owned()),
            error: format!("{field}: {reason}"),
        })
    }
}

/// Why a line was refused.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The JSON path, if it is known.
    pub path: Option<String>,
    /// The reason.
    pub error: String,
}

impl From<String> for BadLine {
    fn from(error: String) -> Self {
        Self { path: None, error }
    }
}

/// An exported dead letter whose job cannot run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithoutJob {
    #[serde(rename = "died")]
    _died: IgnoredAny,
}

/// Reads a line as a job, or says why it is refused.
pub fn read(line: &[u8], common: &Common<'_>) -> Result<NewJob, BadLine> {
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("not UTF-8: byte {} of the line cannot be read", error.valid_up_to() + 1))?;
    if common.kind.is_none() && strict::from_str::<WithoutJob>(text).is_ok() {
        let error = "the dead letter has no job that can run; `perch dead replay --edit` repairs it where it lies";
        return Err(error.to_owned().into());
    }
    match common.kind {
        Some(kind) => {
            let payload = RawValue::from_string(text.trim().to_owned()).map_err(|error| not_json(&error))?;
            common.job(common.filled(JobRequest::new(kind.to_string(), payload)))
        }
        None => common.job(common.filled(strict::from_str(text).map_err(|error| not_json(&error))?)),
    }
}

/// Drops the line number of serde, which is always 1 here.
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
    use perch_jobs::Priority;

    use super::*;

    fn read_as(kind: Option<&str>, line: &[u8]) -> Result<NewJob, BadLine> {
        let kind: Option<JobKind> = kind.map(|kind| kind.parse().expect("a kind"));
        let options = EnqueueOptions { priority: Some(Priority::Low), ..EnqueueOptions::default() };
        let (types, most_ahead) = (perch_jobs::types(), Duration::from_secs(60));
        let common =
            Common { kind: kind.as_ref(), options, max_attempts: Some(7), types: &types, now: &Utc::now, most_ahead };
        read(line, &common)
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
        let line = br#"{"kind":"poll_account","payload":{"username":"a"},"priority":"high","retry":{"max_attempts":2},"timeout_ms":9000}"#;
        let job = read_as(None, line).expect("a job");
        assert_eq!(job.options.priority, Some(Priority::High));
        assert_eq!(job.options.retry.map(|retry| retry.max_attempts), Some(2));
        assert_eq!(job.options.timeout, Some(Duration::from_secs(9)));
    }

    #[test]
    fn what_a_line_leaves_out_of_its_retry_the_command_line_says() {
        let line = br#"{"kind":"poll_account","payload":{"username":"a"},"retry":{"base_ms":100}}"#;
        let retry = read_as(None, line).expect("a job").options.retry.expect("a policy");
        assert_eq!((retry.max_attempts, retry.base_ms), (7, 100));
        let late = br#"{"kind":"poll_account","payload":{},"delay_ms":60001}"#;
        assert_eq!(read_as(None, late).expect_err("too late").path.as_deref(), Some("$.delay_ms"));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said_with_its_place() {
        for (line, said) in [
            (&b"{\"kind\":\"a\"}"[..], "missing field `payload`"),
            (b"{\"kind\":\"a\",\"payload\":1,\"colour\":2}", "unknown field `colour`"),
            (b"{oops}", "column 2"),
            (b"\xff\xfe", "not UTF-8"),
            (b"{\"died\":{\"id\":1}}", "dead replay --edit"),
        ] {
            let error = read_as(None, line).expect_err("the line is bad").error;
            assert!(error.contains(said) && !error.contains("line 1"), "{error}");
        }
    }
}
