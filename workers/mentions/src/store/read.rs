//! Reads mentions.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use perch_base::{Page, Paging};
use perch_jobs::{AccountId, Mention, PostId};
use perch_store::{
    StoreError, query, query_as, query_scalar,
    row::{self, parsed, readable_rows, unsigned},
};
use sqlx::{Row as _, postgres::PgRow};

use super::{MentionCounts, MentionFilter, MentionRecord, MentionState, MentionTable};

/// The most mentions of a conversation, or of a user's day, that are read; no limit of replies is higher.
const MOST_TAKEN: i64 = 1_000;

impl MentionTable<'_> {
    /// One mention.
    pub async fn get(&self, account: &AccountId, id: &PostId) -> Result<Option<MentionRecord>, StoreError> {
        query_as!(
            "select * from mentions.mentions where environment = $1 and account = $2 and id = $3",
            self.0.env().as_str(),
            account.as_str(),
            id.as_str()
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("read a mention"))
    }

    /// Mentions, the latest first, page by page.
    pub async fn list(&self, filter: &MentionFilter, paging: &Paging) -> Result<Page<MentionRecord>, StoreError> {
        const LIST: &str = "mentions";
        let doing = "list mentions";
        let (at, id) = paging.place::<(i64, String)>(LIST)?.unzip();
        let rows = query!(
            "select *, (extract(epoch from created_at) * 1000000)::bigint as created_us from mentions.mentions
             where environment = $1 and ($2::text is null or account = $2) and ($3::text is null or state = $3)
               and ($4::text is null or author_id = $4 or lower(author) = lower($4))
               and ($5::bigint is null or (created_at, id)
                    < (timestamptz 'epoch' + $5 / 1000000 * interval '1 second' + $5 % 1000000 * interval '1 microsecond', $6))
             order by created_at desc, id desc limit $7",
            self.0.env().as_str(),
            filter.account.as_ref().map(AccountId::as_str),
            filter.state.map(MentionState::as_str),
            &filter.author,
            at,
            id,
            paging.rows()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| {
            Ok((row.try_get::<i64, _>("created_us")?, row.try_get::<String, _>("id")?))
        })
    }

    /// Replies that were decided on before `before`, but not handed over to publishing.
    pub async fn not_handed_over(
        &self,
        account: &AccountId,
        before: DateTime<Utc>,
    ) -> Result<Vec<MentionRecord>, StoreError> {
        readable_rows(
            "look for replies",
            query_as!(
                "select * from mentions.mentions
             where environment = $1 and account = $2 and state = 'decided' and decided_at < $3
             order by decided_at limit 100",
                self.0.env().as_str(),
                account.as_str(),
                before
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// Mentions whose job was enqueued before `before` and has not decided on them. The oldest first, at most 100.
    pub async fn long_queued(
        &self,
        account: &AccountId,
        before: DateTime<Utc>,
    ) -> Result<Vec<MentionRecord>, StoreError> {
        readable_rows(
            "look for mentions",
            query_as!(
                "select * from mentions.mentions
             where environment = $1 and account = $2 and state = 'queued' and job_id is not null and processed_at < $3
             order by processed_at, id limit 100",
                self.0.env().as_str(),
                account.as_str(),
                before
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// Earlier mentions by the same author in the same conversation, at most 20 texts.
    pub async fn said_before(&self, account: &AccountId, mention: &Mention) -> Result<Vec<String>, StoreError> {
        query_scalar!(
            "select text from mentions.mentions
             where environment = $1 and account = $2 and conversation_id = $3 and author_id = $4 and id <> $5
             order by created_at desc limit 20",
            self.0.env().as_str(),
            account.as_str(),
            mention.conversation_id.as_str(),
            &mention.author_id,
            mention.id.as_str()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("read a conversation"))
    }

    /// The mentions among `ids` that ended without a reply.
    pub async fn unanswered(&self, account: &AccountId, ids: &[PostId]) -> Result<Vec<PostId>, StoreError> {
        let ended = [MentionState::LeftOut, MentionState::Rejected, MentionState::Expired, MentionState::Failed];
        let states = self.states(account, ids).await?;
        Ok(states.into_iter().filter(|(_, state)| ended.contains(state)).map(|(id, _)| id).collect())
    }

    /// The mentions of a conversation that were answered or will be.
    pub async fn taken_in_conversation(
        &self,
        account: &AccountId,
        conversation: &PostId,
    ) -> Result<Vec<String>, StoreError> {
        query_scalar!(
            "select id from mentions.mentions
             where environment = $1 and account = $2 and conversation_id = $3
               and state not in ('seen', 'left_out', 'rejected', 'expired', 'failed')
             limit $4",
            self.0.env().as_str(),
            account.as_str(),
            conversation.as_str(),
            MOST_TAKEN
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("count the replies of a conversation"))
    }

    /// The mentions that an author wrote on this day (UTC) and that were answered or will be.
    pub async fn taken_of_author(
        &self,
        account: &AccountId,
        author_id: &str,
        day: NaiveDate,
    ) -> Result<Vec<String>, StoreError> {
        query_scalar!(
            "select id from mentions.mentions
             where environment = $1 and account = $2 and author_id = $3
               and state not in ('seen', 'left_out', 'rejected', 'expired', 'failed')
               and created_at >= $4::date::timestamp at time zone 'UTC'
               and created_at < ($4::date + 1)::timestamp at time zone 'UTC'
             limit $5",
            self.0.env().as_str(),
            account.as_str(),
            author_id,
            day,
            MOST_TAKEN
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("count the replies to a user"))
    }

    /// The last mention that was read.
    pub async fn cursor(&self, account: &AccountId) -> Result<Option<PostId>, StoreError> {
        let doing = "read a since_id";
        let row = query!(
            "select since_id from mentions.cursors where environment = $1 and account = $2",
            self.0.env().as_str(),
            account.as_str()
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        row.map(|row| parsed(&row, "since_id")).transpose().map_err(StoreError::on(doing))
    }

    /// Counts the mentions of an account that were written since then, by their outcome.
    pub async fn counts(&self, account: &AccountId, since: DateTime<Utc>) -> Result<MentionCounts, StoreError> {
        let doing = "count mentions";
        let rows = query!(
            "select state, case when state in ('left_out', 'failed', 'rejected', 'expired') then coalesce(reason, '') end as reason,
                    count(*) as n
             from mentions.mentions where environment = $1 and account = $2 and created_at >= $3
             group by 1, 2",
            self.0.env().as_str(),
            account.as_str(),
            since
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        let mut counts = MentionCounts::default();
        rows.iter().try_for_each(|row| add(&mut counts, row)).map_err(StoreError::on(doing))?;
        let row = query!(
            "select (percentile_cont(0.5) within group (order by ms))::bigint as p50,
                    (percentile_cont(0.95) within group (order by ms))::bigint as p95,
                    coalesce(sum(prompt_tokens), 0)::bigint as read, coalesce(sum(completion_tokens), 0)::bigint as written,
                    (select count(*) from mentions.reviews
                     where environment = $1 and account = $2 and state = 'open' and expires_at > clock_timestamp()) as open
             from (select prompt_tokens, completion_tokens,
                          case when state = 'answered' then extract(epoch from settled_at - created_at) * 1000 end as ms
                   from mentions.mentions where environment = $1 and account = $2 and created_at >= $3) as m",
            self.0.env().as_str(),
            account.as_str(),
            since
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        let whole = |column| row.try_get::<Option<i64>, _>(column).map(|n| n.map(unsigned));
        let read = || -> Result<MentionCounts, sqlx::Error> {
            Ok(MentionCounts {
                latency_p50_ms: whole("p50")?,
                latency_p95_ms: whole("p95")?,
                prompt_tokens: whole("read")?.unwrap_or(0),
                completion_tokens: whole("written")?.unwrap_or(0),
                open_reviews: whole("open")?.unwrap_or(0),
                ..counts
            })
        };
        read().map_err(StoreError::on(doing))
    }
}

/// The part of an error that identifies its cause.
fn cause(reason: &str) -> String {
    let words = reason.split([';', ':', '(']).next().unwrap_or_default().trim();
    words.chars().take(80).collect()
}

fn add(counts: &mut MentionCounts, row: &PgRow) -> Result<(), sqlx::Error> {
    let state: String = row.try_get("state")?;
    let reason: Option<String> = row.try_get("reason")?;
    let n = unsigned(row.try_get("n")?);
    let into = |map: &mut BTreeMap<String, u64>, key: String| *map.entry(key).or_default() += n;
    match reason {
        Some(reason) if state == MentionState::LeftOut.as_str() => into(&mut counts.left_out, reason),
        Some(reason) => into(&mut counts.errors, cause(&reason)),
        None => {}
    }
    into(&mut counts.states, state);
    Ok(())
}
