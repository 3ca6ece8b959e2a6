//! Whether Postgres may have lost something.

use std::collections::BTreeSet;

use perch_base::Settings;
use perch_queue::{Queues, Redis};
use perch_store::{RolledBack, Store, Syncer};

use super::RecoveryError;

/// Why what Postgres says of jobs and effects may be too old to go by. Jobs that it knows as unfinished may have run, and posts may
/// have gone out, in the seconds that it lost.
pub struct LossCheck {
    syncer: Syncer,
    store: Store,
    redis: Redis,
    key: String,
}

impl LossCheck {
    /// Of the deployment with these queues.
    pub fn new(queues: &Queues, store: &Store, settings: &Settings) -> Self {
        let redis = queues.redis().clone();
        let syncer = Syncer::new(redis.clone(), store.clone(), settings.env, &queues.names(), settings.sync.batch);
        Self { syncer, store: store.clone(), redis, key: format!("{}postgres", settings.env.prefix()) }
    }

    /// Looks whether Postgres is the one that Redis was synced into last, and has all of it.
    pub async fn look(&self) -> Result<LossReport, RecoveryError> {
        let identity = self.store.recovery().identity().await?;
        let mut found = Vec::new();
        for RolledBack { stream, had, has } in self.syncer.rolled_back().await? {
            found.push(format!("Postgres had {stream} up to {} and has it up to {}", had.at(), has.at()));
        }
        if let Some(is) = identity.clone() {
            let by_itself = self.store.recovery().known_identity().await?;
            // A Redis that lost its last seconds, too, remembers an earlier one.
            let is_seen_to = by_itself.as_ref() == Some(&is);
            let by_redis = self.known().await?.filter(|known| !(is_seen_to && is_earlier(known, &is)));
            let known: BTreeSet<String> = by_redis.into_iter().chain(by_itself).collect();
            found.extend(known.into_iter().filter(|known| *known != is).map(|known| {
                format!("Postgres was promoted, restored or replaced: system and timeline were {known}, and are {is}")
            }));
        }
        Ok(LossReport { doubts: found, identity })
    }

    /// What Redis says which Postgres was here.
    async fn known(&self) -> Result<Option<String>, RecoveryError> {
        let known: Option<Vec<u8>> =
            self.redis.cmd("read which Postgres was here", redis::cmd("GET").arg(&self.key)).await?;
        Ok(known.map(|known| String::from_utf8_lossy(&known).into_owned()))
    }

    /// Notes that Postgres has lost something. Acts outside of jobs from before are asked for before they are done.
    pub(super) async fn note_loss(&self) -> Result<(), RecoveryError> {
        if let Some(is) = self.store.recovery().identity().await? {
            self.store.recovery().note_seen(&is).await?;
        }
        Ok(self.store.recovery().note_loss().await?)
    }

    /// Notes which Postgres was looked at, in it and in Redis: each may lose what the other has. One that took over since is
    /// another, and the next look says so.
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

    /// Somebody has seen to what the Postgres that was looked at lost: from now on it is taken at its word, save for jobs from before
    /// where it has lost something.
    pub async fn settle(&self, looked: &LossReport, in_doubt: bool) -> Result<(), RecoveryError> {
        if in_doubt {
            self.note_loss().await?;
        }
        self.syncer.accept_roll_back().await?;
        self.note(looked).await
    }
}

/// What a look at Postgres came to.
#[derive(Debug)]
pub struct LossReport {
    /// What speaks against it; nothing when it has all that was synced into it.
    pub doubts: Vec<String>,
    /// Which one it was. `None` where a provider keeps that to itself.
    pub identity: Option<String>,
}

impl LossReport {
    /// Whether a Postgres that lost something can be told from one that did not.
    pub fn can_be_told(&self) -> bool {
        self.identity.is_some()
    }
}

/// Whether an identity is one that this Postgres had: the same system, on a timeline before.
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
