//! The tables of mentions and of reviews. They are written directly to Postgres: any later attempt must find a reply that was decided on.

mod blocked;
mod control;
mod decide;
mod model;
mod read;
mod reviews;
mod settle;
mod switches;

use std::collections::BTreeMap;

use perch_jobs::{AccountId, JobId, PostId, ReplyToMention};
use perch_store::query;
use serde_json::{Value, json};

pub use control::{MentionControl, MentionPoll, ReplyPlace};
pub use decide::Decision;
pub use model::{
    BlockedUser, MentionCounts, MentionFilter, MentionRecord, MentionState, Review, ReviewState, SeenMention,
    SettledMentions, WrittenReply,
};
pub use reviews::{ReviewFilter, ReviewOutcome, ReviewTable};
pub use switches::MentionSwitches;

use perch_store::{Store, StoreError, json as jsonb, row::parsed};

/// The mentions.
#[derive(Debug, Clone, Copy)]
pub struct MentionTable<'a>(pub(crate) &'a Store);

/// The tables of the bot, on the store of the platform.
pub trait MentionStore {
    /// The mentions.
    fn mentions(&self) -> MentionTable<'_>;

    /// The replies that people decide about.
    fn reviews(&self) -> ReviewTable<'_>;
}

impl MentionStore for Store {
    fn mentions(&self) -> MentionTable<'_> {
        MentionTable(self)
    }

    fn reviews(&self) -> ReviewTable<'_> {
        ReviewTable(self)
    }
}

fn texts(ids: &[PostId]) -> Vec<&str> {
    ids.iter().map(PostId::as_str).collect()
}

fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl MentionTable<'_> {
    /// Notes mentions that were read. A mention that is stored already is only updated while its state is `seen`.
    pub async fn note(&self, account: &AccountId, mentions: &[SeenMention]) -> Result<(), StoreError> {
        let rows: Vec<Value> = mentions
            .iter()
            .map(|seen| {
                let mut row = json!(seen.mention);
                row["author"] = json!(seen.author);
                row["reason"] = json!(seen.left_out);
                row["effect_key"] = json!(ReplyToMention::effect_key(account, &seen.mention.id));
                row
            })
            .collect();
        query!(
            "insert into mentions.mentions (environment, account, id, text, author_id, conversation_id, created_at, processed_at,
                                   referenced_tweet_id, author, state, reason, effect_key, settled_at)
             select $1, $2, id, text, author_id, conversation_id, created_at, processed_at, referenced_tweet_id, author,
                    case when reason is null then 'seen' else 'left_out' end, reason, effect_key,
                    case when reason is not null then clock_timestamp() end
             from jsonb_to_recordset($3::jsonb)
                  as r(id text, text text, author_id text, conversation_id text, created_at timestamptz,
                       processed_at timestamptz, referenced_tweet_id text, author text, reason text, effect_key text)
             on conflict (environment, account, id) do update set
                 state = excluded.state, reason = excluded.reason, settled_at = excluded.settled_at
             where mentions.state = 'seen'",
            self.0.env().as_str(),
            account.as_str(),
            jsonb::without_nul(&json!(rows).to_string()).as_ref()
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("note mentions"))
    }

    /// Notes that mentions were enqueued, each with its job.
    pub async fn queued(&self, account: &AccountId, jobs: &[(PostId, JobId)]) -> Result<(), StoreError> {
        query!(
            "update mentions.mentions m set state = 'queued', job_id = r.job
             from unnest($3::text[], $4::text[]) as r(id, job)
             where m.environment = $1 and m.account = $2 and m.id = r.id and m.state = 'seen'",
            self.0.env().as_str(),
            account.as_str(),
            jobs.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(),
            jobs.iter().map(|(_, job)| job.to_string()).collect::<Vec<_>>()
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("note mentions"))
    }

    /// The states of those among these mentions that are stored.
    pub async fn states(
        &self,
        account: &AccountId,
        ids: &[PostId],
    ) -> Result<BTreeMap<PostId, MentionState>, StoreError> {
        let doing = "look for mentions";
        let rows = query!(
            "select id, state from mentions.mentions where environment = $1 and account = $2 and id = any($3)",
            self.0.env().as_str(),
            account.as_str(),
            texts(ids)
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        let read = |row: &sqlx::postgres::PgRow| Ok((parsed(row, "id")?, perch_store::row::word(row, "state")?));
        rows.iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(StoreError::on(doing))
    }

    /// The mention with which a job begins. It is stored first where another service enqueued the job.
    pub async fn begin(
        &self,
        account: &AccountId,
        seen: &SeenMention,
        job: JobId,
    ) -> Result<MentionRecord, StoreError> {
        self.note(account, std::slice::from_ref(seen)).await?;
        self.queued(account, &[(seen.mention.id.clone(), job)]).await?;
        self.get(account, &seen.mention.id).await?.ok_or(StoreError::Invalid {
            what: "a mention",
            reason: format!("{} of {account} is not there any more", seen.mention.id),
        })
    }

    /// Moves the last mention that was read forward, never back.
    pub async fn move_cursor(&self, account: &AccountId, since: &PostId) -> Result<(), StoreError> {
        query!(
            "insert into mentions.cursors as c (environment, account, since_id) values ($1, $2, $3)
             on conflict (environment, account) do update set since_id = excluded.since_id, moved_at = clock_timestamp()
             where excluded.since_id::numeric > c.since_id::numeric",
            self.0.env().as_str(),
            account.as_str(),
            since.as_str()
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("keep a since_id"))
    }
}
