//! Settles mentions: brings their states up to date with the ledger and the jobs.

use perch_jobs::AccountId;
use perch_store::{StoreError, query_as, query_scalar, row::unsigned};

use super::{MentionTable, SettledMentions};

impl MentionTable<'_> {
    /// Settles at most 500 mentions of each kind: answered when the ledger has confirmed the effect, failed when the job is dead, expired
    /// when nobody decided in time or the reply could not be published in time. It is idempotent.
    pub async fn settle(&self, account: &AccountId) -> Result<SettledMentions, StoreError> {
        let doing = "settle mentions";
        let answered: Vec<f64> = query_scalar!(
            "with done as (
                 select m.account, m.id, e.external_id, e.settled_at,
                        coalesce((e.response ->> 'simulated')::boolean, false) as simulated
                 from mentions.mentions m
                 join effects e on e.environment = m.environment and e.key = m.effect_key and e.state = 'confirmed'
                 where m.environment = $1 and m.account = $2 and m.state in ('decided', 'sending', 'failed')
                 limit 500
             )
             update mentions.mentions m
             set state = 'answered', external_id = done.external_id, simulated = done.simulated, reason = null,
                 settled_at = coalesce(done.settled_at, clock_timestamp())
             from done
             where m.environment = $1 and m.account = done.account and m.id = done.id
             returning extract(epoch from m.settled_at - m.created_at)::float8",
            self.0.env().as_str(),
            account.as_str()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        // A job that ended after its deadline, with no call to X under way, was too late; any other failed.
        let (failed, late): (i64, i64) = query_as!(
            "with dead as (
                 select m.account, m.id, j.last_error,
                        m.state = 'sending' and j.state = 'dead'
                            and extract(epoch from j.finished_at) * 1000 >= (j.envelope ->> 'deadline')::numeric
                            and coalesce(e.state, 'failed') = 'failed' as late
                 from mentions.mentions m
                 join jobs j on j.environment = m.environment
                            and j.id = case when m.state = 'queued' then m.job_id else m.publish_job_id end
                 left join effects e on e.environment = m.environment and e.key = m.effect_key
                 where m.environment = $1 and m.account = $2 and m.state in ('queued', 'sending')
                   and j.state in ('dead', 'discarded', 'cancelled')
                 limit 500
             ), changed as (
                 update mentions.mentions m
                 set state = case when dead.late then 'expired' else 'failed' end,
                     reason = case when dead.late then 'it could not be published in time'
                                   else coalesce(dead.last_error, 'its job was ended') end,
                     settled_at = clock_timestamp()
                 from dead
                 where m.environment = $1 and m.account = dead.account and m.id = dead.id
                 returning m.state
             )
             select count(*) filter (where state = 'failed') as failed,
                    count(*) filter (where state = 'expired') as late from changed",
            self.0.env().as_str(),
            account.as_str()
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        let expired: i64 = query_scalar!(
            "with late as (
                 update mentions.reviews set state = 'expired', decided_at = clock_timestamp()
                 where environment = $1 and account = $2 and state = 'open' and expires_at <= clock_timestamp()
                 returning mention_id
             ), changed as (
                 update mentions.mentions m
                 set state = 'expired', reason = 'nobody decided in time', settled_at = clock_timestamp()
                 from late
                 where m.environment = $1 and m.account = $2 and m.id = late.mention_id and m.state = 'in_review'
             )
             select count(*) from late",
            self.0.env().as_str(),
            account.as_str()
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        Ok(SettledMentions { answered, failed: unsigned(failed), expired: unsigned(expired + late) })
    }
}
