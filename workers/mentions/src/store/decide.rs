//! Stores the decision about a mention and its consequences.

use chrono::{DateTime, Utc};
use perch_jobs::{AccountId, JobId, PostId};
use perch_store::{StoreError, query, query_scalar};
use sqlx::PgExecutor;

use super::{MentionRecord, MentionState, MentionTable, WrittenReply, plain, signed};

/// The outcome of a decision on a reply that must not repeat another.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The mention as it is now: with this reply, or with the one that was decided on before.
    Kept(Option<Box<MentionRecord>>),
    /// Nothing was decided, because the account says the same elsewhere.
    Repeated,
}

impl MentionTable<'_> {
    /// Stores the reply, unless one was decided on before; answers the mention as it is then.
    pub async fn decide(
        &self,
        account: &AccountId,
        id: &PostId,
        written: &WrittenReply,
    ) -> Result<Option<MentionRecord>, StoreError> {
        self.keep(self.0.pool(), account, id, written).await?;
        self.get(account, id).await
    }

    /// The same, unless `repeats` is true for the replies to other mentions since then, at most `limit` of them. These decisions are
    /// serialized for each account, so that of two equal replies at the same time the second one is found out.
    pub async fn decide_anew(
        &self,
        account: &AccountId,
        id: &PostId,
        written: &WrittenReply,
        (since, limit): (DateTime<Utc>, u32),
        repeats: impl Fn(&[String]) -> bool + Send,
    ) -> Result<Decision, StoreError> {
        let doing = "keep a reply";
        let mut tx = self.0.pool().begin().await.map_err(StoreError::on(doing))?;
        query!(
            "select pg_advisory_xact_lock(hashtext('perch mentions'), hashtext($1 || ':' || $2))",
            self.0.env().as_str(),
            account.as_str()
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        if repeats(&self.latest(&mut tx, account, Some(id), since, limit).await?) {
            return Ok(Decision::Repeated);
        }
        self.keep(&mut tx, account, id, written).await?;
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(Decision::Kept(self.get(account, id).await?.map(Box::new)))
    }

    async fn keep(
        &self,
        conn: impl PgExecutor<'_>,
        account: &AccountId,
        id: &PostId,
        written: &WrittenReply,
    ) -> Result<(), StoreError> {
        query!(
            "update mentions.mentions
             set state = 'decided', reply = $4, model = $5, prompt_tokens = $6, completion_tokens = $7, reason = null,
                 decided_at = clock_timestamp(), settled_at = null
             where environment = $1 and account = $2 and id = $3 and state in ('seen', 'queued', 'failed')
               and reply is null",
            self.0.env().as_str(),
            account.as_str(),
            id.as_str(),
            written.text.as_deref().map(plain),
            &written.model,
            signed(written.prompt_tokens),
            signed(written.completion_tokens)
        )
        .execute(conn)
        .await
        .map(|_| ())
        .map_err(StoreError::on("keep a reply"))
    }

    /// The latest replies of an account, to compare a new one with.
    pub async fn latest_replies(
        &self,
        account: &AccountId,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        self.latest(self.0.pool(), account, None, since, limit).await
    }

    async fn latest(
        &self,
        conn: impl PgExecutor<'_>,
        account: &AccountId,
        but: Option<&PostId>,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        query_scalar!(
            "select reply from mentions.mentions
             where environment = $1 and account = $2 and reply is not null and decided_at >= $3
               and state in ('decided', 'sending', 'answered') and ($5::text is null or id <> $5)
             order by decided_at desc limit $4",
            self.0.env().as_str(),
            account.as_str(),
            since,
            i64::from(limit),
            but.map(PostId::as_str)
        )
        .fetch_all(conn)
        .await
        .map_err(StoreError::on("read the latest replies"))
    }

    /// Notes that the reply was handed over to the job that publishes it.
    pub async fn handed_over(&self, account: &AccountId, id: &PostId, job: JobId) -> Result<(), StoreError> {
        query!(
            "update mentions.mentions set state = 'sending', publish_job_id = $4, reason = null, settled_at = null
             where environment = $1 and account = $2 and id = $3 and state in ('decided', 'failed')",
            self.0.env().as_str(),
            account.as_str(),
            id.as_str(),
            job.to_string()
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("note a reply"))
    }

    /// Ends a mention without a reply: left out by a rule, or rejected by the guard. The text that was written is kept with it.
    pub async fn drop(
        &self,
        account: &AccountId,
        id: &PostId,
        to: MentionState,
        reason: &str,
        written: &WrittenReply,
    ) -> Result<(), StoreError> {
        query!(
            "update mentions.mentions
             set state = $4, reason = $5, reply = $6, model = $7, prompt_tokens = $8, completion_tokens = $9,
                 settled_at = clock_timestamp()
             where environment = $1 and account = $2 and id = $3 and state in ('seen', 'queued', 'failed')
               and reply is null",
            self.0.env().as_str(),
            account.as_str(),
            id.as_str(),
            to.as_str(),
            plain(reason),
            written.text.as_deref().map(plain),
            &written.model,
            signed(written.prompt_tokens),
            signed(written.completion_tokens)
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("end a mention"))
    }

    /// Ends a mention whose reply was decided on, but not handed over in time.
    pub async fn expire(&self, account: &AccountId, id: &PostId, reason: &str) -> Result<(), StoreError> {
        query!(
            "update mentions.mentions set state = 'expired', reason = $4, settled_at = clock_timestamp()
             where environment = $1 and account = $2 and id = $3 and state = 'decided'",
            self.0.env().as_str(),
            account.as_str(),
            id.as_str(),
            plain(reason)
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("end a mention"))
    }
}
