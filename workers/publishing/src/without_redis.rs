//! What is decided and published while Redis is away.
//!
//! The jobs of ledger queues lie in the outbox until Redis has them. While Redis does not answer, their acts are made from there: one at a
//! time in an environment, each with its row held, so that no relay hands the job over meanwhile. The effect ledger sees to it that an act is
//! made once, as it does for every attempt. The row stays: when Redis is back the job runs in its queue, finds its act done, and records it.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::{CronSchedule, Settings, clock, settings::CronSettings};
use perch_core::relay;
use perch_jobs::{AccountId, DeletePost, JobId, JobKind, JobTypes, PublishPost, PublishThread, RetweetPost};
use perch_queue::{Client, Envelope, Fail, Job as _, LedgerJob, worker::DirectRunner};
use perch_store::{Brakes, HeldRow, KnownAct, Places, Store, StoreError};
use serde_json::value::to_raw_value;
use tokio_util::sync::CancellationToken;

use crate::gate::BEGIN_WITHIN;

/// The kinds of jobs whose acts are made.
const ACTS: [&str; 4] = [PublishPost::KIND, PublishThread::KIND, RetweetPost::KIND, DeletePost::KIND];
/// How often Redis is asked whether it is there.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The same while it is away.
const TURN_EVERY: Duration = Duration::from_secs(1);
/// How often the audit log gets the lines that it lacks of brakes.
const LINES_EVERY: Duration = Duration::from_secs(30);
/// How long an attempt may take.
const WITHIN: Duration = Duration::from_secs(60);
/// How long a pull of a brake may be under way.
const PULL: Duration = Duration::from_secs(5);
/// How long a row is held: an attempt, and the end of its handler.
const HELD: Duration = Duration::from_secs(90);
/// Most acts between two looks at Redis.
const AT_ONCE: usize = 20;
/// When a job is looked at again that waits for Redis, as far as is known.
const LATER: Duration = Duration::from_secs(3_600);
/// When an attempt is made again that failed.
const AGAIN: Duration = Duration::from_secs(15);
/// Acts before that count for no limit of an account.
const COUNTED: TimeDelta = TimeDelta::days(2);

/// Decides and publishes while Redis is away.
pub struct WithoutRedis {
    store: Store,
    client: Client,
    runner: DirectRunner,
    after: Duration,
    env: perch_base::Environment,
    brakes: Brakes,
    acts: Vec<JobKind>,
    decisions: Vec<Decision>,
}

/// A cron entry that runs while Redis is away.
struct Decision {
    name: String,
    settings: CronSettings,
    schedule: CronSchedule,
}

/// What is known of one absence of Redis.
#[derive(Debug, Default)]
pub struct Absence {
    /// Jobs that are not looked at before that time.
    later: HashMap<JobId, Instant>,
    /// The next tick of each decision.
    ticks: Vec<Option<DateTime<Utc>>>,
}

impl WithoutRedis {
    /// `runner` has a [`Publisher`](crate::Publisher) that is one [without Redis](crate::Publisher::without_redis). Of the cron entries, those
    /// of the kinds `decide` run; the brakes are all that the deployment has.
    pub fn new(
        settings: &Arc<Settings>,
        (store, client): (&Store, &Client),
        runner: DirectRunner,
        decide: &[&'static str],
        brakes: Brakes,
    ) -> Self {
        let decisions =
            settings.cron.iter().filter(|(_, entry)| entry.enabled && decide.contains(&entry.kind.as_str()));
        let decision = |(name, entry): (&String, &CronSettings)| {
            // An entry that cannot be read is reported by the scheduler.
            let schedule = CronSchedule::parse(&entry.schedule, entry.timezone).ok()?;
            Some(Decision { name: name.clone(), settings: entry.clone(), schedule })
        };
        Self {
            store: store.clone(),
            client: client.clone(),
            runner,
            after: settings.posting.without_redis_after,
            env: settings.env,
            brakes,
            acts: ACTS.map(JobKind::from_static).to_vec(),
            decisions: decisions.filter_map(decision).collect(),
        }
    }

    /// Runs until `stop`. It never runs an act where `posting.without_redis_after` is zero.
    pub async fn run(&self, stop: CancellationToken) {
        if !self.after.is_zero() {
            let _ = stop.run_until_cancelled(self.watch()).await;
        }
    }

    async fn watch(&self) {
        loop {
            self.while_there().await;
            self.while_away().await;
        }
    }

    /// Makes up for what Redis does not know yet, and ends once Redis does not answer.
    async fn while_there(&self) {
        let (mut is_counted, mut lines_at) = (false, None::<Instant>);
        while self.client.queues().redis().ping().await.is_ok() {
            if !is_counted {
                let counted = self.count().await;
                is_counted = counted
                    .inspect_err(|error| tracing::warn!(%error, "what was published without Redis is not counted yet"))
                    .is_ok();
            }
            if lines_at.is_none_or(|at| at.elapsed() >= LINES_EVERY) {
                lines_at = Some(Instant::now());
                if let Err(error) = self.brakes.write_missing_lines(PULL).await {
                    tracing::debug!(%error, "the audit log may lack the line of a brake");
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends once Redis answers.
    async fn while_away(&self) {
        let (since, mut absence) = (Instant::now(), None);
        while self.client.queues().redis().ping().await.is_err() {
            if since.elapsed() >= self.after {
                let absence = absence.get_or_insert_with(|| self.begins());
                if let Err(error) = self.turn(absence).await {
                    tracing::warn!(%error, "Redis is away, and Postgres does not answer either: nothing is published");
                }
            }
            tokio::time::sleep(TURN_EVERY).await;
        }
        metrics::gauge!("perch_without_redis").set(0.0);
        if absence.is_some() {
            tracing::info!("Redis answers: jobs go through their queues again");
        }
    }

    /// An absence that begins now.
    pub fn absence(&self) -> Absence {
        Absence { ticks: vec![Some(clock::now()); self.decisions.len()], ..Absence::default() }
    }

    fn begins(&self) -> Absence {
        metrics::gauge!("perch_without_redis").set(1.0);
        tracing::warn!(
            away_for = %humantime::format_duration(self.after),
            "Redis does not answer: slots are filled and posts published through Postgres alone; posts that Redis has wait for it"
        );
        self.absence()
    }

    /// Decides what is due, and makes the acts that wait: one turn of [`WithoutRedis::run`].
    ///
    /// # Errors
    ///
    /// Postgres does not answer.
    pub async fn turn(&self, absence: &mut Absence) -> Result<(), StoreError> {
        let now = clock::now();
        for (decision, tick) in self.decisions.iter().zip(&mut absence.ticks) {
            if tick.is_some_and(|tick| tick <= now) {
                *tick = decision.schedule.next_after(now);
                self.decide(decision).await;
            }
        }
        absence.later.retain(|_, until| *until > Instant::now());
        for _ in 0..AT_ONCE {
            let skip: Vec<JobId> = absence.later.keys().copied().collect();
            let Some(held) = self.store.outbox().hold(&self.acts, &skip, HELD).await? else { break };
            let (id, wait) = (held.entry.id, self.attempt(&held).await);
            absence.later.insert(id, Instant::now() + wait);
            held.release().await?;
        }
        Ok(())
    }

    async fn decide(&self, decision: &Decision) {
        let Decision { name, settings, .. } = decision;
        let Ok(payload) = to_raw_value(&settings.payload) else { return };
        match self.runner.run_kind(&settings.kind, &payload, WITHIN).await {
            Ok(result) => tracing::info!(entry = name, %result, "run without Redis"),
            Err(fail) => {
                tracing::warn!(entry = name, ?fail, "a cron entry could not run without Redis; it is run again");
            }
        }
    }

    /// Attempts the job of a row. Answers for how long it needs no other attempt.
    async fn attempt(&self, held: &HeldRow) -> Duration {
        let Some(job) = relay::admitted(&self.client, &held.entry) else { return LATER };
        if let Some(wait) = waits(self.client.queues().types(), &job, clock::now()) {
            return wait;
        }
        let ended = self.runner.attempt(&job, WITHIN).await;
        let (outcome, wait) = match &ended {
            Ok(_) => ("done", LATER),
            Err(Fail::Snooze(wait, _) | Fail::RetryAfter(wait, _)) => ("later", (*wait).max(TURN_EVERY)),
            Err(Fail::Retry(_)) => ("later", AGAIN),
            Err(Fail::Dead(_) | Fail::Cancelled(_)) => ("refused", LATER),
        };
        metrics::counter!("perch_jobs_without_redis_total", "kind" => job.kind.to_string(), "outcome" => outcome)
            .increment(1);
        match ended {
            Ok(_) => tracing::info!(job = %job.id, kind = %job.kind, "done without Redis"),
            Err(fail) => tracing::warn!(job = %job.id, kind = %job.kind, ?fail, "not done without Redis"),
        }
        wait
    }

    /// Has Redis count for the limits of accounts what was published without it.
    ///
    /// # Errors
    ///
    /// Redis or Postgres does not answer.
    pub async fn count(&self) -> Result<(), StoreError> {
        let mut by_account: HashMap<AccountId, Vec<KnownAct>> = HashMap::new();
        for (account, act) in self.store.effects().acts_without_redis(clock::now() - COUNTED).await? {
            by_account.entry(account).or_default().push(act);
        }
        let places = Places::new(self.client.queues().redis().clone(), self.env);
        for (account, acts) in &by_account {
            places.count(account, acts, BEGIN_WITHIN).await?;
        }
        Ok(())
    }
}

/// For how long a job is not attempted without Redis: until its time, or until Redis is back where only Redis or its queue can decide.
fn waits(types: &JobTypes, job: &LedgerJob, now: DateTime<Utc>) -> Option<Duration> {
    let Ok(envelope) = Envelope::decode(job.envelope.as_bytes()) else { return Some(LATER) };
    if let Some(run_at) = envelope.run_at.filter(|run_at| *run_at > now) {
        return Some((run_at - now).to_std().unwrap_or(TURN_EVERY).min(LATER));
    }
    let is_late = envelope.deadline.is_some_and(|deadline| deadline <= now);
    // Redis alone knows who holds a unique key. One that follows from the payload is that of the effect, which the ledger knows.
    let implied = types.get(job.kind.as_str()).and_then(|known| known.check(&envelope.payload).ok()?.0);
    let is_held_in_redis = envelope.unique.is_some() && envelope.unique != implied;
    (is_late || envelope.refused.is_some() || is_held_in_redis).then_some(LATER)
}

#[cfg(test)]
mod tests {
    use perch_queue::{OnConflict, QueueName};
    use serde_json::json;

    use super::*;

    fn waiting(envelope: &serde_json::Value) -> Option<Duration> {
        let now = DateTime::from_timestamp_millis(1_800_000_000_000).expect("a time");
        let job = LedgerJob {
            id: JobId::at(now),
            queue: QueueName::from_static("pending_posts"),
            kind: JobKind::from_static(PublishPost::KIND),
            envelope: envelope.to_string(),
            on_conflict: OnConflict::Keep,
        };
        waits(&perch_jobs::types(), &job, now)
    }

    #[test]
    fn a_job_waits_for_its_time_and_for_redis_where_its_queue_has_to_decide() {
        let with = |field: &str, value: serde_json::Value| {
            let mut envelope = json!({
                "kind": "publish_post",
                "max": 5,
                "payload": { "account": "main", "text": "one", "effect_key": "mine" },
            });
            envelope[field] = value;
            waiting(&envelope)
        };
        assert_eq!(with("deadline", json!(1_800_000_000_001_u64)), None);
        assert_eq!(with("deadline", json!(1_800_000_000_000_u64)), Some(LATER));
        assert_eq!(with("run_at", json!(1_800_000_000_000_u64)), None);
        assert_eq!(with("run_at", json!(1_800_000_002_000_u64)), Some(Duration::from_secs(2)));
        assert_eq!(with("unique", json!({ "key": "one", "scope": "done" })), Some(LATER));
        assert_eq!(with("unique", json!({ "key": "mine", "scope": "done" })), None);
        assert_eq!(with("refused", json!("it cannot be a job")), Some(LATER));
        assert_eq!(waiting(&json!("odd")), Some(LATER));
    }
}
