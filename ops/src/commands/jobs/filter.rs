//! Which jobs, for what is done to many of them.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use indicatif::ProgressBar;
use perch_jobs::{JobId, JobKind, QueueName};
use perch_queue::{JobState, JobView, Queue, Queues};
use serde_json::{Value, json};

use crate::{
    app::{chosen, known_kind, now},
    error::OpsError,
    parse::time::duration,
};

/// Which jobs; what is not given does not matter.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Filter {
    /// Of these queues
    #[arg(long, value_name = "QUEUE")]
    pub queue: Vec<QueueName>,
    /// Of this kind
    #[arg(long)]
    pub kind: Option<JobKind>,
    /// Of this group
    #[arg(long)]
    pub group: Option<String>,
    /// Whose last error contains this, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    pub error: Option<String>,
    /// Enqueued longer ago than this, such as 2h
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub older_than: Option<Duration>,
    /// Enqueued within this time, such as 30m
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub newer_than: Option<Duration>,
}

/// The jobs that fit, by queue.
pub type Fitting = Vec<(Queue, Vec<JobId>)>;

impl Filter {
    /// What was asked for, for the audit log.
    pub fn as_json(&self) -> Value {
        let span = |d: Option<Duration>| d.map(|d| humantime::format_duration(d).to_string());
        let all = json!({
            "queue": self.queue,
            "kind": self.kind,
            "group": self.group,
            "error": self.error,
            "older_than": span(self.older_than),
            "newer_than": span(self.newer_than),
        });
        let is_given = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
        let given = all.as_object().into_iter().flatten().filter(|(_, value)| is_given(value));
        given.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Whether it asks for every job.
    pub fn is_empty(&self) -> bool {
        self.as_json().as_object().is_some_and(serde_json::Map::is_empty)
    }

    fn wants(&self, view: &JobView, now: DateTime<Utc>) -> bool {
        let age = now - view.id.created_at();
        let over = |limit: Duration| TimeDelta::from_std(limit).is_ok_and(|limit| age > limit);
        let needs_envelope = self.kind.is_some() || self.group.is_some();
        let envelope = if needs_envelope { view.salvaged() } else { None };
        let error = || view.errors.first().and_then(|error| error.error.as_deref()).unwrap_or_default().to_lowercase();
        self.older_than.is_none_or(over)
            && !self.newer_than.is_some_and(over)
            && self.error.as_ref().is_none_or(|text| error().contains(&text.to_lowercase()))
            && self.kind.as_ref().is_none_or(|kind| envelope.as_ref().is_some_and(|e| e.kind == *kind))
            && self
                .group
                .as_ref()
                .is_none_or(|group| envelope.as_ref().is_some_and(|e| e.group.as_ref() == Some(group)))
    }

    /// The jobs in one of `states` that fit, oldest first. `bar` counts those looked at.
    pub async fn fitting(&self, queues: &Queues, states: &[JobState], bar: &ProgressBar) -> Result<Fitting, OpsError> {
        const AT_ONCE: usize = 500;
        let now = now(queues.redis()).await?;
        let mut all = Vec::new();
        for queue in chosen(queues, &self.queue)? {
            let mut ids = Vec::new();
            queue.scan(|some| ids.extend(some)).await?;
            ids.sort_unstable();
            ids.dedup();
            let mut fit = Vec::new();
            for some in ids.chunks(AT_ONCE) {
                let views = queue.jobs(some).await?;
                fit.extend(
                    views.iter().filter(|view| states.contains(&view.state) && self.wants(view, now)).map(|v| v.id),
                );
                bar.inc(some.len() as u64);
            }
            all.push((queue, fit));
        }
        known_kind(queues, self.kind.as_ref(), total(&all))?;
        Ok(all)
    }
}

/// How many there are.
pub fn total(fitting: &Fitting) -> u64 {
    fitting.iter().map(|(_, ids)| ids.len() as u64).sum()
}

/// The same by queue, for JSON.
pub fn by_queue(fitting: &Fitting) -> BTreeMap<String, usize> {
    let some = fitting.iter().filter(|(_, ids)| !ids.is_empty());
    some.map(|(queue, ids)| (queue.name().to_string(), ids.len())).collect()
}
