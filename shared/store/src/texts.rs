//! The texts of accounts, so that no account publishes nearly what another has.

use std::time::Duration;

use perch_jobs::AccountId;
use sqlx::FromRow;

use crate::{Store, StoreError, query, query_as};

/// The texts that accounts have published, or are about to.
#[derive(Debug, Clone, Copy)]
pub struct AccountTexts<'a>(pub(crate) &'a Store);

/// A text that an account is to publish.
#[derive(Debug, Clone, Copy)]
pub struct NewText<'a> {
    /// The key of the effect that publishes it.
    pub key: &'a str,
    /// The account.
    pub account: &'a AccountId,
    /// The text.
    pub text: &'a str,
    /// What near-duplicates of it are searched by: texts without a common key are not compared.
    pub keys: &'a [i32],
    /// The accounts that it is compared with.
    pub others: &'a [String],
}

/// The text of another account.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OtherText {
    /// The key of the effect that publishes it.
    pub key: String,
    /// The account.
    pub account: String,
    /// The text.
    pub text: String,
}

/// The most texts that one is compared with: those that have most in common with it.
const COMPARED: i64 = 50;
/// For so long a text is compared with others.
const KEPT: Duration = Duration::from_secs(366 * 86_400);
/// Texts removed by one statement.
const AT_ONCE: i64 = 10_000;

impl Store {
    /// The texts that accounts have published, or are about to.
    pub fn account_texts(&self) -> AccountTexts<'_> {
        AccountTexts(self)
    }
}

impl AccountTexts<'_> {
    /// Claims a text for its account, or answers the text of another account that `is_like` it. Of concurrent callers with texts that are
    /// alike, one gets its claim. A text whose effect has failed since is not counted; it is claimed again before the effect is done after all.
    pub async fn claim(
        &self,
        new: &NewText<'_>,
        is_like: impl Fn(&str) -> bool + Send,
    ) -> Result<Option<OtherText>, StoreError> {
        let doing = "compare a text with those of other accounts";
        let mut tx = self.0.pool.begin().await.map_err(StoreError::on(doing))?;
        // All who claim wait for each other until their transaction ends: two texts that are alike may have different keys.
        query!("select pg_advisory_xact_lock(hashtext('perch account texts'), hashtext($1))", self.0.env_name())
            .execute(&mut tx)
            .await
            .map_err(StoreError::on(doing))?;
        let others: Vec<OtherText> = query_as!(
            "select key, account, text from (
                 select t.key, t.account, t.text, cardinality(t.keys) as many,
                        cardinality(array(select unnest(t.keys) intersect select unnest($4::integer[]))) as common
                 from account_texts t
                 left join effects e on e.environment = t.environment and e.key = t.key
                 where t.environment = $1 and t.account = any($2::text[]) and t.key <> $3 and t.keys && $4
                   and t.claimed_at > clock_timestamp() - $6::bigint * interval '1 second'
                   and (e.state is distinct from 'failed' or t.claimed_at > e.settled_at)
             ) as o
             order by common::float8 / (many + cardinality($4) - common) desc, key limit $5",
            self.0.env_name(),
            new.others,
            new.key,
            new.keys,
            COMPARED,
            KEPT.as_secs().cast_signed()
        )
        .fetch_all(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        if let Some(other) = others.into_iter().find(|other| is_like(&other.text)) {
            return Ok(Some(other));
        }
        query!(
            "insert into account_texts (environment, key, account, text, keys) values ($1, $2, $3, $4, $5)
             on conflict (environment, key) do update
                 set account = excluded.account, text = excluded.text, keys = excluded.keys, claimed_at = clock_timestamp()",
            self.0.env_name(),
            new.key,
            new.account.as_str(),
            new.text.replace('\0', "\u{fffd}"),
            new.keys
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(None)
    }

    /// Removes texts that are no longer compared; the number of those removed, which is at most 10,000.
    pub async fn prune(&self) -> Result<u64, StoreError> {
        let done = query!(
            "delete from account_texts where environment = $1 and key in (
                 select key from account_texts
                 where environment = $1 and claimed_at < clock_timestamp() - $2::bigint * interval '1 second'
                 order by claimed_at limit $3)",
            self.0.env_name(),
            KEPT.as_secs().cast_signed(),
            AT_ONCE
        )
        .execute(&self.0.pool)
        .await
        .map_err(StoreError::on("remove old texts"))?;
        Ok(done.rows_affected())
    }
}
