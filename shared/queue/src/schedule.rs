//! Cron: entries of the configuration that enqueue a job at each tick, once over all machines.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_base::{
    CronSchedule, crash_point,
    settings::{CatchUp, CronSettings, Overlap},
};
use perch_job::JobId;
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::{
    Client, EnqueueError, EnqueueOptions, NewJob, Queue, QueueError, admission::Admission, raw_text::RawText, scripts,
};

/// The result of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TickOutcome {
    /// Its job was enqueued.
    Fired,
    /// Another scheduler had fired this tick or a later one.
    Passed,
    /// The job of an earlier tick is not finished, so the tick was skipped.
    Overlap,
}

/// A cron entry and its last and next tick.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CronEntry))]
pub struct CronView {
    /// The entry.
    pub entry: String,
    /// Its schedule as configured.
    #[cfg_attr(feature = "openapi", schema(example = "0 9 * * *"))]
    pub schedule: String,
    /// Its time zone.
    #[cfg_attr(feature = "openapi", schema(example = "UTC"))]
    pub timezone: String,
    /// The kind of its jobs.
    pub kind: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// The last tick that was fired.
    pub last: Option<DateTime<Utc>>,
    /// The next tick.
    pub next: Option<DateTime<Utc>>,
    /// The job of the last tick.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub last_job: Option<JobId>,
}

/// A cron entry that can fire.
#[derive(Debug, Clone)]
pub struct CronEntry {
    name: String,
    settings: CronSettings,
    schedule: CronSchedule,
    client: Client,
}

/// Most missed ticks fired at the next start.
const MADE_UP: usize = 100;

impl CronEntry {
    /// The entry `name` of the configuration.
    ///
    /// # Errors
    ///
    /// The schedule or the time zone cannot be read.
    pub fn new(name: &str, settings: &CronSettings, client: &Client) -> Result<Self, perch_base::ScheduleError> {
        Ok(Self {
            name: name.to_owned(),
            settings: settings.clone(),
            schedule: CronSchedule::parse(&settings.schedule, settings.timezone)?,
            client: client.clone(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn prepare(&self, id: JobId) -> Result<(Queue, Admission), EnqueueError> {
        let payload = RawValue::from_string(self.settings.payload.to_string())
            .map_err(|e| EnqueueError::Field { field: format!("cron.{}.payload", self.name), reason: e.to_string() })?;
        self.client.prepare(NewJob {
            kind: self.settings.kind.clone(),
            payload,
            options: EnqueueOptions { id: Some(id), ..EnqueueOptions::default() },
        })
    }

    /// The time by the clock of Redis, which is the same for all machines.
    fn now(&self) -> DateTime<Utc> {
        self.client.queues().now()
    }

    fn queue(&self) -> Result<Queue, EnqueueError> {
        self.prepare(JobId::at(self.now())).map(|(queue, _)| queue)
    }

    /// Fires the tick at `tick`. The job id is derived from the entry and the tick, so it is the same on every machine.
    ///
    /// # Errors
    ///
    /// The job is invalid, or Redis is unavailable. Firing a tick again enqueues no second job.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the tick may or may not have fired; firing it again is safe.
    pub async fn fire(&self, tick: DateTime<Utc>) -> Result<TickOutcome, EnqueueError> {
        let (queue, prepared) = self.prepare(tick_id(&self.name, tick))?;
        let mut call = queue.invocation(&scripts::CRON);
        call.arg(&self.name)
            .arg(tick.timestamp_millis())
            .arg(match self.settings.overlap {
                Overlap::Skip => "skip",
                Overlap::Allow => "allow",
            })
            .arg(prepared.id.to_string())
            .arg(prepared.envelope.encode())
            .arg(prepared.script_options());
        crash_point!("cron.before");
        let answer: String = queue.run("fire a cron entry", &call).await?;
        crash_point!("cron.after");
        Ok(match answer.as_str() {
            "fired" => TickOutcome::Fired,
            "overlap" => TickOutcome::Overlap,
            _ => TickOutcome::Passed,
        })
    }

    /// Enqueues its job now, whatever the schedule says.
    ///
    /// # Errors
    ///
    /// As [`Client::submit`].
    ///
    /// # Cancel safety
    ///
    /// As [`Client::submit`]; each call enqueues another job.
    pub async fn run_now(&self) -> Result<JobId, EnqueueError> {
        let (queue, prepared) = self.prepare(JobId::at(self.now()))?;
        let id = crate::transport::push(&queue, &[&prepared]).await.pop().expect("one answer for one job")?.id;
        Ok(id)
    }

    async fn last(&self, queue: &Queue) -> Result<(Option<DateTime<Utc>>, Option<JobId>), QueueError> {
        let mut pipe = redis::pipe();
        pipe.cmd("HGET").arg(queue.keys().cron()).arg(&self.name);
        pipe.cmd("HGET").arg(queue.keys().cron_jobs()).arg(&self.name);
        let (tick, job): (Option<RawText>, Option<RawText>) = queue
            .redis()
            .call("read a cron entry", |mut conn| async move { pipe.query_async(&mut conn).await })
            .await?;
        let tick = tick.and_then(|tick| tick.0.parse().ok()).and_then(DateTime::from_timestamp_millis);
        Ok((tick, job.and_then(|id| id.0.parse().ok())))
    }

    /// Its last and next tick.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn view(&self) -> Result<CronView, EnqueueError> {
        let queue = self.queue()?;
        let (last, last_job) = self.last(&queue).await?;
        Ok(CronView {
            entry: self.name.clone(),
            schedule: self.settings.schedule.clone(),
            timezone: self.settings.timezone.to_string(),
            kind: self.settings.kind.to_string(),
            enabled: self.settings.enabled,
            last,
            next: self.schedule.next_after(queue.now()),
            last_job,
        })
    }

    /// The ticks that were missed while no scheduler ran and that `catch_up` asks for.
    async fn missed(&self, now: DateTime<Utc>) -> Result<Vec<DateTime<Utc>>, EnqueueError> {
        let (last, _) = self.last(&self.queue()?).await?;
        Ok(last.map(|last| self.made_up(last, now)).unwrap_or_default())
    }

    /// Fires at every tick until `stop`. It retries after errors.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any time; `catch_up` handles missed ticks at the next start.
    pub async fn run(self, stop: CancellationToken) {
        if !self.settings.enabled {
            return;
        }
        let mut due: Vec<DateTime<Utc>> = loop {
            match self.missed(self.now()).await {
                Ok(missed) => break missed,
                Err(error) => tracing::warn!(entry = self.name, %error, "missed ticks could not be read"),
            }
            if stopped_within(&stop, RETRY).await {
                return;
            }
        };
        loop {
            let mut fired = None;
            for tick in due.drain(..) {
                fired = Some(tick);
                while let Err(error) = self.fire_and_tell(tick).await {
                    tracing::warn!(entry = self.name, %tick, %error, "the tick waits for Redis");
                    if stopped_within(&stop, RETRY).await {
                        return;
                    }
                }
            }
            let now = self.now();
            // Ticks that passed while an earlier one waited for Redis.
            due = fired.map(|tick| self.made_up(tick, now)).unwrap_or_default();
            if !due.is_empty() {
                continue;
            }
            let Some(next) = self.schedule.next_after(now) else {
                tracing::info!(entry = self.name, "no tick is left");
                return;
            };
            if stopped_within(&stop, (next - now).to_std().unwrap_or_default()).await {
                return;
            }
            due.push(next);
        }
    }

    /// The missed ticks after `last` that must be fired. A `last` in the future was fired by another clock and counts as now.
    fn made_up(&self, last: DateTime<Utc>, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let last = last.min(now);
        match self.settings.catch_up {
            CatchUp::Skip => Vec::new(),
            CatchUp::Latest => {
                self.schedule.previous_at_or_before(now).filter(|tick| *tick > last).into_iter().collect()
            }
            CatchUp::All => self.schedule.ticks_between(last, now, MADE_UP),
        }
    }

    async fn fire_and_tell(&self, tick: DateTime<Utc>) -> Result<(), EnqueueError> {
        let fired = self.fire(tick).await?;
        tracing::debug!(entry = self.name, %tick, ?fired, "tick");
        let outcome = match fired {
            TickOutcome::Fired => "fired",
            TickOutcome::Passed => "passed",
            TickOutcome::Overlap => "overlap",
        };
        metrics::counter!("perch_cron_ticks_total", "entry" => self.name.clone(), "outcome" => outcome).increment(1);
        Ok(())
    }
}

const RETRY: Duration = Duration::from_secs(1);

async fn stopped_within(stop: &CancellationToken, time: Duration) -> bool {
    tokio::time::timeout(time, stop.cancelled()).await.is_ok()
}

fn tick_id(entry: &str, tick: DateTime<Utc>) -> JobId {
    let digest = Sha256::digest(format!("{entry}@{}", tick.timestamp_millis()));
    let random = digest.iter().take(10).fold(0u128, |acc, byte| (acc << 8) | u128::from(*byte));
    JobId::from_parts(tick, random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_machines_make_the_same_id_of_a_tick_and_of_no_other() {
        let tick = DateTime::from_timestamp(1_790_000_000, 0).expect("a valid time");
        assert_eq!(tick_id("poll", tick), tick_id("poll", tick));
        assert_ne!(tick_id("poll", tick), tick_id("sync", tick));
        assert_ne!(tick_id("poll", tick), tick_id("poll", tick + Duration::from_secs(1)));
        assert_eq!(tick_id("poll", tick).created_at(), tick);
    }
}
