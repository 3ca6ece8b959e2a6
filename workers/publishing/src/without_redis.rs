//! What is decided and published while Redis is away.
//!
//! The jobs of ledger queues lie in the outbox until Redis has them. While Redis does not answer, their acts are made from there: one at a
//! time in an environment, each with its row held, so that no relay hands the job over meanwhile. The effect ledger sees to it that an act is
//! made once, as it does for every attempt. The row stays: when Redis is back the job runs in its queue, finds its act done, and records it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::{CronSchedule, Settings, clock, settings::CronSettings};
use perch_core::{relay, spending};
use perch_jobs::{AccountId, DeletePost, JobKind, JobTypes, PublishPost, PublishThread, RetryPolicy, RetweetPost};
use perch_queue::{Client, Envelope, Fail, Job as _, LedgerJob, worker::DirectRunner};
use perch_store::{BrakeCheck, Brakes, Budgets, HeldRow, Places, Store, StoreError};
use serde::Deserialize;
use serde_json::value::to_raw_value;
use tokio_util::sync::CancellationToken;

use crate::{
    absence::{Absence, LONGEST_HOLD, Next, TURN},
    gate::BEGIN_WITHIN,
};

/// The kinds of jobs whose acts are made.
const ACTS: [&str; 4] = [PublishPost::KIND, PublishThread::KIND, RetweetPost::KIND, DeletePost::KIND];
/// How often Redis is asked whether it is there.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often Redis is told what happened without it, and the audit log gets the lines that it lacks of brakes.
const MAKE_UP_EVERY: Duration = Duration::from_secs(30);
/// For how long acts are told to Redis again: they may have been made just before, by a scheduler that is still cut off.
const TOLD_AGAIN: TimeDelta = TimeDelta::minutes(5);
/// How long an attempt may take.
const WITHIN: Duration = Duration::from_secs(60);
/// How long a pull of a brake may be under way.
const PULL: Duration = Duration::from_secs(5);
/// How long a row is held: an attempt, and the end of its handler.
const HELD: Duration = Duration::from_secs(90);
/// Acts before that count for no limit of an account.
const COUNTED: TimeDelta = TimeDelta::days(2);

/// Decides and publishes while Redis is away.
pub struct WithoutRedis {
    store: Store,
    client: Client,
    runner: DirectRunner,
    after: Duration,
    places: Places,
    budgets: Budgets,
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
        let redis = client.queues().redis();
        Self {
            store: store.clone(),
            client: client.clone(),
            runner,
            after: settings.posting.without_redis_after,
            places: Places::new(redis.clone(), settings.env),
            budgets: Budgets::new(redis.clone(), store.clone(), settings.env),
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
        let (mut since, mut made_up) = (clock::now() - COUNTED, None::<Instant>);
        while self.client.queues().redis().ping().await.is_ok() {
            if made_up.is_none_or(|at| at.elapsed() >= MAKE_UP_EVERY) {
                let now = clock::now();
                match self.count(since).await {
                    Ok(()) => (since, made_up) = (now - TOLD_AGAIN, Some(Instant::now())),
                    Err(error) => tracing::warn!(%error, "what was published without Redis is not counted yet"),
                }
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
            let mut has_more = false;
            if since.elapsed() >= self.after {
                let absence = absence.get_or_insert_with(|| self.begins());
                match self.turn(absence, TURN).await {
                    Ok(more) => has_more = more,
                    Err(error) => {
                        tracing::warn!(%error, "Redis is away, and Postgres does not answer either: nothing is published");
                    }
                }
            }
            if !has_more {
                tokio::time::sleep(TURN).await;
            }
        }
        metrics::gauge!("perch_without_redis").set(0.0);
        if absence.is_some() {
            tracing::info!("Redis answers: jobs go through their queues again");
        }
    }

    /// An absence that begins now.
    pub fn absence(&self) -> Absence {
        Absence::new(self.decisions.len())
    }

    fn begins(&self) -> Absence {
        metrics::gauge!("perch_without_redis").set(1.0);
        tracing::warn!(
            away_for = %humantime::format_duration(self.after),
            "Redis does not answer: slots are filled and posts published through Postgres alone; posts that Redis has wait for it"
        );
        self.absence()
    }

    /// Decides what is due, and makes acts that wait, for as long as `within` and at least one: one turn of [`WithoutRedis::run`]. Answers
    /// whether more may wait.
    ///
    /// # Errors
    ///
    /// Postgres does not answer.
    pub async fn turn(&self, absence: &mut Absence, within: Duration) -> Result<bool, StoreError> {
        let (began, now) = (Instant::now(), clock::now());
        for (decision, tick) in self.decisions.iter().zip(&mut absence.ticks) {
            if tick.is_some_and(|tick| tick <= now) {
                *tick = decision.schedule.next_after(now);
                self.decide(decision).await;
            }
        }
        if self.is_braked(absence).await? {
            return Ok(false);
        }
        while self.act(absence).await? {
            if began.elapsed() >= within {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the brake of everything is on.
    async fn is_braked(&self, absence: &mut Absence) -> Result<bool, StoreError> {
        let check = self.brakes.look_at_log().await?;
        let everything = match &check {
            BrakeCheck::Braked(state) if state.scope.is_everything() => Some(state),
            _ => None,
        };
        if let Some(state) = everything.filter(|_| !absence.is_braked) {
            tracing::warn!(brake = state.describe(), "nothing is published without Redis");
        }
        absence.is_braked = everything.is_some();
        Ok(absence.is_braked)
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

    /// Looks at one job that waits, and attempts it if it may run. False if none is there.
    async fn act(&self, absence: &mut Absence) -> Result<bool, StoreError> {
        let (skip, last) = absence.order(Instant::now());
        let Some(held) = self.store.outbox().hold(&self.acts, (&skip, &last), HELD).await? else { return Ok(false) };
        let id = held.entry.id;
        let next = self.attempt(&held, absence).await;
        absence.put_off(id, next, Instant::now());
        held.release().await?;
        Ok(true)
    }

    /// Attempts the job of a row. Answers when it is looked at again.
    async fn attempt(&self, held: &HeldRow, absence: &mut Absence) -> Next {
        let Some(job) = relay::admitted(&self.client, &held.entry) else { return Next::WithRedis };
        let types = self.client.queues().types();
        let envelope = match ready(types, &job, clock::now()) {
            Ok(envelope) => envelope,
            Err(next) => return next,
        };
        let account = account_of(&envelope);
        if let Some(wait) = account.as_ref().and_then(|account| absence.account_waits(account, Instant::now())) {
            return Next::In(wait);
        }
        let ended = self.runner.attempt(&job, WITHIN).await;
        let (outcome, failed, next) = match &ended {
            Ok(_) => ("done", Some(false), Next::WithRedis),
            Err(Fail::Snooze(wait, _)) => ("later", None, Next::In((*wait).clamp(TURN, LONGEST_HOLD))),
            Err(Fail::Retry(_)) => ("failed", Some(true), Next::AfterFailure(policy(types, &envelope), TURN)),
            Err(Fail::RetryAfter(wait, _)) => {
                ("failed", Some(true), Next::AfterFailure(policy(types, &envelope), *wait))
            }
            Err(Fail::Dead(_) | Fail::Cancelled(_)) => ("refused", Some(false), Next::WithRedis),
        };
        if let Some((account, failed)) = account.zip(failed) {
            absence.account_ended(account, failed, Instant::now());
        }
        metrics::counter!("perch_jobs_without_redis_total", "kind" => job.kind.to_string(), "outcome" => outcome)
            .increment(1);
        match ended {
            Ok(_) => tracing::info!(job = %job.id, kind = %job.kind, "done without Redis"),
            Err(Fail::Snooze(_, why)) => {
                tracing::debug!(job = %job.id, kind = %job.kind, why, "held back without Redis");
            }
            Err(fail) => tracing::warn!(job = %job.id, kind = %job.kind, ?fail, "not done without Redis"),
        }
        next
    }

    /// Has Redis count, for the limits of accounts that acted without it since `since` and for the budget of X, what Postgres has on record.
    ///
    /// # Errors
    ///
    /// Redis or Postgres does not answer.
    pub async fn count(&self, since: DateTime<Utc>) -> Result<(), StoreError> {
        let (effects, now) = (self.store.effects(), clock::now());
        let accounts = effects.accounts_without_redis(since).await?;
        for account in &accounts {
            // All acts, not only those without Redis: one that is empty takes an account with any act for counted.
            let acts = effects.acts_since(account, now - COUNTED).await?;
            self.places.count(account, &acts, BEGIN_WITHIN).await?;
        }
        if accounts.is_empty() { Ok(()) } else { self.budgets.raise(spending::X, now).await }
    }
}

/// The envelope of a job that may run now without Redis; else when it is looked at again.
fn ready(types: &JobTypes, job: &LedgerJob, now: DateTime<Utc>) -> Result<Envelope, Next> {
    let envelope = Envelope::decode(job.envelope.as_bytes()).map_err(|_| Next::WithRedis)?;
    if let Some(run_at) = envelope.run_at.filter(|run_at| *run_at > now) {
        return Err(Next::In((run_at - now).to_std().unwrap_or(TURN)));
    }
    let is_late = envelope.deadline.is_some_and(|deadline| deadline <= now);
    // Redis alone knows who holds a unique key. One that follows from the payload is that of the effect, which the ledger knows.
    let known = types.get(job.kind.as_str()).and_then(|known| known.check(&envelope.payload).ok());
    let is_held_in_redis = envelope.unique.is_some() && envelope.unique != known.and_then(|(implied, _)| implied);
    if is_late || envelope.refused.is_some() || is_held_in_redis { Err(Next::WithRedis) } else { Ok(envelope) }
}

/// The account as which a job acts.
fn account_of(envelope: &Envelope) -> Option<AccountId> {
    #[derive(Deserialize)]
    struct Payload {
        account: AccountId,
    }
    serde_json::from_str::<Payload>(envelope.payload.get()).ok().map(|payload| payload.account)
}

fn policy(types: &JobTypes, envelope: &Envelope) -> RetryPolicy {
    envelope.retry(&types.get(envelope.kind.as_str()).map_or(RetryPolicy::DEFAULT, |known| known.retry))
}

#[cfg(test)]
mod tests {
    use perch_jobs::JobId;
    use perch_queue::{OnConflict, QueueName};
    use serde_json::json;

    use super::*;

    fn waiting(envelope: &serde_json::Value) -> Option<Next> {
        let now = DateTime::from_timestamp_millis(1_800_000_000_000).expect("a time");
        let job = LedgerJob {
            id: JobId::at(now),
            queue: QueueName::from_static("pending_posts"),
            kind: JobKind::from_static(PublishPost::KIND),
            envelope: envelope.to_string(),
            on_conflict: OnConflict::Keep,
        };
        ready(&perch_jobs::types(), &job, now).err()
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
        assert_eq!(with("deadline", json!(1_800_000_000_000_u64)), Some(Next::WithRedis));
        assert_eq!(with("run_at", json!(1_800_000_000_000_u64)), None);
        assert_eq!(with("run_at", json!(1_800_000_002_000_u64)), Some(Next::In(Duration::from_secs(2))));
        assert_eq!(with("unique", json!({ "key": "one", "scope": "done" })), Some(Next::WithRedis));
        assert_eq!(with("unique", json!({ "key": "mine", "scope": "done" })), None);
        assert_eq!(with("refused", json!("it cannot be a job")), Some(Next::WithRedis));
        assert_eq!(waiting(&json!("odd")), Some(Next::WithRedis));
    }
}
