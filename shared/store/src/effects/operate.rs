//! Operating the ledger by hand: listing effects, and settling those that no rule can settle.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_base::{Page, Paging};
use serde_json::json;
use sqlx::{FromRow, Row as _};

use super::{
    EffectState, Effects, StoredEffect,
    decide::{ResolveRefusal, may_resolve},
};
use crate::{StoreError, json, query, query_as, row};

/// Which effects to list; `None` in a field matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EffectFilter {
    /// In this state.
    pub state: Option<EffectState>,
    /// Of this account.
    pub account: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Last permitted before this time.
    pub before: Option<DateTime<Utc>>,
}

/// The outcome of an effect, as decided by a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// It happened.
    Confirmed {
        /// The id that the outside service gave it, if that is known.
        external_id: Option<String>,
    },
    /// It did not happen. The next claim is granted.
    NotDone,
}

/// The result of resolving an effect.
#[derive(Debug, Clone, PartialEq)]
pub enum ResolveOutcome {
    /// It is resolved; the effect as it is now.
    Done(Box<StoredEffect>),
    /// It was confirmed already; nothing changed.
    AlreadyConfirmed(Box<StoredEffect>),
    /// It was recorded as failed already: the next claim is granted anyway.
    AlreadyFailed(Box<StoredEffect>),
    /// An attempt may be acting at this moment, for so long at most.
    Busy(Box<StoredEffect>, Duration),
    /// The ledger has no such effect.
    Unknown,
}

impl Effects<'_> {
    /// Effects, latest permit first, page by page. An effect that gets another permit in between moves to the front.
    pub async fn list(&self, filter: &EffectFilter, paging: &Paging) -> Result<Page<StoredEffect>, StoreError> {
        const LIST: &str = "effects";
        let doing = "list effects";
        let (at, key) = paging.place::<(i64, String)>(LIST)?.unzip();
        let rows = query!(
            "select *, (extract(epoch from intended_at) * 1000000)::bigint as intended_us from effects
             where environment = $1 and ($2::text is null or state = $2) and ($3::text is null or account = $3)
               and ($4::text is null or kind = $4) and ($5::timestamptz is null or intended_at < $5)
               and ($6::bigint is null or (intended_at, key)
                    < (timestamptz 'epoch' + $6 / 1000000 * interval '1 second' + $6 % 1000000 * interval '1 microsecond', $7))
             order by intended_at desc, key desc limit $8",
            self.0.env_name(),
            filter.state.map(EffectState::as_str),
            &filter.account,
            &filter.kind,
            filter.before,
            at,
            key,
            paging.rows()
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| {
            Ok((row.try_get::<i64, _>("intended_us")?, row.try_get::<String, _>("key")?))
        })
    }

    /// Settles an effect as a person decided. All earlier permits become void.
    pub async fn resolve(
        &self,
        key: &str,
        resolution: &Resolution,
        actor: &str,
        reason: &str,
    ) -> Result<ResolveOutcome, StoreError> {
        let doing = "resolve an effect";
        let mut tx = self.0.pool.begin().await.map_err(StoreError::on(doing))?;
        let row = query!(
            "select *, (extract(epoch from clock_timestamp() - intended_at) * 1000)::bigint as age_ms
             from effects where environment = $1 and key = $2
             for update",
            self.0.env_name(),
            key
        )
        .fetch_optional(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        let Some(row) = row else { return Ok(ResolveOutcome::Unknown) };
        let effect = StoredEffect::from_row(&row).map_err(StoreError::on(doing))?;
        let age: i64 = row.try_get("age_ms").map_err(StoreError::on(doing))?;
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        match may_resolve(effect.state, resolution, age) {
            Ok(()) => {}
            Err(ResolveRefusal::Confirmed) => return Ok(ResolveOutcome::AlreadyConfirmed(Box::new(effect))),
            Err(ResolveRefusal::Failed) => return Ok(ResolveOutcome::AlreadyFailed(Box::new(effect))),
            Err(ResolveRefusal::InUse(left)) => return Ok(ResolveOutcome::Busy(Box::new(effect), left)),
        }
        let (state, external_id, response, error) = match resolution {
            Resolution::Confirmed { external_id } => {
                let response = json!({ "resolved_by": actor, "reason": reason }).to_string();
                (EffectState::Confirmed, external_id.as_deref(), Some(response), None)
            }
            Resolution::NotDone => (EffectState::Failed, None, None, Some(format!("{actor} resolved it: {reason}"))),
        };
        let details = json!({ "was": effect.state, "as": state, "external_id": external_id, "reason": reason });
        let resolved = query_as!(
            "with changed as (
                 update effects
                 set state = $3, fence = fence + 1, external_id = $4, response = $5::jsonb, error = $6,
                     settled_at = clock_timestamp()
                 where environment = $1 and key = $2
                 returning *
             ), told as (
                 insert into effect_history (environment, key, event, fence, actor, details)
                 select environment, key, 'resolved', fence, $7, $8::jsonb from changed
             )
             select * from changed",
            self.0.env_name(),
            key,
            state.as_str(),
            external_id,
            response.as_deref().map(json::without_nul).as_deref(),
            error.map(|error| error.replace('\0', "\u{fffd}")),
            actor,
            json::without_nul(&details.to_string()).as_ref()
        )
        .fetch_one(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(ResolveOutcome::Done(Box::new(resolved)))
    }
}
