//! Read-only views of queues, jobs and workers for operators.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use perch_job::{JobId, JobState, Priority, QueueName};
use redis::Pipeline;
use serde::Serialize;

use crate::{Envelope, EventData, Lease, Queue, QueueError, dead::read_errors, raw_text::RawText, scripts};

/// A queue at one moment.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueStats {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub queue: QueueName,
    /// Ready jobs by priority.
    pub high: u64,
    /// Ready jobs by priority.
    pub normal: u64,
    /// Ready jobs by priority.
    pub low: u64,
    /// Parked jobs: their group is at its limit.
    pub parked: u64,
    /// Delayed jobs whose kind was unknown to every worker that tried them.
    pub unknown_kind: u64,
    /// Cancelled jobs whose ids are still in a ready or parked list; fetches skip them.
    pub cancelled: u64,
    /// Jobs that may not start before a time: scheduled, snoozed, or awaiting a retry.
    pub delayed: u64,
    /// Delayed jobs that are overdue: no fetch has run since they became due.
    pub overdue: u64,
    /// Leased jobs: running or prefetched.
    pub running: u64,
    /// Dead letters.
    pub dead: u64,
    /// Jobs that succeeded since Redis began to hold the queue.
    pub succeeded: u64,
    /// When the oldest ready job that is not cancelled was enqueued; a lower bound if more than sixteen cancelled jobs are in
    /// front of it.
    pub oldest: Option<DateTime<Utc>>,
    /// When the next delayed job is due.
    pub next_due: Option<DateTime<Utc>>,
    /// Who paused it, if it is paused.
    pub paused_by: Option<String>,
    /// When it was paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// Workers seen within the last minute.
    pub workers: u64,
    /// Events not yet trimmed from the stream.
    pub events: u64,
}

impl QueueStats {
    /// Ready and parked jobs, without cancelled ones.
    pub fn waiting(&self) -> u64 {
        (self.high + self.normal + self.low + self.parked).saturating_sub(self.cancelled)
    }
}

/// A job in Redis. Finished jobs are in Postgres only.
#[derive(Debug, Clone, Serialize)]
pub struct JobView {
    /// The job.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Its state.
    pub state: JobState,
    /// When it runs next, if it is delayed.
    #[serde(rename = "run_at")]
    pub due: Option<DateTime<Utc>>,
    /// When its lease ends, if it runs.
    pub lease_ends: Option<DateTime<Utc>>,
    /// The worker that holds its lease.
    pub worker: Option<String>,
    /// Attempts begun, if known.
    pub attempts: u32,
    /// True if it is running and has been cancelled.
    pub cancelling: bool,
    /// Since when it waits for a worker that knows its kind; `None` unless a worker that did not know it has tried the job.
    pub unknown_kind_since: Option<DateTime<Utc>>,
    /// The last errors, newest first.
    #[serde(serialize_with = "crate::event::with_times")]
    pub errors: Vec<EventData>,
    /// Its envelope as it is stored.
    pub envelope: String,
}

impl JobView {
    /// Its last error; empty when it has none.
    pub fn last_error(&self) -> &str {
        self.errors.first().and_then(|error| error.error.as_deref()).unwrap_or_default()
    }

    /// The envelope, if it can be read.
    pub fn decoded(&self) -> Option<Envelope> {
        Envelope::decode(self.envelope.as_bytes()).ok()
    }

    /// The envelope, even if its checksum shows that it was damaged.
    pub fn salvaged(&self) -> Option<Envelope> {
        Envelope::decode_damaged(self.envelope.as_bytes()).ok()
    }
}

/// A worker process, as seen from one queue.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Worker))]
pub struct WorkerView {
    /// Its name.
    pub name: String,
    /// The queue.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub queue: QueueName,
    /// When it last fetched or sent a heartbeat.
    pub seen: DateTime<Utc>,
    /// When it started.
    pub since: Option<DateTime<Utc>>,
    /// Its release.
    pub version: Option<String>,
    /// Its concurrency for this queue.
    pub concurrency: Option<u64>,
    /// Jobs that it has leased now.
    pub running: u64,
}

#[expect(clippy::cast_possible_truncation, reason = "scores are milliseconds since 1970")]
fn time(score: f64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(score as i64).unwrap_or_default()
}

type Scored = Vec<(RawText, f64)>;

/// Jobs read in one round trip.
const VIEWED_AT_ONCE: usize = 500;
/// Ids read from the front of a list to find one that is not cancelled.
const LOOKED_AT: usize = 16;

/// The first job that is not cancelled, given the front of a list. If all of the given ids are cancelled and more may follow, the
/// last of them.
fn first(front: &[RawText], cancelled: &HashSet<String>) -> Option<JobId> {
    let stands_for_more = front.last().filter(|_| front.len() == LOOKED_AT);
    let first = front.iter().find(|id| !cancelled.contains(&id.0)).or(stands_for_more)?;
    first.0.parse().ok()
}

impl Queue {
    async fn pipe<T: redis::FromRedisValue + Send>(
        &self,
        doing: &'static str,
        pipe: Pipeline,
    ) -> Result<T, QueueError> {
        self.redis().call(doing, |mut conn| async move { pipe.query_async(&mut conn).await }).await
    }

    /// The counts of the queue, in two round trips, or three if cancelled ids are in its lists.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn stats(&self) -> Result<QueueStats, QueueError> {
        let keys = self.keys();
        let ready = [Priority::High, Priority::Normal, Priority::Low].map(|p| keys.ready(p));
        let mut rest = redis::pipe();
        for list in &ready {
            rest.cmd("LRANGE").arg(list).arg(0).arg(LOOKED_AT - 1);
        }
        rest.cmd("ZRANGE").arg(keys.delayed()).arg(0).arg(0).arg("WITHSCORES");
        rest.cmd("HMGET").arg(keys.state()).arg(&["paused", "paused_by", "paused_at", "succeeded"]);
        let n: [u64; 12] = self.run("count jobs", &self.invocation(&scripts::COUNTS)).await?;
        type Rest = (Vec<RawText>, Vec<RawText>, Vec<RawText>, Scored, Vec<Option<RawText>>);
        let (high, normal, low, due, state): Rest = self.pipe("read the queue", rest).await?;
        let fronts = [high, normal, low];
        let cancelled = if n[9] > 0 {
            self.cancelled_of(fronts.iter().flatten().map(|id| id.0.as_str()).collect()).await?
        } else {
            HashSet::new()
        };
        let oldest = fronts.iter().filter_map(|front| first(front, &cancelled)).min();
        let paused = state.first().cloned().flatten().is_some_and(|p| p.0 == "1");
        let word = |i: usize| state.get(i).cloned().flatten().map(|word| word.0);
        let text = |i: usize| word(i).filter(|_| paused);
        Ok(QueueStats {
            queue: self.name().clone(),
            high: n[0],
            normal: n[1],
            low: n[2],
            // Unfinished jobs that are counted nowhere else, and cancelled ids that are still in a list.
            parked: (n[10] + n[9]).saturating_sub(n[..6].iter().sum::<u64>() - n[4] + n[6]),
            cancelled: n[9],
            unknown_kind: n[11],
            delayed: n[3],
            overdue: n[4],
            running: n[5],
            dead: n[6],
            succeeded: word(3).and_then(|n| n.parse().ok()).unwrap_or(0),
            workers: n[7],
            events: n[8],
            oldest: oldest.map(JobId::created_at),
            next_due: due.first().map(|(_, score)| time(*score)),
            paused_by: text(1).or_else(|| paused.then(|| "unknown".to_owned())),
            paused_at: text(2).and_then(|ms| ms.parse().ok()).and_then(DateTime::from_timestamp_millis),
        })
    }

    /// Which of `ids` were cancelled.
    async fn cancelled_of(&self, ids: Vec<&str>) -> Result<HashSet<String>, QueueError> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let mut are = redis::cmd("SMISMEMBER");
        are.arg(self.keys().cancelled()).arg(&ids);
        let are: Vec<bool> = self.redis().cmd("look for cancelled jobs", &are).await?;
        Ok(ids.into_iter().zip(are).filter(|(_, is)| *is).map(|(id, _)| id.to_owned()).collect())
    }

    /// A job of this queue in any state. `None` if it is finished or never existed.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn job(&self, id: JobId) -> Result<Option<JobView>, QueueError> {
        Ok(self.views(&[id]).await?.pop())
    }

    /// The jobs of `ids` that are in this queue.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn jobs(&self, ids: &[JobId]) -> Result<Vec<JobView>, QueueError> {
        let mut views = Vec::new();
        for some in ids.chunks(VIEWED_AT_ONCE) {
            views.extend(self.views(some).await?);
        }
        Ok(views)
    }

    pub(crate) async fn views(&self, ids: &[JobId]) -> Result<Vec<JobView>, QueueError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let keys = self.keys();
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let envelopes = self.envelopes(&names).await?;
        let mut pipe = redis::pipe();
        for key in [keys.attempts(), keys.dead_attempts(), keys.errors(), keys.cancelling(), keys.unknown_kind()] {
            pipe.cmd("HMGET").arg(key).arg(&names);
        }
        for key in [keys.delayed(), keys.dead()] {
            pipe.cmd("ZMSCORE").arg(key).arg(&names);
        }
        pipe.cmd("ZRANGE").arg(keys.leases()).arg(0).arg(-1).arg("WITHSCORES");
        type Column<T> = Vec<Option<T>>;
        type Texts = Column<RawText>;
        type Rows = (Texts, Texts, Texts, Texts, Texts, Column<f64>, Column<f64>, Scored);
        let (attempts, before_death, errors, cancelling, unknown, due, dead, leases): Rows =
            self.pipe("read jobs", pipe).await?;
        let mut views = Vec::new();
        for (i, id) in ids.iter().enumerate() {
            let Some(envelope) = &envelopes[i] else { continue };
            let lease = leases.iter().find_map(|(RawText(member), ends)| {
                let (owner, _) = member.split_once('|')?;
                (owner == names[i]).then(|| (Lease::from_member(*id, member.clone()), time(*ends)))
            });
            let state = match (&lease, due[i], dead[i]) {
                (Some(_), ..) => JobState::Running,
                (None, Some(_), _) => JobState::Delayed,
                (None, None, Some(_)) => JobState::Dead,
                (None, None, None) => JobState::Waiting,
            };
            let failed = before_death[i].as_ref().or(attempts[i].as_ref()).map_or(0, RawText::count);
            views.push(JobView {
                id: *id,
                queue: self.name().clone(),
                state,
                due: due[i].map(time),
                lease_ends: lease.as_ref().map(|(_, ends)| *ends),
                worker: lease.as_ref().map(|(lease, _)| lease.holder().to_owned()),
                attempts: lease.as_ref().map_or(failed, |(lease, _)| lease.attempt()),
                cancelling: cancelling[i].is_some(),
                unknown_kind_since: unknown[i]
                    .as_ref()
                    .and_then(|since| since.0.parse().ok())
                    .and_then(DateTime::from_timestamp_millis),
                errors: read_errors(errors[i].as_ref().map_or("", |errors| &errors.0)),
                envelope: String::from_utf8_lossy(envelope).into_owned(),
            });
        }
        Ok(views)
    }

    /// The workers of the queue that were seen within `within`.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn workers(&self, within: Duration) -> Result<Vec<WorkerView>, QueueError> {
        let since = (self.now() - within).timestamp_millis();
        let mut pipe = redis::pipe();
        pipe.cmd("ZRANGE").arg(self.keys().workers()).arg(since).arg("+inf").arg("BYSCORE").arg("WITHSCORES");
        pipe.cmd("HGETALL").arg(self.keys().worker_info());
        pipe.cmd("ZRANGE").arg(self.keys().leases()).arg(0).arg(-1);
        type Rows = (Scored, std::collections::HashMap<RawText, RawText>, Vec<RawText>);
        let (seen, info, leases): Rows = self.pipe("list workers", pipe).await?;
        Ok(seen
            .into_iter()
            .map(|(name, seen)| {
                let said: serde_json::Value =
                    info.get(&name).and_then(|json| serde_json::from_str(&json.0).ok()).unwrap_or_default();
                let running = leases.iter().filter(|member| member.0.split('|').nth(1) == Some(&name.0)).count();
                WorkerView {
                    queue: self.name().clone(),
                    seen: time(seen),
                    since: said["since"].as_i64().and_then(DateTime::from_timestamp_millis),
                    version: said["version"].as_str().map(str::to_owned),
                    concurrency: said["concurrency"].as_u64(),
                    running: running as u64,
                    name: name.0,
                }
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_begins_with_its_first_job_that_was_not_cancelled() {
        let ids: Vec<JobId> = (0..LOOKED_AT).map(|_| JobId::at(Utc::now())).collect();
        let names: Vec<RawText> = ids.iter().map(|id| RawText(id.to_string())).collect();
        let cancelled = |n: usize| names[..n].iter().map(|id| id.0.clone()).collect::<HashSet<_>>();
        assert_eq!(first(&names, &cancelled(0)), Some(ids[0]));
        assert_eq!(first(&names, &cancelled(3)), Some(ids[3]));
        assert_eq!(first(&names[..3], &cancelled(3)), None);
        assert_eq!(first(&names, &cancelled(LOOKED_AT)), ids.last().copied(), "more may follow");
        assert_eq!(first(&[], &cancelled(0)), None);
    }
}
