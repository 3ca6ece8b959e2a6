use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_jobs::JobId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use crate::record::{parsed, small_count, word};

/// How far an effect has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectState {
    /// Somebody was permitted to act and has not said what came of it.
    Intended,
    /// It happened.
    Confirmed,
    /// It did not happen, and the outside service said so.
    Failed,
    /// The answer was lost: it may have happened.
    Unknown,
}

/// An effect that an attempt wants to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectIntent {
    /// What makes it one of a kind, for example `retweet:main:1234`. At most 512 bytes.
    pub key: String,
    /// What it is, for example `post`.
    pub kind: String,
    /// The account that acts.
    pub account: String,
    /// What is asked of the outside service, as [`request_digest`] gives it.
    pub digest: [u8; 32],
    /// The job.
    pub job: JobId,
    /// Its attempt, counted from 1.
    pub attempt: u32,
    /// The worker.
    pub holder: String,
}

/// SHA-256 over the parts of a request; where one part ends and the next begins counts.
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
    /// What makes it one of a kind.
    pub key: String,
    /// What it is.
    pub kind: String,
    /// The account that acts.
    pub account: String,
    /// How far it has come.
    pub state: EffectState,
    /// Grows with every permit.
    pub fence: i64,
    /// What was asked of the outside service.
    #[serde(skip)]
    pub digest: Vec<u8>,
    /// The job that was last permitted to act.
    pub job_id: JobId,
    /// Its attempt.
    pub attempt: u32,
    /// Its worker.
    pub holder: String,
    /// The id that the outside service gave it.
    pub external_id: Option<String>,
    /// What the outside service answered.
    pub response: Option<serde_json::Value>,
    /// What went wrong.
    pub error: Option<String>,
    /// When it was first claimed.
    pub created_at: DateTime<Utc>,
    /// When the last permit was given.
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
            external_id: row.try_get("external_id")?,
            response: row.try_get("response")?,
            error: row.try_get("error")?,
            created_at: row.try_get("created_at")?,
            intended_at: row.try_get("intended_at")?,
            settled_at: row.try_get("settled_at")?,
        })
    }
}

/// The right to act, once. Only the ledger makes one; it is void as soon as another attempt takes the effect over.
#[derive(Debug)]
#[must_use = "a permit is given to act on; afterwards the effect has to be settled"]
pub struct Permit {
    pub(super) key: String,
    pub(super) fence: i64,
}

impl Permit {
    /// The key of the effect.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The key of the effect, under the name that service clients ask for.
    pub fn effect_key(&self) -> &str {
        &self.key
    }

    /// The number of the permit; a higher one of the same effect makes it void.
    pub fn fence(&self) -> i64 {
        self.fence
    }
}

/// The right to settle an effect that an earlier attempt left open, after asking the outside service.
#[derive(Debug)]
#[must_use = "the outside service has to be asked, and its answer to be recorded"]
pub struct Takeover {
    pub(super) seen_fence: i64,
    pub(super) intent: EffectIntent,
}

impl Takeover {
    /// The key of the effect.
    pub fn key(&self) -> &str {
        &self.intent.key
    }
}

/// The ledger's answer to a claim.
#[derive(Debug)]
pub enum Claim {
    /// Act now, then settle the permit.
    Granted(Permit),
    /// It happened already: use the stored answer and call nobody.
    Done(Box<StoredEffect>),
    /// An earlier attempt may have had it. Ask the outside service, then call [`Effects::resolve_confirmed`](crate::Effects::resolve_confirmed) or
    /// [`Effects::resolve_not_done`](crate::Effects::resolve_not_done).
    Unresolved {
        /// What is known of it.
        effect: Box<StoredEffect>,
        /// For the resolution.
        takeover: Takeover,
    },
    /// Another job is at it at this moment. Try again after this time.
    Busy {
        /// What is known of it.
        effect: Box<StoredEffect>,
        /// When it can be judged.
        retry_after: Duration,
    },
    /// A later attempt of the same job is at it: this attempt has lost its lease and must stop.
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
