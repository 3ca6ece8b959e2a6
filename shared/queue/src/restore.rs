//! Recovery of a queue after Redis lost it or came back with an older copy.

use chrono::{DateTime, Utc};
use perch_base::crash_point;
use perch_job::JobId;

use crate::{Envelope, EnvelopeError, EventData, OnConflict, Queue, QueueError, admission::Admission, scripts};

/// A job that Redis has lost, as Postgres knows it: unfinished, or a dead letter.
#[derive(Debug, Clone)]
pub struct LostJob {
    /// Its id.
    pub id: JobId,
    /// Its envelope.
    pub envelope: String,
    /// When it runs next, if that differs from the envelope.
    pub run_at: Option<DateTime<Utc>>,
    /// Attempts that were counted.
    pub attempts: u32,
    /// The last error.
    pub error: Option<String>,
    /// When it died, if it is a dead letter.
    pub died_at: Option<DateTime<Utc>>,
    /// It may already have run without a surviving record; its handler can see this
    /// ([`JobContext::recovered_at`](crate::worker::JobContext::recovered_at)).
    pub in_doubt: bool,
}

/// Jobs in one script call.
const AT_ONCE: usize = 250;

impl LostJob {
    fn arguments(&self, now: DateTime<Utc>) -> Result<[String; 6], EnvelopeError> {
        let mut envelope = Envelope::decode(self.envelope.as_bytes())?;
        envelope.run_at = self.run_at.or(envelope.run_at);
        let options =
            Admission { id: self.id, new: false, envelope, on_conflict: OnConflict::Keep, intake: None, delay: None }
                .script_options();
        let error = self.error.as_ref().map(|error| {
            let data = EventData { attempt: Some(self.attempts), error: Some(error.clone()), ..EventData::default() };
            serde_json::to_string(&data).expect("event data has text keys and values that JSON can hold")
        });
        Ok([
            self.id.to_string(),
            Envelope::put_back(&self.envelope, self.in_doubt.then_some(now))?,
            options,
            self.attempts.to_string(),
            error.unwrap_or_default(),
            self.died_at.map(|at| at.timestamp_millis().to_string()).unwrap_or_default(),
        ])
    }
}

impl Queue {
    /// Restores jobs that Redis has lost; jobs that Redis has stay unchanged. Returns how many were restored, and the jobs whose
    /// envelope cannot be read.
    ///
    /// # Errors
    ///
    /// Redis is unavailable; the change may have been made all the same. Calling it again is safe.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the change may or may not have been made, as after an error.
    pub async fn restore(&self, jobs: &[LostJob]) -> Result<(usize, Vec<(JobId, EnvelopeError)>), QueueError> {
        let (mut restored, mut unreadable) = (0, Vec::new());
        for chunk in jobs.chunks(AT_ONCE) {
            let mut call = self.invocation(&scripts::RESTORE);
            let mut some = false;
            for job in chunk {
                match job.arguments(self.now()) {
                    Ok(arguments) => {
                        some = true;
                        for argument in arguments {
                            call.arg(argument);
                        }
                    }
                    Err(error) => unreadable.push((job.id, error)),
                }
            }
            if some {
                crash_point!("restore.before");
                let answers: Vec<u8> = self.run("restore jobs", &call).await?;
                crash_point!("restore.after");
                restored += answers.into_iter().filter(|&answer| answer == 1).count();
            }
        }
        Ok((restored, unreadable))
    }

    /// Removes finished jobs that came back with an older copy of Redis. Returns how many there were. Their history gets no
    /// event.
    ///
    /// # Errors
    ///
    /// Redis is unavailable; the change may have been made all the same. Calling it again is safe.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the change may or may not have been made, as after an error.
    pub async fn drop_ended(&self, ids: &[JobId]) -> Result<usize, QueueError> {
        let mut dropped = 0;
        for chunk in ids.chunks(AT_ONCE) {
            let mut call = self.invocation(&scripts::DROP);
            for id in chunk {
                call.arg(id.to_string());
            }
            crash_point!("drop.before");
            dropped += self.run::<usize>("drop ended jobs", &call).await?;
            crash_point!("drop.after");
        }
        Ok(dropped)
    }

    /// The current run of Redis, if the queue was not yet compared with Postgres in this run: a restarted Redis may have come
    /// back with older data, or with none. [`Queue::mark_compared`] marks it as compared.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn new_run(&self) -> Result<Option<String>, QueueError> {
        self.run_id("").await
    }

    /// Marks the queue as compared with Postgres in this run of Redis.
    ///
    /// # Errors
    ///
    /// Redis is unavailable; the change may have been made all the same. Calling it again is safe.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the change may or may not have been made, as after an error.
    pub async fn mark_compared(&self, run: &str) -> Result<(), QueueError> {
        self.run_id(run).await.map(|_| ())
    }

    async fn run_id(&self, held: &str) -> Result<Option<String>, QueueError> {
        let mut call = self.invocation(&scripts::RUN_ID);
        call.arg(held);
        crash_point!("run_id.before");
        let run: String = self.run("ask for the run of Redis", &call).await?;
        crash_point!("run_id.after");
        Ok(Some(run).filter(|run| !run.is_empty()))
    }
}
