//! The history of each effect: events, decisions and the evidence for them.

use chrono::{DateTime, Utc};
use perch_jobs::JobId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::{EffectIntent, Effects, Takeover};
use crate::{
    StoreError, json, query_as,
    row::{parsed_option, readable_rows, time, word},
};

/// Evidence on whether an effect happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Evidence {
    /// The outside service shows it.
    Found {
        /// The id it has there.
        id: String,
        /// How many items were looked at until it was found.
        looked_at: u32,
        /// From when on.
        since: DateTime<Utc>,
    },
    /// The outside service does not show it.
    NotFound {
        /// How many items were looked at.
        looked_at: u32,
        /// From when on.
        since: DateTime<Utc>,
        /// Whether these were all items from that time on.
        complete: bool,
        /// Milliseconds from the last report of the attempt that had the permit to the question.
        quiet_ms: u64,
        /// Milliseconds after which "not shown" means "not done".
        needed_ms: u64,
    },
    /// The outside service refused the call as a duplicate.
    Refused {
        /// Its message.
        said: String,
    },
    /// There was no need to ask.
    NotAsked {
        /// Why it cannot have happened.
        because: String,
    },
}

/// The kind of an event of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectEventKind {
    /// An attempt was permitted to act.
    Claimed,
    /// The outside service was asked; the details are the [`Evidence`].
    Asked,
    /// An attempt was permitted to act after the outside service was asked.
    TakenOver,
    /// It happened.
    Confirmed,
    /// It did not happen.
    Failed,
    /// The answer was lost.
    Unknown,
    /// A person settled it.
    Resolved,
}

impl EffectEventKind {
    /// As it stands in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Asked => "asked",
            Self::TakenOver => "taken_over",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Resolved => "resolved",
        }
    }
}

/// One event of an effect.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EffectEvent {
    /// Grows with every event.
    pub number: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub event: EffectEventKind,
    /// The fence of the permit it is about, or of the one it led to.
    pub fence: i64,
    /// The job whose attempt did it.
    pub job_id: Option<JobId>,
    /// That attempt.
    pub attempt: Option<u32>,
    /// Its worker.
    pub holder: Option<String>,
    /// The person who did it.
    pub actor: Option<String>,
    /// The evidence, the answer, the error or the reason.
    pub details: Value,
}

impl FromRow<'_, PgRow> for EffectEvent {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let attempt: Option<i32> = row.try_get("attempt")?;
        Ok(Self {
            number: row.try_get("number")?,
            at: time(row, "at")?,
            event: word(row, "event")?,
            fence: row.try_get("fence")?,
            job_id: parsed_option(row, "job_id")?,
            attempt: attempt.and_then(|n| u32::try_from(n).ok()),
            holder: row.try_get("holder")?,
            actor: row.try_get("actor")?,
            details: row.try_get("details")?,
        })
    }
}

/// Events to be written to the history, in order. `by` is the acting attempt, where it is not the one in the row.
#[derive(Default)]
pub(super) struct EffectEvents<'a> {
    by: Option<&'a EffectIntent>,
    kinds: Vec<&'static str>,
    details: Vec<String>,
}

impl<'a> EffectEvents<'a> {
    pub fn by(intent: &'a EffectIntent) -> Self {
        Self { by: Some(intent), ..Self::default() }
    }

    pub fn asked(self, evidence: &[Evidence]) -> Self {
        evidence.iter().fold(self, |events, evidence| events.and(EffectEventKind::Asked, &json!(evidence)))
    }

    pub fn and(mut self, event: EffectEventKind, details: &Value) -> Self {
        self.kinds.push(event.as_str());
        self.details.push(json::without_nul(&details.to_string()).into_owned());
        self
    }

    pub fn kinds(&self) -> &[&'static str] {
        &self.kinds
    }

    pub fn details(&self) -> &[String] {
        &self.details
    }

    pub fn job(&self) -> Option<String> {
        self.by.map(|by| by.job.to_string())
    }

    pub fn attempt(&self) -> Option<i32> {
        self.by.and_then(|by| i32::try_from(by.attempt).ok())
    }

    pub fn holder(&self) -> Option<&str> {
        self.by.map(|by| by.holder.as_str())
    }
}

/// A statement that writes events to the history for each row of `changed`, which `$before` defines. Parameters: events `$5`,
/// details `$6`, and `$7`, `$8`, `$9` for job, attempt and worker where they are not those of the row.
macro_rules! with_effect_events {
    ($query:ident, $before:literal, $condition:literal, $after:literal $(, $argument:expr)*) => {
        $crate::$query!(
            $before
            "told as (
                 insert into effect_history (environment, key, event, fence, job_id, attempt, holder, details)
                 select environment, key, e.event, fence, coalesce($7, job_id), coalesce($8, attempt),
                        coalesce($9, holder), e.details::jsonb
                 from changed, unnest($5::text[], $6::text[]) with ordinality as e(event, details, n)
                 where "
            $condition
            " order by e.n)"
            $after
            $(, $argument)*
        )
    };
}
pub(super) use with_effect_events;

impl Effects<'_> {
    /// Records that the outside service was asked and its answer is inconclusive. The effect stays as it is.
    pub async fn resolve_later(&self, takeover: Takeover, evidence: &Evidence) -> Result<(), StoreError> {
        let events = EffectEvents::by(&takeover.intent).asked(std::slice::from_ref(evidence));
        with_effect_events!(
            query,
            "with changed as (select * from effects where environment = $1 and key = $2 and fence = $3), ",
            "$4",
            " select true as told",
            self.0.env_name(),
            takeover.key(),
            takeover.seen_fence,
            true,
            events.kinds(),
            events.details(),
            events.job(),
            events.attempt(),
            events.holder()
        )
        .execute(&self.0.pool)
        .await
        .map(|_| ())
        .map_err(StoreError::on("record what was learnt about an effect"))
    }

    /// What happened to an effect, oldest first; at most the latest `limit` events.
    pub async fn history(&self, key: &str, limit: u32) -> Result<Vec<EffectEvent>, StoreError> {
        let mut events: Vec<EffectEvent> = readable_rows(
            "read the history of an effect",
            query_as!(
                "select * from effect_history where environment = $1 and key = $2 order by number desc limit $3",
                self.0.env_name(),
                key,
                i64::from(limit)
            )
            .fetch_all(&self.0.pool),
        )
        .await?;
        events.reverse();
        Ok(events)
    }
}
