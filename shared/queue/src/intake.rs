//! The intake takes over jobs that services push with a stock `apalis_redis::RedisStorage`, each once.
//!
//! Such a service pushes into the namespace `<prefix>intake:<queue>` and needs nothing of Perch. The layout read here is
//! the one that apalis-redis 1.0 writes: a sorted set `scheduled` (score: seconds since 1970), a list `active`, a hash
//! `data` of task id to payload, and a hash `meta:<task id>`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_base::crash_point;
use perch_job::{JobId, JobKind, JobType};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::{
    Client, EnqueueError, EnqueueOptions, Queue, QueueError,
    admission::Admission,
    raw_text::RawText,
    rejection::{NO_KIND, refused},
    transport::push_all,
};

/// Tasks taken over in one step.
const AT_ONCE: usize = 250;
/// Most steps of one run.
const STEPS: usize = 4_000;
/// The least time for which a task is remembered after it was taken over and removed.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// The intake of one queue.
#[derive(Debug, Clone)]
pub struct Intake {
    queue: Queue,
    client: Client,
    namespace: String,
}

/// A task that waits.
struct Task {
    /// Its id as the producer wrote it; it may not be text.
    task: Vec<u8>,
    run_at: Option<DateTime<Utc>>,
}

impl Task {
    /// Its id as text; bytes that are not text in hexadecimal digits, a form that no producer uses.
    fn name(&self) -> String {
        name_of(&self.task)
    }
}

fn name_of(task: &[u8]) -> String {
    let hex = |byte: &u8| format!("{byte:02x}");
    str::from_utf8(task).map_or_else(|_| format!("0x{}", task.iter().map(hex).collect::<String>()), str::to_owned)
}

impl Intake {
    /// The intake of `queue`.
    pub fn new(queue: &Queue, client: &Client) -> Self {
        Self {
            queue: queue.clone(),
            client: client.clone(),
            namespace: format!("{}intake:{}", queue.env().prefix(), queue.name()),
        }
    }

    /// The namespace that services push into.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Takes over tasks until none is left, at most a million. Returns how many jobs were new to the engine.
    ///
    /// The script that enqueues a task also remembers it, and it is removed from the intake afterwards. So neither a crash in
    /// between nor a second process that read the same task enqueues it twice.
    ///
    /// # Errors
    ///
    /// Redis is unavailable or refuses writes. Tasks that were not taken over stay in the intake, and each is taken over once.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, some tasks may have been taken over; the next call continues.
    pub async fn run_once(&self) -> Result<usize, EnqueueError> {
        let mut accepted = 0;
        for _ in 0..STEPS {
            let found = self.waiting().await?;
            if found.is_empty() {
                break;
            }
            accepted += self.hand_over(&found).await?;
        }
        self.forget_old().await?;
        Ok(accepted)
    }

    /// Takes over new tasks until `stop`: every second while there are some, every five seconds while there are none. It retries
    /// after errors. On a Redis Cluster there is no intake: the layout of a stock producer does not fit one.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any time, like [`Intake::run_once`].
    pub async fn run(self, stop: CancellationToken) {
        const BUSY: Duration = Duration::from_secs(1);
        const IDLE: Duration = Duration::from_secs(5);
        let takes_in = !self.queue.redis().is_cluster();
        loop {
            let mut pause = IDLE;
            match if takes_in { self.run_once().await } else { Ok(0) } {
                Ok(0) => {}
                Ok(n) => {
                    pause = BUSY;
                    tracing::info!(queue = %self.queue.name(), jobs = n, "taken over from the intake");
                }
                Err(error) => tracing::warn!(queue = %self.queue.name(), %error, "the intake waits for Redis"),
            }
            if tokio::time::timeout(pause, stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    fn key(&self, suffix: &str) -> String {
        format!("{}:{suffix}", self.namespace)
    }

    fn meta(&self, task: &[u8]) -> Vec<u8> {
        [self.key("meta:").as_bytes(), task].concat()
    }

    async fn waiting(&self) -> Result<Vec<Task>, QueueError> {
        let mut pipe = redis::pipe();
        pipe.cmd("LRANGE").arg(self.key("active")).arg(0).arg(AT_ONCE - 1);
        pipe.cmd("ZRANGE").arg(self.key("scheduled")).arg(0).arg(AT_ONCE - 1).arg("WITHSCORES");
        type Tasks = Vec<Vec<u8>>;
        let (active, scheduled): (Tasks, Vec<(Vec<u8>, f64)>) = self.pipe("read the intake", pipe).await?;
        let now = active.into_iter().map(|task| Task { task, run_at: None });
        let later = scheduled.into_iter().map(|(task, seconds)| {
            #[expect(clippy::cast_possible_truncation, reason = "scores are seconds since 1970")]
            let run_at = DateTime::from_timestamp(seconds as i64, 0);
            Task { task, run_at }
        });
        Ok(now.chain(later).take(AT_ONCE).collect())
    }

    async fn hand_over(&self, found: &[Task]) -> Result<usize, EnqueueError> {
        let mut pipe = redis::pipe();
        pipe.cmd("HMGET").arg(self.key("data"));
        for one in found {
            pipe.arg(&one.task);
        }
        let (payloads,): (Vec<Option<Vec<u8>>>,) = self.pipe("read the intake", pipe).await?;
        let mut kinds = redis::pipe();
        for one in found {
            kinds.cmd("HGET").arg(self.meta(&one.task)).arg("kind");
        }
        let kinds: Vec<Option<RawText>> = self.pipe("read the intake", kinds).await?;
        let jobs: Vec<Admission> = found
            .iter()
            .zip(payloads)
            .zip(kinds)
            .filter_map(|((one, payload), kind)| Some(self.prepare(one, &payload?, kind.map(|kind| kind.0))))
            .collect();
        crash_point!("intake.read");
        let mut accepted = 0;
        // A task whose name is a job id gets the same id when it is read again, so its job may go into a ledger.
        let (mut lasting, others): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| job.intake.as_deref() == Some(job.id.to_string().as_str()));
        let mut results = self.client.store(&self.queue, &mut lasting).await;
        results.extend(push_all(&self.queue, &others.iter().collect::<Vec<_>>()).await);
        for result in results {
            match result {
                Ok(enqueued) if enqueued.acceptance == crate::Acceptance::Accepted => accepted += 1,
                Ok(_) | Err(EnqueueError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        crash_point!("intake.enqueued");
        self.remove(found).await?;
        crash_point!("intake.removed");
        Ok(accepted)
    }

    /// Turns a task into a job. An invalid one is enqueued as a rejected request, which its first attempt moves to the dead
    /// letters with the reason.
    fn prepare(&self, found: &Task, payload: &[u8], kind: Option<String>) -> Admission {
        let types = self.client.queues().types();
        let configured = self.queue.settings().intake_kind.as_ref().map(JobKind::to_string);
        let named = kind.or(configured).unwrap_or_else(|| NO_KIND.to_owned());
        let kind = named.parse::<JobKind>().unwrap_or_else(|_| JobKind::from_static(NO_KIND));
        let job_type = types
            .get(kind.as_str())
            .cloned()
            .unwrap_or_else(|| JobType::unknown(kind.clone(), self.queue.name().clone()));
        let text = String::from_utf8_lossy(payload).into_owned();
        let task = found.name();
        let id = task.parse().unwrap_or_else(|_| self.id_of(&found.task));
        let job = RawValue::from_string(text.clone())
            .map_err(|e| format!("the payload is not JSON: {e}"))
            .and_then(|payload| self.fitting(&job_type, payload, id, found.run_at));
        let mut prepared = job.unwrap_or_else(|reason| refused(&self.queue, &named, &text, &reason, id));
        prepared.intake = Some(task);
        prepared
    }

    fn fitting(
        &self,
        job_type: &JobType,
        payload: Box<RawValue>,
        id: JobId,
        run_at: Option<DateTime<Utc>>,
    ) -> Result<Admission, String> {
        let (size, limit) = (payload.get().len(), self.queue.engine().max_payload_bytes);
        if size > limit {
            return Err(format!("the payload is {size} bytes; the limit is {limit} (engine.max_payload_bytes)"));
        }
        // A payload that does not fit its type fails in its first attempt, with an error that names the wrong path.
        let derived = job_type.check(&payload).unwrap_or_default();
        let options = EnqueueOptions { id: Some(id), run_at, ..EnqueueOptions::default() };
        let max_ahead = self.queue.engine().max_schedule_ahead;
        let job = Admission::new(self.queue.now(), max_ahead, job_type, payload, options, derived);
        job.map_err(|e| e.to_string())
    }

    fn id_of(&self, task: &[u8]) -> JobId {
        let digest = Sha256::digest(task);
        JobId::from_parts(self.queue.now(), digest.iter().take(10).fold(0, |acc, byte| (acc << 8) | u128::from(*byte)))
    }

    async fn remove(&self, found: &[Task]) -> Result<(), QueueError> {
        let mut pipe = redis::pipe();
        for Task { task, .. } in found {
            pipe.cmd("LREM").arg(self.key("active")).arg(1).arg(task).ignore();
            pipe.cmd("ZREM").arg(self.key("scheduled")).arg(task).ignore();
            pipe.cmd("HDEL").arg(self.key("data")).arg(task).ignore();
            pipe.cmd("DEL").arg(self.meta(task)).ignore();
        }
        self.pipe("clear the intake", pipe).await
    }

    /// Forgets tasks that were taken over long ago, except those still in the intake because a process died before removing them.
    async fn forget_old(&self) -> Result<(), QueueError> {
        let key = self.queue.keys().intake();
        let now = self.queue.now();
        let before = (now - REMEMBERED).timestamp_millis();
        for _ in 0..STEPS {
            let mut old = redis::cmd("ZRANGEBYSCORE");
            old.arg(&key).arg("-inf").arg(before).arg("LIMIT").arg(0).arg(AT_ONCE);
            let tasks: Vec<Vec<u8>> = self.queue.redis().cmd("clear the intake", &old).await?;
            if tasks.is_empty() {
                return Ok(());
            }
            let mut data = redis::pipe();
            for task in &tasks {
                data.cmd("HEXISTS").arg(self.key("data")).arg(task);
            }
            let there: Vec<bool> = self.pipe("clear the intake", data).await?;
            let mut pipe = redis::pipe();
            for (task, there) in tasks.iter().zip(there) {
                if there {
                    pipe.cmd("ZADD").arg(&key).arg("XX").arg(now.timestamp_millis()).arg(task).ignore();
                } else {
                    pipe.cmd("ZREM").arg(&key).arg(task).ignore();
                }
            }
            self.pipe::<()>("clear the intake", pipe).await?;
        }
        Ok(())
    }

    async fn pipe<T: redis::FromRedisValue + Send>(
        &self,
        doing: &'static str,
        pipe: redis::Pipeline,
    ) -> Result<T, QueueError> {
        self.queue.redis().call(doing, |mut conn| async move { pipe.query_async(&mut conn).await }).await
    }
}
