//! Settles posts and slots: brings their states up to date with the ledger and the jobs.

use chrono::{DateTime, Utc};
use perch_store::{
    StoreError, query, query_as, query_scalar,
    row::{readable_rows, unsigned},
};

use super::{StockPost, StockTable};

/// What a settlement has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SettledPosts {
    /// Posts that the ledger has as published.
    pub published: u64,
    /// Posts whose job is dead.
    pub failed: u64,
    /// Posts whose job did not begin in time.
    pub late: u64,
}

impl StockTable<'_> {
    /// Settles at most 500 posts of each kind, with their slots: published when the ledger has confirmed the effect, failed when the job
    /// is dead, expired when it could not begin in time. It is idempotent.
    pub async fn settle(&self) -> Result<SettledPosts, StoreError> {
        let doing = "settle posts";
        let published: i64 = query_scalar!(
            "with done as (
                 select p.id, e.external_id, e.settled_at,
                        coalesce((e.response ->> 'simulated')::boolean, false) as simulated
                 from personas.posts p
                 join effects e on e.environment = p.environment and e.key = p.effect_key and e.state = 'confirmed'
                 where p.environment = $1 and p.state in ('reserved', 'failed', 'expired') and p.effect_key is not null
                 limit 500
             ), posts as (
                 update personas.posts p
                 set state = 'published', external_id = done.external_id, simulated = done.simulated, reason = null,
                     published_at = coalesce(done.settled_at, clock_timestamp()), updated_at = clock_timestamp()
                 from done
                 where p.environment = $1 and p.id = done.id
                 returning p.bot_id, p.slot_at
             ), slots as (
                 update personas.slots s set state = 'published', reason = null, settled_at = clock_timestamp()
                 from posts
                 where s.environment = $1 and s.bot_id = posts.bot_id and s.slot_at = posts.slot_at
             )
             select count(*) from posts",
            self.0.env().as_str()
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        // A job that ended after its deadline, with no call to X under way, was too late; any other failed.
        let (failed, late): (i64, i64) = query_as!(
            "with dead as (
                 select p.id, j.last_error,
                        j.state = 'dead' and extract(epoch from j.finished_at) * 1000 >= (j.envelope ->> 'deadline')::numeric
                            and coalesce(e.state, 'failed') = 'failed' as late
                 from personas.posts p
                 join jobs j on j.environment = p.environment and j.id = p.publish_job_id
                 left join effects e on e.environment = p.environment and e.key = p.effect_key
                 where p.environment = $1 and p.state = 'reserved' and j.state in ('dead', 'discarded', 'cancelled')
                   and coalesce(e.state, 'failed') <> 'confirmed'
                 limit 500
             ), posts as (
                 update personas.posts p
                 set state = case when dead.late then 'expired' else 'failed' end,
                     reason = case when dead.late then 'it could not be published in time'
                                   else coalesce(dead.last_error, 'its job was ended') end,
                     updated_at = clock_timestamp()
                 from dead
                 where p.environment = $1 and p.id = dead.id
                 returning p.bot_id, p.slot_at, p.state, p.reason
             ), slots as (
                 update personas.slots s
                 set state = case when posts.state = 'failed' then 'failed' else 'missed' end, reason = posts.reason,
                     settled_at = clock_timestamp()
                 from posts
                 where s.environment = $1 and s.bot_id = posts.bot_id and s.slot_at = posts.slot_at
             )
             select count(*) filter (where state = 'failed') as failed, count(*) filter (where state = 'expired') as late from posts",
            self.0.env().as_str()
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        Ok(SettledPosts { published: unsigned(published), failed: unsigned(failed), late: unsigned(late) })
    }

    /// Posts that a slot got before `before`, and whose job is not noted as enqueued. The oldest first, at most 100.
    pub async fn not_handed_over(&self, before: DateTime<Utc>) -> Result<Vec<StockPost>, StoreError> {
        readable_rows(
            "look for posts",
            query_as!(
                "select * from personas.posts
                 where environment = $1 and state = 'reserved' and handed_over_at is null and updated_at < $2
                 order by updated_at limit 100",
                self.0.env().as_str(),
                before
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// Removes rejected and expired posts after 90 days, and slots after 400. Published posts stay, because new ones are compared with
    /// them. At most 10,000 rows each; answers how many.
    pub async fn prune(&self) -> Result<u64, StoreError> {
        let doing = "prune posts and slots";
        let posts = query!(
            "delete from personas.posts where environment = $1 and id in (
                 select id from personas.posts
                 where environment = $1 and state in ('rejected', 'expired') and updated_at < clock_timestamp() - interval '90 days'
                 order by id limit 10000)",
            self.0.env().as_str()
        )
        .execute(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        let slots = query!(
            "delete from personas.slots where environment = $1 and ctid in (
                 select ctid from personas.slots
                 where environment = $1 and state in ('published', 'failed', 'missed')
                   and slot_at < clock_timestamp() - interval '400 days'
                 limit 10000)",
            self.0.env().as_str()
        )
        .execute(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        Ok(posts.rows_affected() + slots.rows_affected())
    }

    /// Notes that the job of a post is enqueued.
    pub async fn handed_over(&self, id: i64) -> Result<(), StoreError> {
        query!(
            "update personas.posts set handed_over_at = clock_timestamp()
             where environment = $1 and id = $2 and state = 'reserved'",
            self.0.env().as_str(),
            id
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("note that a post is handed over"))
    }
}
