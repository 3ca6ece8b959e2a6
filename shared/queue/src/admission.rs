//! Admission of a job: its checks, its envelope, and its options for the enqueue script.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use perch_job::{JobId, JobType, Unique, UniqueScope};
use serde_json::{json, value::RawValue};

use crate::{EnqueueError, EnqueueOptions, Envelope, OnConflict};

/// A job that has passed all checks.
#[derive(Debug)]
pub(crate) struct Admission {
    pub id: JobId,
    /// The id was made for this job and never sent to Redis.
    pub new: bool,
    pub envelope: Envelope,
    pub on_conflict: OnConflict,
    pub intake: Option<String>,
    pub delay: Option<Duration>,
}

impl Admission {
    /// Checks a job that is enqueued at `now` and may be due at most `max_ahead` later. Where `options` has no unique key or
    /// group, the payload gives them.
    pub fn new(
        now: DateTime<Utc>,
        max_ahead: Duration,
        job_type: &JobType,
        payload: Box<RawValue>,
        options: EnqueueOptions,
        (unique, group): (Option<Unique>, Option<String>),
    ) -> Result<Self, EnqueueError> {
        let mut envelope = Envelope::new(job_type, payload);
        if let Some(retry) = options.retry {
            let retry = retry.validate()?;
            envelope.max_attempts = retry.max_attempts;
            if (retry.base_ms, retry.cap_ms) != (job_type.retry.base_ms, job_type.retry.cap_ms) {
                envelope.backoff = Some((retry.base_ms, retry.cap_ms));
            }
        }
        envelope.priority = options.priority.unwrap_or(job_type.priority);
        let delayed = options.delay.and_then(|delay| now.checked_add_signed(TimeDelta::from_std(delay).ok()?));
        envelope.run_at = checked_run_at(options.run_at.max(delayed), now, max_ahead)?;
        envelope.deadline = checked_deadline(options.deadline, envelope.run_at.unwrap_or(now))?;
        envelope.timeout_ms = checked_timeout(options.timeout)?;
        envelope.unique = options.unique.or(unique).map(checked_unique).transpose()?;
        envelope.group = options.group.or(group).map(checked_group).transpose()?;
        envelope.traceparent =
            options.traceparent.or_else(perch_base::telemetry::current_traceparent).filter(|t| is_traceparent(t));
        envelope.parent = options.parent;
        Ok(Self {
            id: options.id.unwrap_or_else(|| JobId::at(now)),
            new: options.id.is_none(),
            envelope,
            on_conflict: options.on_conflict,
            intake: None,
            delay: options.delay,
        })
    }

    /// Whether it has no options that a script must handle. If so, no other job can conflict with it.
    pub fn is_plain(&self) -> bool {
        let Envelope { priority, run_at, group, unique, .. } = &self.envelope;
        priority.is_normal()
            && run_at.is_none()
            && group.is_none()
            && unique.is_none()
            && self.intake.is_none()
            && self.delay.is_none()
    }

    /// The options as `enqueue.lua` reads them; empty for a plain job.
    pub fn script_options(&self) -> String {
        let mut options = serde_json::Map::new();
        if !self.envelope.priority.is_normal() {
            options.insert("p".into(), self.envelope.priority.as_str().into());
        }
        if let Some(at) = self.envelope.run_at {
            options.insert("at".into(), at.timestamp_millis().into());
        }
        if let Some(delay) = self.delay {
            options.insert("d".into(), json!(delay.as_millis()));
        }
        if let Some(group) = &self.envelope.group {
            options.insert("g".into(), group.as_str().into());
        }
        if let Some(unique) = &self.envelope.unique {
            options.insert("u".into(), unique.key.as_str().into());
            options.insert(
                "s".into(),
                match unique.scope {
                    UniqueScope::Queued => json!("queued"),
                    UniqueScope::Done => json!("done"),
                    UniqueScope::WindowMs(ms) => json!(ms),
                },
            );
            options.insert("c".into(), json!(self.on_conflict));
        }
        if let Some(intake) = &self.intake {
            options.insert("i".into(), intake.as_str().into());
        }
        if options.is_empty() { String::new() } else { serde_json::Value::Object(options).to_string() }
    }
}

fn field(field: &str, reason: impl Into<String>) -> EnqueueError {
    EnqueueError::Field { field: field.into(), reason: reason.into() }
}

fn checked_run_at(
    at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    ahead: Duration,
) -> Result<Option<DateTime<Utc>>, EnqueueError> {
    let Some(at) = at.filter(|at| *at > now) else { return Ok(None) };
    if (at - now).to_std().is_ok_and(|wait| wait > ahead) {
        let limit = humantime(ahead);
        return Err(field("run_at", format!("{at} is further ahead than {limit} (engine.max_schedule_ahead)")));
    }
    Ok(Some(at))
}

fn checked_deadline(at: Option<DateTime<Utc>>, earliest: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, EnqueueError> {
    match at {
        Some(at) if at <= earliest => {
            Err(field("deadline", format!("{at} is not after the time the job may start, {earliest}")))
        }
        at => Ok(at),
    }
}

fn checked_timeout(timeout: Option<Duration>) -> Result<Option<u64>, EnqueueError> {
    const LONGEST: Duration = Duration::from_secs(6 * 3600);
    match timeout {
        Some(t) if t.is_zero() || t > LONGEST => Err(field("timeout", "it must be over 0 and at most 6 hours")),
        Some(t) => Ok(u64::try_from(t.as_millis()).ok()),
        None => Ok(None),
    }
}

fn checked_unique(unique: Unique) -> Result<Unique, EnqueueError> {
    checked_text("unique.key", &unique.key, 256)?;
    if let UniqueScope::WindowMs(ms) = unique.scope
        && !(1..=366 * 86_400_000).contains(&ms)
    {
        return Err(field("unique.scope", "a window lasts 1 ms to 366 days"));
    }
    Ok(unique)
}

fn checked_group(group: String) -> Result<String, EnqueueError> {
    checked_text("group", &group, 128)?;
    if group.contains('|') {
        return Err(field("group", "it must not contain '|'"));
    }
    Ok(group)
}

fn checked_text(name: &str, text: &str, most: usize) -> Result<(), EnqueueError> {
    if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
        return Err(field(name, format!("it must have 1 to {most} bytes and no control characters")));
    }
    Ok(())
}

fn humantime(duration: Duration) -> String {
    let days = duration.as_secs() / 86_400;
    if days > 0 { format!("{days} days") } else { format!("{} seconds", duration.as_secs()) }
}

/// The form of W3C Trace Context, version 00: `00-<trace id>-<span id>-<flags>`, in hexadecimal digits.
fn is_traceparent(text: &str) -> bool {
    let dash = |at: usize| matches!(at, 2 | 35 | 52);
    text.len() == 55
        && text.bytes().enumerate().all(|(at, byte)| if dash(at) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}
