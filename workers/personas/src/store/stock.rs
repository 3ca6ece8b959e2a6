//! Writing to the stock.

use perch_jobs::PersonaName;
use perch_safety::similar::opening;
use perch_store::{StoreError, query, query_as, row::unsigned};

use super::{Draft, StockCounts, StockTable, StoredDraft, admission::keys};

impl StockTable<'_> {
    /// Stores drafts, before anything is decided about them: what was paid for is not lost. A text that is there already, in any state, is
    /// left out. Answers how many were stored.
    pub async fn draft(&self, persona: &PersonaName, drafts: &[Draft]) -> Result<u64, StoreError> {
        let doing = "store drafts";
        let mut tx = self.0.pool().begin().await.map_err(StoreError::on(doing))?;
        let mut stored = 0;
        for draft in drafts {
            let done = query!(
                "insert into personas.posts (environment, bot_id, content, category, state, generation_cost, generation_tokens,
                                             generation_model, content_hash, keys, opening, evergreen_of)
                 values ($1, $2, $3, $4, 'drafted', $5, $6, $7, encode(sha256(convert_to($3, 'UTF8')), 'hex'), $8, $9, $10)
                 on conflict (environment, content_hash) do nothing",
                self.0.env().as_str(),
                persona.as_str(),
                draft.text.trim().replace('\0', ""),
                &draft.topic,
                draft.usd,
                draft.tokens,
                draft.model.as_ref().map(|model| model.replace('\0', "")),
                keys(&draft.text),
                opening(&draft.text),
                draft.evergreen_of
            )
            .execute(&mut tx)
            .await
            .map_err(StoreError::on(doing))?;
            stored += done.rows_affected();
        }
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(stored)
    }

    /// The drafts of a persona that nothing was decided about, the oldest first, at most 100.
    pub async fn drafted(&self, persona: &PersonaName) -> Result<Vec<StoredDraft>, StoreError> {
        query_as!(
            "select p.id, p.content, p.evergreen_of, o.content as original
             from personas.posts p
             left join personas.posts o on o.environment = p.environment and o.id = p.evergreen_of
             where p.environment = $1 and p.bot_id = $2 and p.state = 'drafted' order by p.id limit 100",
            self.0.env().as_str(),
            persona.as_str()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("read drafts"))
    }

    /// The stock of a persona.
    pub async fn counts(&self, persona: &PersonaName) -> Result<StockCounts, StoreError> {
        let (drafted, in_review, ready, reserved): (i64, i64, i64, i64) = query_as!(
            "select count(*) filter (where state = 'drafted') as drafted, count(*) filter (where state = 'in_review') as in_review,
                    count(*) filter (where state = 'ready') as ready, count(*) filter (where state = 'reserved') as reserved
             from personas.posts
             where environment = $1 and bot_id = $2 and state in ('drafted', 'in_review', 'ready', 'reserved')",
            self.0.env().as_str(),
            persona.as_str()
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("count a stock"))?;
        Ok(StockCounts {
            drafted: unsigned(drafted),
            in_review: unsigned(in_review),
            ready: unsigned(ready),
            reserved: unsigned(reserved),
        })
    }

    /// The openings and topics of the latest posts of a persona, the latest first: what the next batch is to avoid.
    pub async fn latest(&self, persona: &PersonaName, limit: u32) -> Result<Vec<(String, Option<String>)>, StoreError> {
        query_as!(
            "select opening, category from personas.posts
             where environment = $1 and bot_id = $2 and state not in ('drafted', 'rejected', 'expired')
             order by id desc limit $3",
            self.0.env().as_str(),
            persona.as_str(),
            i64::from(limit)
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("read a stock"))
    }

    /// Drops what was not used in time: drafts, reviews and ready posts of all personas, and those of personas that are gone, with what was
    /// reserved for them and not handed over. Answers how many.
    pub async fn expire(&self) -> Result<u64, StoreError> {
        query!(
            "update personas.posts p
             set state = 'expired', updated_at = clock_timestamp(),
                 reason = case when p.state = 'in_review' then 'nobody decided in time' else 'it was not used in time' end
             where environment = $1
               and (state in ('drafted', 'in_review', 'ready') and expires_at <= clock_timestamp()
                    or (state in ('drafted', 'in_review', 'ready') or state = 'reserved' and handed_over_at is null)
                       and not exists (select from personas q where q.environment = p.environment and q.name = p.bot_id
                                       and q.created_at <= coalesce(p.imported_at, p.created_at)))",
            self.0.env().as_str()
        )
        .execute(self.0.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::on("expire posts"))
    }
}
