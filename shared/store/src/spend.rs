use chrono::{DateTime, Utc};
use perch_base::{Page, Paging};
use perch_jobs::JobId;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::{Recorded, Store, StoreError, query, query_as, query_scalar, record::millis, row, sql};

/// What was paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpendKind {
    /// Posts read from X.
    PostRead,
    /// Posts of an account, or posts with its handle, read by the account itself.
    OwnRead,
    /// Users read from X.
    UserRead,
    /// A post published on X.
    Post,
    /// A post with a link in it.
    PostWithLink,
    /// A reply to a post that names or quotes the account.
    SummonedReply,
    /// A retweet.
    Retweet,
    /// A call of a language model.
    Model,
}

/// One call that cost something, or may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendRecord {
    /// Its unique id.
    pub id: String,
    /// When. Kept to the millisecond.
    #[serde(with = "millis")]
    pub at: DateTime<Utc>,
    /// `x`, or the name of a model provider.
    pub provider: String,
    /// The bot that spent it.
    pub bot: String,
    /// The account that it was for.
    pub account: Option<String>,
    /// What was paid for.
    pub kind: SpendKind,
    /// How many of the kind.
    pub units: u32,
    /// The model that was asked.
    pub model: Option<String>,
    /// Tokens that a model read.
    pub prompt_tokens: u64,
    /// Tokens that a model wrote.
    pub completion_tokens: u64,
    /// The cost in millionths of a US dollar.
    pub micros: i64,
    /// The job that spent it.
    pub job_id: Option<JobId>,
}

impl Recorded for SpendRecord {
    const FAMILY: &'static str = "spend";
    const DOING: &'static str = "store what was spent";
    const SQL: &'static str = sql!(
        2,
        "
        insert into spend (environment, id, at, provider, bot, account, kind, units, model, prompt_tokens,
                           completion_tokens, micros, job_id, version_ms, version_seq)
        select $1, id, at, provider, bot, account, kind, units, model, prompt_tokens, completion_tokens, micros, job_id,
               version_ms, version_seq
        from jsonb_to_recordset($2::jsonb)
             as r(id text, at timestamptz, provider text, bot text, account text, kind text, units bigint, model text,
                  prompt_tokens bigint, completion_tokens bigint, micros bigint, job_id text,
                  version_ms bigint, version_seq bigint)
        on conflict (environment, id) do nothing"
    );

    fn key(&self) -> String {
        self.id.clone()
    }
}

/// What was spent in a time span, for one provider, bot, account and kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct SpendSum {
    /// `x`, or the name of a model provider.
    pub provider: String,
    /// The bot.
    pub bot: String,
    /// The account that it was for; empty where it is not known.
    pub account: String,
    /// What was paid for.
    pub kind: String,
    /// Calls.
    pub calls: i64,
    /// Posts, users, calls of a model.
    pub units: i64,
    /// Tokens read and written by models.
    pub tokens: i64,
    /// Millionths of a US dollar.
    pub micros: i64,
}

/// What one provider cost on a day, in its month, and in the week before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct ProviderSpend {
    /// `x`, or the name of a model provider.
    pub provider: String,
    /// On the day, in millionths of a US dollar.
    pub day: i64,
    /// In the month.
    pub month: i64,
    /// In the seven days before the day, the basis of a forecast.
    pub week: i64,
    /// How many of these seven days come after the first paid call.
    pub days: i64,
}

/// What calls to paid services cost. Written through [`Store::record`] or the hot state.
#[derive(Debug, Clone, Copy)]
pub struct Spend<'a>(pub(crate) &'a Store);

impl Store {
    /// What calls to paid services cost.
    pub fn spend(&self) -> Spend<'_> {
        Spend(self)
    }
}

impl Spend<'_> {
    /// What a provider cost from a moment on, in millionths of a US dollar.
    pub async fn since(&self, provider: &str, from: DateTime<Utc>) -> Result<i64, StoreError> {
        query_scalar!(
            "select coalesce(sum(micros), 0)::bigint from spend where environment = $1 and at >= $3 and provider = $2",
            self.0.env_name(),
            provider,
            from
        )
        .fetch_one(&self.0.pool)
        .await
        .map_err(StoreError::on("add up what was spent"))
    }

    /// What each provider cost on the day that begins at `day`, in the month that begins at `month`, and in the week before the day.
    pub async fn by_provider(
        &self,
        day: DateTime<Utc>,
        month: DateTime<Utc>,
    ) -> Result<Vec<ProviderSpend>, StoreError> {
        query_as!(
            "select provider,
                    coalesce(sum(micros) filter (where at >= $2), 0)::bigint as day,
                    coalesce(sum(micros) filter (where at >= $3), 0)::bigint as month,
                    coalesce(sum(micros) filter (where at < $2 and at >= $2 - interval '7 days'), 0)::bigint as week,
                    case when exists (select from spend older where older.environment = $1
                                          and older.provider = spend.provider and older.at < $2 - interval '7 days')
                         then 7
                         else coalesce(ceil(extract(epoch from $2 - min(at) filter (where at < $2)) / 86400), 0)
                    end::bigint as days
             from spend
             where environment = $1 and at >= least($3, $2 - interval '7 days')
             group by provider order by provider",
            self.0.env_name(),
            day,
            month
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on("add up what was spent"))
    }

    /// What was spent from `since` to before `until`, by provider, bot, account and kind, most expensive first, page by page. All pages
    /// cover the time span of the first page, which the cursor carries; the span is returned with each page.
    pub async fn sums(
        &self,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        paging: &Paging,
    ) -> Result<(DateTime<Utc>, DateTime<Utc>, Page<SpendSum>), StoreError> {
        const LIST: &str = "spend";
        let doing = "add up what was spent";
        let after: Option<SumPlace> = paging.place(LIST)?;
        let (since, until) = after.as_ref().map_or((since, until), |place| (place.since, place.until));
        let rows = query!(
            "select * from (
                 select provider, bot, coalesce(account, '') as account, kind, count(*) as calls, sum(units)::bigint as units,
                        sum(prompt_tokens + completion_tokens)::bigint as tokens, sum(micros)::bigint as micros
                 from spend
                 where environment = $1 and at >= $2 and at < $3
                 group by provider, bot, account, kind
             ) as sums
             where $4::bigint is null or (-micros, provider, bot, account, kind) > (-$4, $5, $6, $7, $8)
             order by -micros, provider, bot, account, kind
             limit $9",
            self.0.env_name(),
            since,
            until,
            after.as_ref().map(|place| place.micros),
            after.as_ref().map(|place| &place.provider),
            after.as_ref().map(|place| &place.bot),
            after.as_ref().map(|place| &place.account),
            after.as_ref().map(|place| &place.kind),
            paging.rows()
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on(doing))?;
        let page = row::page(doing, LIST, paging, rows, |row| {
            let SpendSum { provider, bot, account, kind, micros, .. } = SpendSum::from_row(row)?;
            Ok(SumPlace { since, until, micros, provider, bot, account, kind })
        })?;
        Ok((since, until, page))
    }
}

/// Where a page of sums ends.
#[derive(Debug, Serialize, Deserialize)]
struct SumPlace {
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    micros: i64,
    provider: String,
    bot: String,
    account: String,
    kind: String,
}
