//! What the health of personas is told by, of all of them in one query.

use chrono::{DateTime, Utc};
use perch_core::personas::Persona;
use perch_jobs::PersonaName;
use perch_store::{
    StoreError, query_as,
    row::{readable_rows, time_option},
};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::{Slot, SlotTable};

/// A persona with what its health is told by.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonaState {
    /// The persona.
    pub persona: Persona,
    /// Its latest slot.
    pub last: Option<Slot>,
    /// Its slots up to here are known; none before its first run.
    pub slots_until: Option<DateTime<Utc>>,
    /// Why its last batches added nothing, if they did not.
    pub fruitless_reason: Option<String>,
    /// Whether it has a post that is ready.
    pub has_ready: bool,
}

impl FromRow<'_, PgRow> for PersonaState {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let has_slot = time_option(row, "slot_at")?.is_some();
        Ok(Self {
            persona: Persona::from_row(row)?,
            last: has_slot.then(|| Slot::from_row(row)).transpose()?,
            slots_until: time_option(row, "slots_until")?,
            fruitless_reason: row.try_get("fruitless_reason")?,
            has_ready: row.try_get("has_ready")?,
        })
    }
}

impl SlotTable<'_> {
    /// The state of every persona that posts, or of the one that is named.
    pub async fn states(&self, named: Option<&PersonaName>) -> Result<Vec<PersonaState>, StoreError> {
        readable_rows(
            "read the states of personas",
            query_as!(
                "select p.*, s.slot_at, s.state, s.post_id, s.reason, g.slots_until, g.fruitless_reason,
                        exists (select from personas.posts q
                                where q.environment = p.environment and q.bot_id = p.name and q.state = 'ready') as has_ready
                 from personas p
                 left join personas.progress g on g.environment = p.environment and g.bot_id = p.name
                 left join lateral (
                     select slot_at, state, post_id, reason from personas.slots q
                     where q.environment = p.environment and q.bot_id = p.name order by slot_at desc limit 1
                 ) s on true
                 where p.environment = $1 and ($2::text is null and p.enabled or p.name = $2)
                 order by p.name",
                self.0.env().as_str(),
                named.map(PersonaName::as_str)
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }
}
