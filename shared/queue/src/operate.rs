//! Operator actions on waiting and running jobs and on whole queues.

use std::time::Duration;

use perch_base::crash_point;
use perch_job::JobId;
use serde::{Deserialize, Serialize};

use crate::{EventData, Queue, QueueError, scripts};

/// The result of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cancellation {
    /// It was waiting or delayed, and is cancelled.
    Cancelled,
    /// It is running. Its worker learns of the cancellation with its next heartbeat, and the job ends when its handler stops.
    Cancelling,
    /// It is in the dead letters; discard it there.
    Dead,
    /// Redis has no such job: it is finished, or never existed.
    Unknown,
}

impl Queue {
    /// Cancels a waiting, delayed or running job. `by` and `reason` are kept in its history.
    ///
    /// # Errors
    ///
    /// Redis is unavailable; the change may have been made all the same. Calling it again is safe.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the change may or may not have been made, as after an error.
    pub async fn cancel(&self, id: JobId, by: &str, reason: &str) -> Result<Cancellation, QueueError> {
        let mut call = self.invocation(&scripts::CANCEL);
        let why = format!("cancelled by {by}: {reason}");
        call.arg(id.to_string()).arg(&why).arg(operator(by, Some(why.clone())));
        crash_point!("cancel.before");
        let answer: String = self.run("cancel", &call).await?;
        crash_point!("cancel.after");
        Ok(match answer.as_str() {
            "cancelled" => Cancellation::Cancelled,
            "cancelling" => Cancellation::Cancelling,
            "dead" => Cancellation::Dead,
            _ => Cancellation::Unknown,
        })
    }

    /// Makes a delayed job ready. False if it was not delayed.
    ///
    /// # Errors
    ///
    /// Redis is unavailable; the change may have been made all the same. Calling it again is safe.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the change may or may not have been made, as after an error.
    pub async fn run_now(&self, id: JobId) -> Result<bool, QueueError> {
        let mut call = self.invocation(&scripts::RUN_NOW);
        call.arg(id.to_string());
        crash_point!("run_now.before");
        let moved: Vec<u8> = self.run("run now", &call).await?;
        crash_point!("run_now.after");
        Ok(moved == [1])
    }

    /// Pauses the queue: no process fetches from it. Running jobs continue. False if it was paused already.
    ///
    /// # Errors
    ///
    /// Redis is unavailable; the change may have been made all the same. Calling it again is safe.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the change may or may not have been made, as after an error.
    pub async fn pause(&self, by: &str) -> Result<bool, QueueError> {
        self.set_paused(true, by).await
    }

    /// Resumes the queue. False if it was not paused.
    ///
    /// # Errors
    ///
    /// Redis is unavailable; the change may have been made all the same. Calling it again is safe.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the change may or may not have been made, as after an error.
    pub async fn resume(&self, by: &str) -> Result<bool, QueueError> {
        self.set_paused(false, by).await
    }

    async fn set_paused(&self, paused: bool, by: &str) -> Result<bool, QueueError> {
        let mut call = self.invocation(&scripts::PAUSE);
        call.arg(u8::from(paused)).arg(by);
        crash_point!("pause.before");
        let changed: u8 = self.run(if paused { "pause" } else { "resume" }, &call).await?;
        crash_point!("pause.after");
        Ok(changed == 1)
    }

    /// Cancels some of the waiting and delayed jobs. Returns how many; call it until it returns 0. Running jobs and dead letters
    /// stay.
    ///
    /// # Errors
    ///
    /// Redis is unavailable; the change may have been made all the same. Calling it again is safe.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the change may or may not have been made, as after an error.
    pub async fn purge_some(&self, by: &str) -> Result<usize, QueueError> {
        const AT_ONCE: usize = 500;
        let mut call = self.invocation(&scripts::PURGE);
        call.arg(AT_ONCE).arg(operator(by, Some(format!("purged by {by}"))));
        crash_point!("purge.before");
        let emptied = self.run("purge", &call).await;
        crash_point!("purge.after");
        emptied
    }

    /// Removes dead letters beyond the retention of the queue, and workers not seen for an hour. Returns how many dead letters
    /// were removed; call it until that is 0.
    ///
    /// # Errors
    ///
    /// Redis is unavailable; the change may have been made all the same. Calling it again is safe.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the change may or may not have been made, as after an error.
    pub async fn prune_some(&self) -> Result<usize, QueueError> {
        const AT_ONCE: usize = 500;
        const SILENT: Duration = Duration::from_secs(3_600);
        let now = self.now();
        let mut call = self.invocation(&scripts::PRUNE);
        call.arg((now - self.settings().dead_retention).timestamp_millis())
            .arg(self.settings().dead_kept)
            .arg(AT_ONCE)
            .arg((now - SILENT).timestamp_millis());
        crash_point!("prune.before");
        let gone = self.run("prune", &call).await;
        crash_point!("prune.after");
        gone
    }
}

/// The data of an event caused by an operator.
pub(crate) fn operator(by: &str, error: Option<String>) -> String {
    serde_json::to_string(&EventData { by: Some(by.to_owned()), error, ..EventData::default() })
        .expect("event data has text keys and values that JSON can hold")
}
