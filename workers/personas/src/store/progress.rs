//! How far each persona is.

use chrono::{DateTime, Utc};
use perch_core::personas::Persona;
use perch_jobs::PersonaName;
use perch_store::{
    StoreError, query, query_as,
    row::{small_count, time, time_option},
};
use sqlx::{FromRow, postgres::PgRow};

use super::{Progress, SlotTable};

impl FromRow<'_, PgRow> for Progress {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            slots_until: time(row, "slots_until")?,
            fruitless: small_count(row, "fruitless")?,
            fruitless_at: time_option(row, "fruitless_at")?,
        })
    }
}

impl SlotTable<'_> {
    /// How far a persona is. Of one that is new, and of one with another schedule than before, the slots count from its last change; of one
    /// that was removed and added again, from then: earlier times were never to be filled.
    pub async fn progress(&self, persona: &Persona) -> Result<Progress, StoreError> {
        query_as!(
            "insert into personas.progress as p (environment, bot_id, slots_until, schedule) values ($1, $2, $3, $4)
             on conflict (environment, bot_id) do update
             set slots_until = greatest(p.slots_until, $5, case when p.schedule <> $4 then $3 end), schedule = $4
             returning slots_until, fruitless, fruitless_at",
            self.0.env().as_str(),
            persona.name.as_str(),
            persona.updated_at,
            schedule(persona),
            persona.created_at
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("read how far a persona is"))
    }

    /// Notes that personas that do not post have no slots up to now.
    pub async fn skip_paused(&self) -> Result<(), StoreError> {
        query!(
            "update personas.progress p set slots_until = greatest(p.slots_until, clock_timestamp())
             from personas q
             where p.environment = $1 and q.environment = p.environment and q.name = p.bot_id and not q.enabled",
            self.0.env().as_str()
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("note how far a persona is"))
    }

    /// Notes that slots up to `until` are known. It never goes back, except from a time that a wrong clock has set.
    pub async fn advance(&self, persona: &PersonaName, until: DateTime<Utc>) -> Result<(), StoreError> {
        query!(
            "update personas.progress
             set slots_until = case when slots_until > clock_timestamp() + interval '1 minute' then $3
                                    else greatest(slots_until, $3) end
             where environment = $1 and bot_id = $2",
            self.0.env().as_str(),
            persona.as_str(),
            until
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("note how far a persona is"))
    }

    /// Notes a batch: that it added posts to the stock, or why it added none.
    pub async fn replenished(&self, persona: &Persona, fruitless: Option<&str>) -> Result<(), StoreError> {
        self.progress(persona).await?;
        query!(
            "update personas.progress
             set last_replenishment_at = case when $3::text is null then clock_timestamp() else last_replenishment_at end,
                 fruitless = case when $3::text is null then 0 else fruitless + 1 end,
                 fruitless_at = case when $3::text is not null then clock_timestamp() end, fruitless_reason = $3
             where environment = $1 and bot_id = $2",
            self.0.env().as_str(),
            persona.name.as_str(),
            fruitless.map(|reason| reason.replace('\0', ""))
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("note a replenishment"))
    }

    /// Notes when another deployment last added posts to the stock of a persona, where nothing later is known.
    pub async fn replenished_before(&self, persona: &Persona, at: DateTime<Utc>) -> Result<(), StoreError> {
        self.progress(persona).await?;
        query!(
            "update personas.progress set last_replenishment_at = greatest(last_replenishment_at, $3)
             where environment = $1 and bot_id = $2",
            self.0.env().as_str(),
            persona.name.as_str(),
            at
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("note a replenishment"))
    }
}

/// The schedule of a persona as one text.
fn schedule(persona: &Persona) -> String {
    format!("{} in {}", persona.spec.schedule.join("; "), persona.spec.timezone)
}
