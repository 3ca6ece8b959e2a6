mod records;

use chrono::{DateTime, Utc};
use perch_jobs::PostId;
use perch_store::{query, query_as};
use sqlx::{Row as _, postgres::PgRow};

pub use records::{AccountChange, AccountRecord, PollJob, PollNote, PollOutcome, PollTotals};

use perch_store::{
    Store, StoreError, json,
    row::{count, readable_rows, undecodable},
};

/// The most ticks that an account is passed over. After a failed poll the next tick tries again, then every second, fourth and eighth.
const MOST_PASSED_OVER: i32 = 7;

/// The table of watched accounts.
#[derive(Debug, Clone, Copy)]
pub struct Accounts<'a>(pub(crate) &'a Store);

impl Accounts<'_> {
    /// Every account that has a row, by handle, including removed ones.
    pub async fn list(&self) -> Result<Vec<AccountRecord>, StoreError> {
        readable_rows(
            "read the watched accounts",
            query_as!(
                "select * from picks.watched_accounts where environment = $1 order by username limit 100000",
                self.0.env().as_str()
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// One account by its handle, in any case.
    pub async fn get(&self, username: &str) -> Result<Option<AccountRecord>, StoreError> {
        query_as!(
            "select * from picks.watched_accounts where environment = $1 and username = lower($2)",
            self.0.env().as_str(),
            username
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("read a watched account"))
    }

    /// Watches an account, with the settings in `change`. A removed account is watched again; what it posted in the meantime is not read.
    /// For an account that is already watched, only the settings named in `change` are replaced; a schedule also replaces the time zone.
    pub async fn add(&self, handle: &str, change: &AccountChange, by: &str) -> Result<AccountRecord, StoreError> {
        query_as!(
            "insert into picks.watched_accounts as w
                 (environment, username, handle, added_by, added_at, enabled, note, schedule, timezone, posts_per_poll, pages,
                  max_age_ms, scheduled_to)
             select $1, lower($2), $2, $4, clock_timestamp(), coalesce((c ->> 'enabled')::boolean, true), c ->> 'note',
                    c ->> 'schedule', c ->> 'timezone', (c ->> 'posts_per_poll')::integer, (c ->> 'pages')::integer,
                    (c ->> 'max_age_ms')::bigint, case when c ->> 'schedule' is not null then clock_timestamp() end
             from (select $3::jsonb as c) given
             on conflict (environment, username) do update set
                 handle = excluded.handle,
                 added_by = case when w.added_at is null or w.removed_at is not null then excluded.added_by
                                 else w.added_by end,
                 added_at = case when w.added_at is null or w.removed_at is not null then excluded.added_at
                                 else w.added_at end,
                 removed_by = null, removed_at = null,
                 enabled = coalesce(($3::jsonb ->> 'enabled')::boolean, true),
                 failures = 0, passes_over = 0,
                 note = case when $3::jsonb ? 'note' then excluded.note else w.note end,
                 schedule = case when $3::jsonb ? 'schedule' then excluded.schedule else w.schedule end,
                 timezone = case when $3::jsonb ?| array['schedule', 'timezone'] then excluded.timezone
                                 else w.timezone end,
                 posts_per_poll = case when $3::jsonb ? 'posts_per_poll' then excluded.posts_per_poll
                                       else w.posts_per_poll end,
                 pages = case when $3::jsonb ? 'pages' then excluded.pages else w.pages end,
                 max_age_ms = case when $3::jsonb ? 'max_age_ms' then excluded.max_age_ms else w.max_age_ms end,
                 scheduled_to = case when $3::jsonb ? 'schedule' or w.removed_at is not null or not w.enabled
                                     then clock_timestamp() else w.scheduled_to end,
                 read_to = case when w.removed_at is null and w.enabled then w.read_to end
             returning *",
            self.0.env().as_str(),
            handle,
            written(change)?,
            by
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("add a watched account"))
    }

    /// Changes the settings of an account. An account that only the configuration names gets a row.
    pub async fn change(&self, handle: &str, change: &AccountChange) -> Result<AccountRecord, StoreError> {
        query_as!(
            "insert into picks.watched_accounts as w
                 (environment, username, handle, enabled, note, schedule, timezone, posts_per_poll, pages, max_age_ms,
                  scheduled_to)
             select $1, lower($2), $2, coalesce((c ->> 'enabled')::boolean, true), c ->> 'note', c ->> 'schedule',
                    c ->> 'timezone', (c ->> 'posts_per_poll')::integer, (c ->> 'pages')::integer,
                    (c ->> 'max_age_ms')::bigint, case when c ->> 'schedule' is not null then clock_timestamp() end
             from (select $3::jsonb as c) given
             on conflict (environment, username) do update set
                 enabled = coalesce(($3::jsonb ->> 'enabled')::boolean, w.enabled),
                 note = case when $3::jsonb ? 'note' then excluded.note else w.note end,
                 schedule = case when $3::jsonb ? 'schedule' then excluded.schedule else w.schedule end,
                 timezone = case when $3::jsonb ?| array['schedule', 'timezone'] then excluded.timezone
                                 else w.timezone end,
                 posts_per_poll = case when $3::jsonb ? 'posts_per_poll' then excluded.posts_per_poll
                                       else w.posts_per_poll end,
                 pages = case when $3::jsonb ? 'pages' then excluded.pages else w.pages end,
                 max_age_ms = case when $3::jsonb ? 'max_age_ms' then excluded.max_age_ms else w.max_age_ms end,
                 scheduled_to = case when $3::jsonb ? 'schedule' or ($3::jsonb ->> 'enabled')::boolean and not w.enabled
                                     then clock_timestamp() else w.scheduled_to end,
                 read_to = case when w.enabled or not coalesce(($3::jsonb ->> 'enabled')::boolean, false)
                                then w.read_to end
             returning *",
            self.0.env().as_str(),
            handle,
            written(change)?
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("change a watched account"))
    }

    /// Stops watching an account, even if the configuration names it. Its row stays.
    pub async fn remove(&self, handle: &str, by: &str) -> Result<AccountRecord, StoreError> {
        query_as!(
            "insert into picks.watched_accounts as w (environment, username, handle, removed_by, removed_at, enabled)
             values ($1, lower($2), $2, $3, clock_timestamp(), false)
             on conflict (environment, username) do update set
                 removed_by = excluded.removed_by, removed_at = excluded.removed_at, enabled = false
             returning *",
            self.0.env().as_str(),
            handle,
            by
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("remove a watched account"))
    }

    /// Records how a poll ended. `since_id` and `read_to` only move forward, and values that the poll did not learn stay.
    pub async fn note_poll(&self, note: &PollNote) -> Result<(), StoreError> {
        query!(
            "insert into picks.watched_accounts as w
                 (environment, username, handle, last_poll, last_outcome, last_error, failures, since_id, user_id, user_id_at,
                  read_to)
             values ($1, lower($2), $2, $3, $4, $5, case when $4 = 'polled' then 0 else 1 end, $6, $7,
                     case when $7::text is not null then $3::timestamptz end, $9)
             on conflict (environment, username) do update set
                 last_poll = excluded.last_poll, last_outcome = excluded.last_outcome, last_error = excluded.last_error,
                 failures = case when $4 = 'polled' then 0 else w.failures + 1 end,
                 passes_over = case when $4 = 'polled' then 0
                                    else least((1 << least(w.failures, 10)) - 1, $8) end,
                 since_id = case when w.since_id is null
                                   or (length(excluded.since_id), excluded.since_id) > (length(w.since_id), w.since_id)
                                 then coalesce(excluded.since_id, w.since_id) else w.since_id end,
                 user_id_at = case when excluded.user_id is distinct from w.user_id and excluded.user_id is not null
                                   then excluded.user_id_at else w.user_id_at end,
                 user_id = case when $4 = 'not_found' then null else coalesce(excluded.user_id, w.user_id) end,
                 read_to = greatest(w.read_to, excluded.read_to)
             where w.last_poll is null or w.last_poll <= excluded.last_poll",
            self.0.env().as_str(),
            &note.username,
            note.at,
            note.outcome.as_str(),
            &note.error,
            note.since_id.as_ref().map(digits),
            &note.user_id,
            MOST_PASSED_OVER,
            note.read_to
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("note a poll"))
    }

    /// Counts one tick as passed over for each of these accounts.
    pub async fn passed_over(&self, usernames: &[String]) -> Result<(), StoreError> {
        query!(
            "update picks.watched_accounts set passes_over = passes_over - 1
             where environment = $1 and username = any($2) and passes_over > 0",
            self.0.env().as_str(),
            usernames
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("pass over accounts"))
    }

    /// Records that the ticks of an account's own schedule up to `tick` are done.
    pub async fn scheduled(&self, username: &str, tick: DateTime<Utc>) -> Result<(), StoreError> {
        query!(
            "update picks.watched_accounts set scheduled_to = greatest(scheduled_to, $3)
             where environment = $1 and username = lower($2)",
            self.0.env().as_str(),
            username,
            tick
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("note a tick of an account"))
    }

    /// The latest polls of an account, newest first, as far as the history of jobs goes back.
    pub async fn polls(&self, username: &str, limit: u32) -> Result<Vec<PollJob>, StoreError> {
        readable_rows(
            "read the polls of an account",
            query_as!(
                "select id, state, created_at, finished_at, result, last_error from jobs
             where environment = $1 and group_key = 'watch:' || lower($2) and kind = 'poll_account'
             order by id desc limit $3",
                self.0.env().as_str(),
                username,
                i64::from(limit)
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// The totals of the polls of an account since `since`, as far as the history of jobs goes back.
    pub async fn totals(&self, username: &str, since: DateTime<Utc>) -> Result<PollTotals, StoreError> {
        let doing = "add up the polls of an account";
        let row = query!(
            "with polls as (
                 select result from jobs
                 where environment = $1 and group_key = 'watch:' || lower($2) and kind = 'poll_account' and state = 'done'
                   and finished_at >= $3
             )
             select (select count(*) from polls) as polls,
                    (select coalesce(sum((result ->> 'read')::bigint), 0)::bigint from polls) as read,
                    (select coalesce(sum((result ->> 'taken')::bigint), 0)::bigint from polls) as taken,
                    (select coalesce(jsonb_object_agg(reason, posts), '{}') from (
                         select reason, sum(posts::bigint)::bigint as posts
                         from polls, jsonb_each_text(coalesce(result -> 'skipped', '{}')) as s(reason, posts)
                         group by reason) by_reason) as skipped,
                    (select count(*) from picks.sightings
                     where environment = $1 and lower(author) = lower($2) and seen_at >= $3) as picks,
                    (select count(*) from picks.sightings s
                     join picks.picks p on p.environment = s.environment and p.pick_key = s.pick_key
                     where s.environment = $1 and lower(s.author) = lower($2) and s.seen_at >= $3
                       and p.source_post = s.post_id) as picks_first",
            self.0.env().as_str(),
            username,
            since
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        totals(&row).map_err(StoreError::on(doing))
    }
}

fn totals(row: &PgRow) -> Result<PollTotals, sqlx::Error> {
    let skipped: serde_json::Value = row.try_get("skipped")?;
    Ok(PollTotals {
        polls: count(row, "polls")?,
        read: count(row, "read")?,
        taken: count(row, "taken")?,
        skipped: serde_json::from_value(skipped).map_err(|error| undecodable("skipped", error))?,
        picks: count(row, "picks")?,
        picks_first: count(row, "picks_first")?,
    })
}

/// An id without leading zeros, so that it sorts by length and then by its digits.
fn digits(id: &PostId) -> &str {
    let digits = id.as_str().trim_start_matches('0');
    if digits.is_empty() { "0" } else { digits }
}

fn written(change: &AccountChange) -> Result<serde_json::Value, StoreError> {
    let text = serde_json::to_string(change)
        .map_err(|error| StoreError::Invalid { what: "a change of an account", reason: error.to_string() })?;
    serde_json::from_str(&json::without_nul(&text))
        .map_err(|error| StoreError::Invalid { what: "a change of an account", reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_goes_back_to_the_configuration_and_what_is_not_named_stays() {
        let read = |json: &str| serde_json::from_str::<AccountChange>(json).expect("a change");
        assert_eq!(read("{}"), AccountChange::default());
        assert_eq!(read(r#"{"pages":null}"#).pages, Some(None));
        assert_eq!(read(r#"{"pages":3}"#).pages, Some(Some(3)));
        assert_eq!(written(&read(r#"{"pages":null}"#)).expect("JSON"), serde_json::json!({ "pages": null }));
        assert_eq!(written(&AccountChange::default()).expect("JSON"), serde_json::json!({}));
    }
}
