//! The brakes: one for everything that publishes, one for each account, and one for each bot.

mod scope;
mod set;
mod state;

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use perch_queue::Redis;
use redis::Script;
use serde_json::Value;

use self::state::{BrakeLogLine, Parts};
pub use self::{
    scope::{BrakeScope, UnknownBrakeScope},
    set::Brakes,
    state::BrakeState,
};
use crate::{Store, StoreError, effects::DualInstant};

/// How long a check of the brake stays valid for starting a call. Pulling the brake waits longer than this before it returns.
pub const CLEAR_FOR: Duration = Duration::from_secs(1);
/// How long a pull waits, so that every earlier check has expired, including those of calls on their way to X.
const SETTLED: Duration = Duration::from_millis(1_200);

const PULLED: &str = "brake.on";
const LIFTED: &str = "brake.off";

static BRAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/brake.lua")));

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

/// A brake of an environment: one switch that stops everything of its scope that publishes, in all processes.
///
/// Redis holds the state under `<prefix>brake`, `<prefix>brake:account:<name>` or `<prefix>brake:bot:<name>`, which every act checks. The
/// audit log in Postgres holds every change, with the same name as its object, and restores the state in a Redis that lost it or came
/// back with an older copy. Where the two differ, the later change wins, because either may have been restored from an older copy.
#[derive(Debug, Clone)]
pub struct Brake {
    redis: Redis,
    store: Store,
    scope: BrakeScope,
    /// Its key in Redis.
    key: String,
    /// The object of its lines in the audit log.
    object: String,
}

/// A change of a brake, as Redis is to hold it.
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
    /// The emergency brake of the environment of `store`, which stops everything.
    pub fn new(redis: Redis, store: Store) -> Self {
        Self::of(redis, store, BrakeScope::Everything)
    }

    /// The brake of a scope.
    pub fn of(redis: Redis, store: Store, scope: BrakeScope) -> Self {
        let object = scope.brake();
        Self { key: format!("{}{object}", store.env.prefix()), redis, store, scope, object }
    }

    /// What it stops.
    pub fn scope(&self) -> &BrakeScope {
        &self.scope
    }

    /// Pulls the brake. Once this returns, no further call of its scope begins. It takes a little over [`CLEAR_FOR`].
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

    /// As [`Brake::pull`], for something that pulls it whenever it sees a reason: a brake that is on by the audit log too gets no further
    /// line there.
    pub async fn pull_once(&self, by: &str, reason: &str, details: Value) -> Result<BrakeOutcome, StoreError> {
        let lines = set::last_lines(&self.store, &[&self.object]).await.unwrap_or_default();
        if let Some(line) = lines.first().filter(|line| line.action == PULLED) {
            let state = self.settle(Some(line)).await?;
            if state.on {
                // Whoever pulled it may have done so just now.
                tokio::time::sleep(SETTLED).await;
                return Ok(BrakeOutcome { state, changed: false, unlogged: None });
            }
        }
        self.pull(by, reason, details).await
    }

    /// Whether that changed anything, and the state afterwards.
    async fn pull_in_redis(&self, by: &str, reason: &str) -> Result<(bool, BrakeState), StoreError> {
        let before = self.glance().await?;
        let pulled = self.hold(&BrakeUpdate { line: None, on: true, by, reason, at: Utc::now() }).await?;
        Ok((before.is_none_or(|state| !state.on), pulled))
    }

    /// Lifts the brake. It stays on when the audit log cannot be written. If Redis fails after that, it is lifted for what
    /// goes by the audit log while Redis is away, and stays on for all else until Redis answers: the first check then finds it lifted. [`BrakeOutcome::state`] says whether somebody pulled it in the meantime.
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
        match set::last_lines(&self.store, &[&self.object]).await {
            Ok(lines) => self.settle(lines.first()).await,
            Err(error) => self.glance().await?.ok_or(error),
        }
    }

    /// The later of the state in Redis and of the last line of the log.
    async fn settle(&self, line: Option<&BrakeLogLine>) -> Result<BrakeState, StoreError> {
        let state = line
            .map_or_else(|| BrakeState::untouched(self.scope.clone()), |line| BrakeState::of(self.scope.clone(), line));
        let (by, reason) = (state.by.as_deref().unwrap_or(""), state.reason.as_deref().unwrap_or(""));
        let at = state.since.unwrap_or_default();
        match self.hold(&BrakeUpdate { line: Some(state.line), on: state.on, by, reason, at }).await {
            Err(_) if state.on => Ok(state),
            held => held,
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
        Ok(parts.0.is_some().then(|| BrakeState::read(self.scope.clone(), parts)))
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
        Ok(BrakeState::read(self.scope.clone(), parts))
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
        self.store.audit().record_after(by, action, &self.object, &details, after).await
    }
}
