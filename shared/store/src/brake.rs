use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use perch_queue::Redis;
use redis::Script;
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;

use crate::{Store, StoreError, effects::DualInstant, query_as, row::Moment};

/// How long a check of the brake stays valid for starting a call. Pulling the brake waits longer than this before it returns.
pub const CLEAR_FOR: Duration = Duration::from_secs(1);
/// How long a pull waits, so that every earlier check has expired, including those of calls on their way to X.
const SETTLED: Duration = Duration::from_millis(1_200);

/// The object of its lines in the audit log.
const OBJECT: &str = "brake";
const PULLED: &str = "brake.on";
const LIFTED: &str = "brake.off";

static BRAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/brake.lua")));

/// The state of the emergency brake.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BrakeState {
    /// True when nothing may be published.
    pub on: bool,
    /// Who pulled or lifted it last; `None` when it was never touched.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Since when it has been in this state.
    pub since: Option<DateTime<Utc>>,
    /// The number of its line in the audit log; 0 for none.
    pub line: i64,
}

impl BrakeState {
    /// A sentence for whoever is stopped by the brake.
    pub fn describe(&self) -> String {
        let by = self.by.as_deref().unwrap_or("somebody");
        let since = self.since.map_or_else(String::new, |at| format!(" since {}", at.format("%Y-%m-%d %H:%M:%SZ")));
        let reason = self.reason.as_deref().unwrap_or("no reason given");
        if self.on {
            format!("the emergency brake is on{since}, pulled by {by}: {reason}")
        } else {
            format!("the emergency brake is off{since}")
        }
    }
}

/// Proof that the brake was off at one moment.
#[derive(Debug, Clone, Copy)]
pub struct BrakeClearance(TimeLimit);

impl BrakeClearance {
    /// Whether a call may still begin.
    pub fn holds(&self) -> bool {
        self.0.is_open()
    }
}

/// A time limit measured by two clocks: one goes on while the process is frozen, the other also while the machine is suspended.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimit {
    from: DualInstant,
    within: Duration,
}

impl TimeLimit {
    /// A limit that begins now.
    pub fn starting(within: Duration) -> Self {
        Self { from: DualInstant::now(), within }
    }

    /// Whether it is still open. It ends as soon as one of the two clocks says so.
    pub fn is_open(&self) -> bool {
        self.from.within(self.within, Instant::now(), Utc::now())
    }
}

/// The result of checking the brake.
#[derive(Debug, Clone)]
pub enum BrakeCheck {
    /// Calls may begin, for [`CLEAR_FOR`] from the start of the check.
    Clear(BrakeClearance),
    /// Nothing may begin.
    Braked(BrakeState),
}

/// The result of pulling or lifting the brake.
#[derive(Debug)]
pub struct BrakeOutcome {
    /// The state of the brake now.
    pub state: BrakeState,
    /// False when it was in this state before.
    pub changed: bool,
    /// Why the audit log could not be written. Only Redis holds the state then.
    pub unlogged: Option<StoreError>,
}

/// The emergency brake of an environment: one switch that stops everything that publishes, in all processes.
///
/// Redis holds the state under `<prefix>brake`, which every act checks. The audit log in Postgres holds every change, and restores
/// the state in a Redis that lost it or came back with an older copy. Where the two differ, the later change wins, because either
/// may have been restored from an older copy.
#[derive(Debug, Clone)]
pub struct Brake {
    redis: Redis,
    store: Store,
    key: String,
}

#[derive(FromRow)]
struct BrakeLogLine {
    id: i64,
    #[sqlx(try_from = "Moment")]
    at: DateTime<Utc>,
    actor: String,
    action: String,
    reason: Option<String>,
}

/// A change of the brake, as Redis is to hold it.
struct BrakeUpdate<'a> {
    /// Its line in the audit log; `None` before there is one.
    line: Option<i64>,
    on: bool,
    by: &'a str,
    reason: &'a str,
    /// Later than every earlier change.
    at: DateTime<Utc>,
}

impl Brake {
    /// The brake of the environment of `store`.
    pub fn new(redis: Redis, store: Store) -> Self {
        let key = format!("{}brake", store.env.prefix());
        Self { redis, store, key }
    }

    /// Pulls the brake. Once this returns, no further call begins. It takes a little over [`CLEAR_FOR`].
    ///
    /// It works while Postgres is unavailable; [`BrakeOutcome::unlogged`] then warns that the brake is lost if Redis loses its data.
    /// An error means that Redis does not answer; if Postgres does, processes stop as soon as they ask it.
    pub async fn pull(&self, by: &str, reason: &str, details: Value) -> Result<BrakeOutcome, StoreError> {
        // Redis comes first, because the log line must be later than what Redis holds. The log does not wait for a frozen Redis.
        let mut in_redis = std::pin::pin!(self.pull_in_redis(by, reason));
        let soon = tokio::time::timeout(CLEAR_FOR, &mut in_redis).await;
        let after = if let Ok(Ok((_, pulled))) = &soon { pulled.since } else { None };
        let log = self.log(by, PULLED, reason, details, after);
        let ((changed, pulled), logged) = match soon {
            Ok(Ok(pulled)) => (pulled, tokio::join!(tokio::time::sleep(SETTLED), log).1),
            Ok(Err(error)) => {
                // Processes that ask Postgres stop because of this line.
                let _ = log.await;
                return Err(error);
            }
            Err(_) => {
                let logged = log.await;
                let pulled = in_redis.await?;
                tokio::time::sleep(SETTLED).await;
                (pulled, logged)
            }
        };
        Ok(match logged {
            Ok((line, at)) => {
                let state = self.hold(&BrakeUpdate { line: Some(line), on: true, by, reason, at }).await?;
                BrakeOutcome { state, changed, unlogged: None }
            }
            Err(error) => BrakeOutcome { state: pulled, changed, unlogged: Some(error) },
        })
    }

    /// Whether that changed anything, and the state afterwards.
    async fn pull_in_redis(&self, by: &str, reason: &str) -> Result<(bool, BrakeState), StoreError> {
        let before = self.glance().await?;
        let pulled = self.hold(&BrakeUpdate { line: None, on: true, by, reason, at: Utc::now() }).await?;
        Ok((before.is_none_or(|state| !state.on), pulled))
    }

    /// Lifts the brake. It stays on when the audit log cannot be written. If Redis fails after that, the brake stays on until Redis
    /// answers: the first check then finds it lifted. [`BrakeOutcome::state`] says whether somebody pulled it in the meantime.
    pub async fn lift(&self, by: &str, reason: &str, details: Value) -> Result<BrakeOutcome, StoreError> {
        let before = self.state().await?;
        if !before.on {
            return Ok(BrakeOutcome { state: before, changed: false, unlogged: None });
        }
        let (line, at) = self.log(by, LIFTED, reason, details, before.since).await?;
        let state = self.hold(&BrakeUpdate { line: Some(line), on: false, by, reason, at }).await?;
        Ok(BrakeOutcome { state, changed: true, unlogged: None })
    }

    /// The state by Redis and by the audit log. Redis is updated when the log is newer.
    ///
    /// When Postgres does not answer, the state in Redis counts. When Redis does not answer, the log counts only if it says that the
    /// brake is on. Otherwise the state is unknown, which is an error.
    pub async fn state(&self) -> Result<BrakeState, StoreError> {
        match self.last_line().await {
            Ok(line) => {
                let state = line.as_ref().map_or_else(BrakeState::default, BrakeState::of);
                let (by, reason) = (state.by.as_deref().unwrap_or(""), state.reason.as_deref().unwrap_or(""));
                let at = state.since.unwrap_or_default();
                match self.hold(&BrakeUpdate { line: Some(state.line), on: state.on, by, reason, at }).await {
                    Err(_) if state.on => Ok(state),
                    held => held,
                }
            }
            Err(error) => self.glance().await?.ok_or(error),
        }
    }

    /// As [`Brake::state`], for an act that is about to be claimed.
    pub async fn look(&self) -> Result<BrakeCheck, StoreError> {
        let asked = BrakeClearance(TimeLimit::starting(CLEAR_FOR));
        let state = self.state().await?;
        Ok(if state.on { BrakeCheck::Braked(state) } else { BrakeCheck::Clear(asked) })
    }

    /// A check against Redis only, for an act that called [`Brake::look`] before: one round trip. `None` when Redis has lost the state.
    pub async fn look_again(&self) -> Result<Option<BrakeCheck>, StoreError> {
        let asked = BrakeClearance(TimeLimit::starting(CLEAR_FOR));
        let way = |state: BrakeState| if state.on { BrakeCheck::Braked(state) } else { BrakeCheck::Clear(asked) };
        Ok(self.glance().await?.map(way))
    }

    /// The state by Redis only: one round trip. `None` when Redis has lost it, or nobody has asked for the state yet.
    pub async fn glance(&self) -> Result<Option<BrakeState>, StoreError> {
        let mut read = redis::cmd("HMGET");
        read.arg(&self.key).arg(&["state", "line", "by", "reason", "at"]);
        let parts: Parts = self.redis.cmd("look at the brake", &read).await?;
        Ok(parts.0.is_some().then(|| BrakeState::read(parts)))
    }

    async fn hold(&self, word: &BrakeUpdate<'_>) -> Result<BrakeState, StoreError> {
        let mut call = BRAKE.prepare_invoke();
        call.key(&self.key)
            .arg(word.line.map_or_else(String::new, |line| line.to_string()))
            .arg(if word.on { "on" } else { "off" })
            .arg(word.by)
            .arg(word.reason)
            .arg(word.at.timestamp_millis());
        let parts: Parts =
            self.redis.call("hold the brake", |mut conn| async move { call.invoke_async(&mut conn).await }).await?;
        Ok(BrakeState::read(parts))
    }

    /// Writes a line that is later than every earlier line about the brake, and than the state in Redis: a log restored from an
    /// older copy may lack what Redis still knows.
    async fn log(
        &self,
        by: &str,
        action: &str,
        reason: &str,
        mut details: Value,
        after: Option<DateTime<Utc>>,
    ) -> Result<(i64, DateTime<Utc>), StoreError> {
        if !details.is_object() {
            details = serde_json::json!({});
        }
        details["reason"] = reason.into();
        self.store.audit().record_after(by, action, OBJECT, &details, after).await
    }

    async fn last_line(&self) -> Result<Option<BrakeLogLine>, StoreError> {
        query_as!(
            "select id, at, actor, action, details ->> 'reason' as reason
             from audit_log
             where environment = $1 and object = $2 and action in ($3, $4)
             order by id desc limit 1",
            self.store.env_name(),
            OBJECT,
            PULLED,
            LIFTED
        )
        .fetch_optional(&self.store.pool)
        .await
        .map_err(StoreError::on("read the brake"))
    }
}

/// State, line, by, reason, at.
type Parts = (Option<String>, Option<i64>, Option<String>, Option<String>, Option<i64>);

impl BrakeState {
    fn of(line: &BrakeLogLine) -> Self {
        Self {
            on: line.action == PULLED,
            by: Some(line.actor.clone()),
            reason: line.reason.clone(),
            since: Some(line.at),
            line: line.id,
        }
    }

    /// Any state other than `off` counts as on, also one that somebody set by hand.
    fn read((state, line, by, reason, at): Parts) -> Self {
        let by = by.filter(|by| !by.is_empty());
        let since = at.filter(|at| *at > 0).and_then(DateTime::from_timestamp_millis);
        let reason = reason.filter(|reason| !reason.is_empty());
        Self { on: state.as_deref() != Some("off"), by, reason, since, line: line.unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_holds_lets_nothing_begin_unless_it_says_off() {
        let read = |state: &str| BrakeState::read((Some(state.into()), Some(3), None, None, Some(0)));
        assert!(!read("off").on);
        for state in ["on", "", "of"] {
            assert!(read(state).on, "{state}");
        }
    }

    #[test]
    fn whoever_is_stopped_learns_who_pulled_the_brake_and_why() {
        let since = DateTime::from_timestamp(1_800_000_000, 0);
        let state = BrakeState { on: true, by: Some("ann".into()), reason: Some("wrong odds".into()), since, line: 7 };
        assert_eq!(state.describe(), "the emergency brake is on since 2027-01-15 08:00:00Z, pulled by ann: wrong odds");
    }
}
