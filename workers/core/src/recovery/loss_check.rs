//! Checks whether Postgres may have lost data.

use std::collections::BTreeSet;

use perch_base::Settings;
use perch_queue::{Queues, Redis};
use perch_store::{RolledBack, Store, Syncer};

use super::RecoveryError;

/// Finds out whether Postgres has lost jobs and effects, as after a failover or a restore. Jobs that it has as unfinished may have run,
/// and posts may have gone out, in the seconds that it lost.
pub struct LossCheck {
    syncer: Syncer,
    store: Store,
    redis: Redis,
    key: String,
}

impl LossCheck {
    /// A check of the deployment with these queues.
    pub fn new(queues: &Queues, store: &Store, settings: &Settings) -> Self {
        let redis = queues.redis().clone();
        let syncer = Syncer::new(redis.clone(), store.clone(), settings.env, &queues.names(), settings.sync.batch);
        Self { syncer, store: store.clone(), redis, key: format!("{}postgres", settings.env.prefix()) }
    }

    /// Checks whether Postgres is the one that Redis was synced into last, and has everything that was synced.
    pub async fn look(&self) -> Result<LossReport, RecoveryError> {
        let identity = self.store.recovery().identity().await?;
        let mut found = Vec::new();
        for RolledBack { stream, had, has } in self.syncer.rolled_back().await? {
            found.push(format!("Postgres had {stream} up to {} and has it up to {}", had.at(), has.at()));
        }
        if let Some(is) = identity.clone() {
            let by_itself = self.store.recovery().known_identity().await?;
            // A Redis that also lost its last seconds has an earlier identity.
            let is_seen_to = by_itself.as_ref() == Some(&is);
            let by_redis = self.known().await?.filter(|known| !(is_seen_to && is_earlier(known, &is)));
            let known: BTreeSet<String> = by_redis.into_iter().chain(by_itself).collect();
            found.extend(known.into_iter().filter(|known| *known != is).map(|known| {
                format!("Postgres was promoted, restored or replaced: system and timeline were {known}, and are {is}")
            }));
        }
        Ok(LossReport { doubts: found, identity })
    }

    /// The identity of Postgres that is noted in Redis.
    async fn known(&self) -> Result<Option<String>, RecoveryError> {
        let known: Option<Vec<u8>> =
            self.redis.cmd("read which Postgres was here", redis::cmd("GET").arg(&self.key)).await?;
        Ok(known.map(|known| String::from_utf8_lossy(&known).into_owned()))
    }

    /// Notes in Postgres that it has lost data. Acts of jobs from before the loss are then looked for on X before they are done.
    pub(super) async fn note_loss(&self) -> Result<(), RecoveryError> {
        if let Some(is) = self.store.recovery().identity().await? {
            self.store.recovery().note_seen(&is).await?;
        }
        Ok(self.store.recovery().note_loss().await?)
    }

    /// Notes the identity that was checked, both in Postgres and in Redis, because each may lose it. Where another Postgres has taken
    /// over since, the next check finds that out.
    pub(super) async fn note(&self, looked: &LossReport) -> Result<(), RecoveryError> {
        let Some(is) = &looked.identity else { return Ok(()) };
        if self.store.recovery().known_identity().await? != Some(is.clone()) {
            self.store.recovery().note_identity(is).await?;
        }
        let mut cmd = redis::cmd("SET");
        cmd.arg(&self.key).arg(is);
        self.redis.cmd::<()>("note which Postgres this is", &cmd).await?;
        Ok(())
    }

    /// Accepts the state of the Postgres that was checked after somebody has dealt with the loss. Its data is trusted from now on;
    /// with `in_doubt`, a loss is noted, so that acts of jobs from before are still looked for on X.
    pub async fn settle(&self, looked: &LossReport, in_doubt: bool) -> Result<(), RecoveryError> {
        if in_doubt {
            self.note_loss().await?;
        }
        self.syncer.accept_roll_back().await?;
        self.note(looked).await
    }
}

/// The result of a check of Postgres.
#[derive(Debug)]
pub struct LossReport {
    /// The signs of a loss, in words; empty when it has everything that was synced into it.
    pub doubts: Vec<String>,
    /// Its system and timeline. `None` where the provider does not give them.
    pub identity: Option<String>,
}

impl LossReport {
    /// Whether a loss can be detected, which needs the identity.
    pub fn can_be_told(&self) -> bool {
        self.identity.is_some()
    }
}

/// Whether `known` is an earlier identity of the same Postgres: the same system on an earlier timeline.
fn is_earlier(known: &str, is: &str) -> bool {
    let parts = |identity: &str| {
        let (system, timeline) = identity.split_once(':')?;
        Some((system.to_owned(), timeline.parse::<u32>().ok()?))
    };
    match (parts(known), parts(is)) {
        (Some((system, then)), Some((same, now))) => system == same && then < now,
        _ => false,
    }
}
