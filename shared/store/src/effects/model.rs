use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use perch_jobs::JobId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::Evidence;
use crate::row::{parsed, small_count, time, time_option, word};

/// The state of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum EffectState {
    /// An attempt was permitted to act and has not reported the outcome.
    Intended,
    /// It happened.
    Confirmed,
    /// It did not happen, and the outside service said so.
    Failed,
    /// The answer was lost: it may have happened.
    Unknown,
}

impl EffectState {
    /// As it stands in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// An effect that an attempt asks to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectIntent {
    /// Its unique key, for example `retweet:main:1234`. At most 512 bytes.
    pub key: String,
    /// What it is, for example `post`.
    pub kind: String,
    /// The account that acts.
    pub account: String,
    /// The [`request_digest`] of the request to the outside service.
    pub digest: [u8; 32],
    /// The job.
    pub job: JobId,
    /// Its attempt, counted from 1.
    pub attempt: u32,
    /// The worker.
    pub holder: String,
    /// Whether the attempt reaches the outside world; false for a simulation.
    pub live: bool,
}

/// SHA-256 over the parts of a request, each with its length, so that the same bytes split differently give another digest.
pub fn request_digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// An effect as it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredEffect {
    /// Its unique key.
    pub key: String,
    /// What it is.
    pub kind: String,
    /// The account that acts.
    pub account: String,
    /// Its state.
    pub state: EffectState,
    /// Grows with every permit.
    pub fence: i64,
    /// The digest of the request to the outside service.
    #[serde(skip)]
    pub digest: Vec<u8>,
    /// The job that was last permitted to act.
    pub job_id: JobId,
    /// Its attempt.
    pub attempt: u32,
    /// Its worker.
    pub holder: String,
    /// Whether that attempt reaches the outside world. True for attempts from before this was recorded.
    pub live: bool,
    /// The id that the outside service gave it.
    pub external_id: Option<String>,
    /// What the outside service answered.
    pub response: Option<serde_json::Value>,
    /// What went wrong.
    pub error: Option<String>,
    /// When it was first claimed.
    pub created_at: DateTime<Utc>,
    /// When the last permit was issued.
    pub intended_at: DateTime<Utc>,
    /// When it was confirmed, failed or became unknown.
    pub settled_at: Option<DateTime<Utc>>,
}

impl FromRow<'_, PgRow> for StoredEffect {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            key: row.try_get("key")?,
            kind: row.try_get("kind")?,
            account: row.try_get("account")?,
            state: word(row, "state")?,
            fence: row.try_get("fence")?,
            digest: row.try_get("digest")?,
            job_id: parsed(row, "job_id")?,
            attempt: small_count(row, "attempt")?,
            holder: row.try_get("holder")?,
            live: row.try_get::<Option<bool>, _>("live")?.unwrap_or(true),
            external_id: row.try_get("external_id")?,
            response: row.try_get("response")?,
            error: row.try_get("error")?,
            created_at: time(row, "created_at")?,
            intended_at: time(row, "intended_at")?,
            settled_at: time_option(row, "settled_at")?,
        })
    }
}

/// How long after its claim a permit may be acted on. What is not sent by then must not be sent: the attempt that takes over
/// relies on it.
pub const ACT_WITHIN: Duration = Duration::from_secs(5);

/// A point in time by two clocks: the first goes on while the process is frozen, the second also while the whole machine is
/// suspended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DualInstant {
    running: Instant,
    wall: DateTime<Utc>,
}

impl DualInstant {
    pub fn now() -> Self {
        Self { running: Instant::now(), wall: Utc::now() }
    }

    /// Whether less than `limit` has passed by both clocks until the given time.
    pub fn within(self, limit: Duration, running: Instant, wall: DateTime<Utc>) -> bool {
        let passed = (wall - self.wall).to_std().unwrap_or_default();
        running.saturating_duration_since(self.running) < limit && passed < limit
    }
}

/// Until when a permit may be acted on. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct PermitDeadline(DualInstant);

impl PermitDeadline {
    /// Whether the permit may be acted on at this moment: [`ACT_WITHIN`] has not passed since it was asked for.
    pub fn is_open(&self) -> bool {
        self.0.within(ACT_WITHIN, Instant::now(), Utc::now())
    }
}

/// The right to act once, within [`ACT_WITHIN`]. Only the ledger issues permits. A permit is void as soon as another attempt takes
/// the effect over.
#[derive(Debug)]
#[must_use = "a permit is given to act on; afterwards the effect has to be settled"]
pub struct Permit {
    pub(super) key: String,
    pub(super) fence: i64,
    pub(super) asked: DualInstant,
    pub(super) evidence: Vec<Evidence>,
    pub(super) lost_at: Option<DateTime<Utc>>,
}

impl Permit {
    pub(super) fn new(key: &str, fence: i64, asked: DualInstant) -> Self {
        Self { key: key.to_owned(), fence, asked, evidence: Vec::new(), lost_at: None }
    }

    /// What the ledger recorded before this time may be lost, because another Postgres took over then. The act may have been done
    /// before although the ledger does not know it. `None` when the job is known to be younger.
    pub fn lost_at(&self) -> Option<DateTime<Utc>> {
        self.lost_at
    }

    /// The key of the effect.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The fencing token of the permit; a higher one of the same effect makes it void.
    pub fn fence(&self) -> i64 {
        self.fence
    }

    /// Until when it may be acted on.
    pub fn deadline(&self) -> PermitDeadline {
        PermitDeadline(self.asked)
    }

    /// Adds evidence found while acting; it is stored when the effect is settled.
    pub fn add_evidence(&mut self, evidence: Evidence) {
        self.evidence.push(evidence);
    }
}

/// The right to settle an effect that an earlier attempt left unsettled, after asking the outside service.
#[derive(Debug)]
#[must_use = "the outside service has to be asked, and its answer to be recorded"]
pub struct Takeover {
    pub(super) seen_fence: i64,
    pub(super) intent: EffectIntent,
    pub(super) quiet: Duration,
    pub(super) lost_at: Option<DateTime<Utc>>,
    pub(super) earliest: DateTime<Utc>,
}

impl Takeover {
    /// As [`Permit::lost_at`].
    pub fn lost_at(&self) -> Option<DateTime<Utc>> {
        self.lost_at
    }

    /// The earliest time at which the job may have acted, including by permits that the ledger has lost.
    pub fn earliest(&self) -> DateTime<Utc> {
        self.earliest
    }

    /// The key of the effect.
    pub fn key(&self) -> &str {
        &self.intent.key
    }

    /// Time since the last report of the attempt that had the permit: since it reported an unknown outcome, or else since it got
    /// the permit. By the clock of Postgres.
    pub fn quiet(&self) -> Duration {
        self.quiet
    }
}

/// The ledger's answer to a claim.
#[derive(Debug)]
pub enum Claim {
    /// Act now, then settle the permit.
    Granted(Permit),
    /// It happened already: use the stored answer and do not call the outside service.
    Done(Box<StoredEffect>),
    /// An earlier attempt may have made it happen. Ask the outside service, then call
    /// [`Effects::resolve_confirmed`](crate::Effects::resolve_confirmed),
    /// [`Effects::resolve_not_done`](crate::Effects::resolve_not_done) or, when the answer is inconclusive,
    /// [`Effects::resolve_later`](crate::Effects::resolve_later).
    Unresolved {
        /// What is known of it.
        effect: Box<StoredEffect>,
        /// For the resolution.
        takeover: Takeover,
    },
    /// Another job may be acting at this moment. Try again later.
    Busy {
        /// What is known of it.
        effect: Box<StoredEffect>,
        /// How long to wait.
        retry_after: Duration,
    },
    /// A later attempt of the same job is acting: this attempt has lost its lease and must stop.
    Superseded {
        /// What is known of it.
        effect: Box<StoredEffect>,
    },
    /// The key was used for another request, which happened or may have happened. A person has to look.
    DigestMismatch {
        /// What is known of it.
        effect: Box<StoredEffect>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_runs_out_by_whichever_clock_is_ahead() {
        let asked = DualInstant::now();
        let at = |running: u64, wall: u64| {
            let (running, wall) = (Duration::from_secs(running), Duration::from_secs(wall));
            asked.within(ACT_WITHIN, asked.running + running, asked.wall + wall)
        };
        assert!(at(0, 0) && at(4, 4));
        assert!(!at(5, 5), "the process was frozen");
        assert!(!at(0, 60), "the machine was frozen, and only its wall clock was put right");
        assert!(!at(5, 0), "the wall clock was put back");
    }
}
