//! Settles posts and slots: brings their states up to date with the ledger and the jobs.

use std::time::Duration;

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
    /// is dead, ready again when it could not begin within `publish_within` of its reservation. It is idempotent.
    pub async fn settle(&self, publish_within: Duration) -> Result<SettledPosts, StoreError> {
        let doing = "settle posts";
        let published: i64 = query_scalar!(
            "with done as (
                 select p.id, e.external_id, e.settled_at,
                        coalesce((e.response ->> 'simulated')::boolean, false) as simulated
                 from personas.posts p
                 join effects e on e.environment = p.environment and e.key = p.effect_key and e.state = 'confirmed'
                 where p.environment = $1 and p.state in ('reserved', 'failed', 'expired') and p.effect_key is not null
                   and p.updated_at > clock_timestamp() - interval '60 days'
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
        // A job that ended after its deadline, with no call to X under way, was too late; any other failed. A post that was too late is ready
        // again: its job keeps its deadline, so that no replay publishes it. The same where nobody knows of the job a quarter of an hour
        // after the deadline.
        let (failed, late): (i64, i64) = query_as!(
            "with dead as (
                 select p.id, p.bot_id, p.slot_at, j.last_error,
                        (j.id is null or j.state = 'dead'
                                         and extract(epoch from j.finished_at) * 1000 >= (j.envelope ->> 'deadline')::numeric)
                            and coalesce(e.state, 'failed') = 'failed' as late
                 from personas.posts p
                 left join jobs j on j.environment = p.environment and j.id = p.publish_job_id
                 left join effects e on e.environment = p.environment and e.key = p.effect_key
                 where p.environment = $1 and p.state = 'reserved' and p.effect_key is not null
                   and (j.state in ('dead', 'discarded', 'cancelled')
                        or j.id is null
                           and p.updated_at < clock_timestamp() - $2::bigint * interval '1 second' - interval '15 minutes')
                   and coalesce(e.state, 'failed') <> 'confirmed'
                 limit 500
             ), posts as (
                 update personas.posts p
                 set state = case when dead.late then 'ready' else 'failed' end,
                     slot_at = case when dead.late then null else p.slot_at end,
                     effect_key = case when dead.late then null else p.effect_key end,
                     publish_job_id = case when dead.late then null else p.publish_job_id end,
                     handed_over_at = case when dead.late then null else p.handed_over_at end,
                     reason = case when dead.late then null else coalesce(dead.last_error, 'its job was ended') end,
                     updated_at = clock_timestamp()
                 from dead
                 where p.environment = $1 and p.id = dead.id
             ), slots as (
                 update personas.slots s
                 set state = case when dead.late then 'missed' else 'failed' end, settled_at = clock_timestamp(),
                     reason = case when dead.late then 'its post could not be published in time'
                                   else coalesce(dead.last_error, 'its job was ended') end
                 from dead
                 where s.environment = $1 and s.bot_id = dead.bot_id and s.slot_at = dead.slot_at
             )
             select count(*) filter (where not late) as failed, count(*) filter (where late) as late from dead",
            self.0.env().as_str(),
            i64::try_from(publish_within.as_secs()).unwrap_or(i64::MAX)
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
    /// them, and imported ones, so that another import does not bring them back. At most 10,000 rows each; answers how many.
    pub async fn prune(&self) -> Result<u64, StoreError> {
        let doing = "prune posts and slots";
        let posts = query!(
            "delete from personas.posts where environment = $1 and id in (
                 select id from personas.posts
                 where environment = $1 and state in ('rejected', 'expired') and updated_at < clock_timestamp() - interval '90 days'
                   and import_key is null
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
