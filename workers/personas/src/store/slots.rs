//! Slots: which post fills which time. A slot and its post are written in one transaction, one at a time for each persona.

use chrono::{DateTime, Utc};
use perch_base::{Page, Paging};
use perch_jobs::{JobId, PersonaName};
use perch_store::{
    StoreError, query, query_as,
    row::{self, time},
};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::{Slot, SlotState, SlotTable, StockPost};

/// The most ready posts that are chosen from.
const CHOICE: i64 = 500;
/// How many of the latest published posts the choice knows the topics of.
const REMEMBERED: i64 = 50;

/// A post that may fill a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyPost {
    /// Its number.
    pub id: i64,
    /// Its topic.
    pub topic: Option<String>,
}

impl FromRow<'_, PgRow> for ReadyPost {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { id: row.try_get("id")?, topic: row.try_get("category")? })
    }
}

/// What became of a slot.
#[derive(Debug, Clone, PartialEq)]
pub enum Reservation {
    /// It is filled with this post.
    Filled(Box<StockPost>),
    /// There is no post for it.
    Empty,
    /// It was filled or given up before.
    Before(SlotState),
}

impl SlotTable<'_> {
    /// Fills a slot with the post that `choose` picks of those that are ready, given the topics of the latest posts, the latest first.
    pub async fn fill(
        &self,
        persona: &PersonaName,
        slot_at: DateTime<Utc>,
        (effect_key, job): (&str, JobId),
        choose: impl FnOnce(&[ReadyPost], &[Option<String>]) -> Option<i64> + Send,
    ) -> Result<Reservation, StoreError> {
        let doing = "fill a slot";
        let mut tx = self.0.pool().begin().await.map_err(StoreError::on(doing))?;
        query!(
            "select pg_advisory_xact_lock(hashtext('perch personas slots'), hashtext($1 || ':' || $2))",
            self.0.env().as_str(),
            persona.as_str()
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        let slot: Slot = query_as!(
            "insert into personas.slots as s (environment, bot_id, slot_at, state) values ($1, $2, $3, 'empty')
             on conflict (environment, bot_id, slot_at) do update set state = s.state
             returning slot_at, state, post_id, reason",
            self.0.env().as_str(),
            persona.as_str(),
            slot_at
        )
        .fetch_one(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        if slot.state != SlotState::Empty {
            return Ok(Reservation::Before(slot.state));
        }
        let ready: Vec<ReadyPost> = query_as!(
            "select id, category from personas.posts
             where environment = $1 and bot_id = $2 and state = 'ready'
               and (expires_at is null or expires_at > clock_timestamp())
             order by id limit $3 for update skip locked",
            self.0.env().as_str(),
            persona.as_str(),
            CHOICE
        )
        .fetch_all(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        let lately: Vec<(Option<String>,)> = query_as!(
            "select category from personas.posts
             where environment = $1 and bot_id = $2 and slot_at is not null order by slot_at desc limit $3",
            self.0.env().as_str(),
            persona.as_str(),
            REMEMBERED
        )
        .fetch_all(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        let lately: Vec<Option<String>> = lately.into_iter().map(|(topic,)| topic).collect();
        let Some(id) = choose(&ready, &lately) else {
            tx.commit().await.map_err(StoreError::on(doing))?;
            return Ok(Reservation::Empty);
        };
        let post: StockPost = query_as!(
            "with slot as (
                 update personas.slots set state = 'reserved', post_id = $4
                 where environment = $1 and bot_id = $2 and slot_at = $3
             )
             update personas.posts
             set state = 'reserved', slot_at = $3, effect_key = $5, publish_job_id = $6, handed_over_at = null,
                 updated_at = clock_timestamp()
             where environment = $1 and bot_id = $2 and id = $4 and state = 'ready'
             returning *",
            self.0.env().as_str(),
            persona.as_str(),
            slot_at,
            id,
            effect_key,
            job.to_string()
        )
        .fetch_one(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(Reservation::Filled(Box::new(post)))
    }

    /// Gives slots up that have no post.
    pub async fn miss(&self, persona: &PersonaName, slots: &[DateTime<Utc>], reason: &str) -> Result<u64, StoreError> {
        query!(
            "insert into personas.slots as s (environment, bot_id, slot_at, state, reason, settled_at)
             select $1, $2, slot_at, 'missed', $4, clock_timestamp() from unnest($3::timestamptz[]) as u(slot_at)
             on conflict (environment, bot_id, slot_at) do update
             set state = 'missed', reason = excluded.reason, settled_at = excluded.settled_at
             where s.state = 'empty'",
            self.0.env().as_str(),
            persona.as_str(),
            slots,
            reason
        )
        .execute(self.0.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::on("give slots up"))
    }

    /// The slots of a persona that are due and empty, the oldest first.
    pub async fn empty(&self, persona: &PersonaName) -> Result<Vec<DateTime<Utc>>, StoreError> {
        let doing = "look for empty slots";
        let rows = query!(
            "select slot_at from personas.slots
             where environment = $1 and bot_id = $2 and state = 'empty' order by slot_at limit 1000",
            self.0.env().as_str(),
            persona.as_str()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        rows.iter().map(|row| time(row, "slot_at")).collect::<Result<_, _>>().map_err(StoreError::on(doing))
    }

    /// Slots of a persona, the latest first, page by page.
    pub async fn list(&self, persona: &PersonaName, paging: &Paging) -> Result<Page<Slot>, StoreError> {
        const LIST: &str = "slots";
        let doing = "list slots";
        let before: Option<i64> = paging.place(LIST)?;
        let rows = query!(
            "select slot_at, state, post_id, reason, extract(epoch from slot_at)::bigint as second from personas.slots
             where environment = $1 and bot_id = $2 and ($3::bigint is null or slot_at < to_timestamp($3))
             order by slot_at desc limit $4",
            self.0.env().as_str(),
            persona.as_str(),
            before,
            paging.rows()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| row.try_get::<i64, _>("second"))
    }
}
