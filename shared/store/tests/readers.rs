//! Rows that cannot be read: every reader continues with the others.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

mod world;

use std::time::Duration;

use chrono::Utc;
use perch_jobs::JobId;
use perch_store::{JobFilter, Store, StoreError};
use perch_testkit::TestDatabase;
use sqlx::{AssertSqlSafe, PgPool};
use world::{ENV, job, queue};

/// Valid but nonsensical values for a column of a type.
fn odd(of_type: &str) -> &'static [&'static str] {
    match of_type {
        "timestamp with time zone" => &[
            "'-infinity'",
            "'infinity'",
            "'4713-01-02 BC'",
            "'294276-12-31'",
            "'262144-01-01'",
            "'10000-01-01'",
            "null",
        ],
        "integer" => &["-2147483648", "-1", "2147483647", "null"],
        "bigint" => &["-9223372036854775808", "-1", "9223372036854775807", "null"],
        "jsonb" | "json" => &["'null'", "'[]'", "'\"text\"'", "'1e400'", "'{}'", "null"],
        "text" => {
            &["''", "'odd'", "E'\\n\\u001b[2J'", "repeat('x', 2000)", "'7ZZZZZZZZZZZZZZZZZZZZZZZZZ'", "'{'", "null"]
        }
        "boolean" => &["true", "null"],
        other => panic!("say which values of a {other} are odd"),
    }
}

struct Planted {
    database: TestDatabase,
    store: Store,
}

impl Planted {
    /// A database without the constraints that keep odd values out, such as one restored from an unknown source.
    async fn start() -> Self {
        let database = TestDatabase::create().await;
        let raw = database.raw();
        sql(
            &raw,
            "do $$ declare k record; begin
                 for k in select conname, conrelid::regclass as name from pg_constraint where contype = 'c' and conrelid <> 0 loop
                     execute format('alter table %s drop constraint %I', k.name, k.conname);
                 end loop;
             end $$",
        )
        .await
        .unwrap();
        let store = database.store(ENV);
        Self { database, store }
    }

    async fn columns(&self) -> Vec<(String, String, String)> {
        sqlx::query_as(
            "select table_name::text, column_name::text, data_type::text from information_schema.columns
             where table_schema = 'public' and table_name in ('jobs', 'job_events', 'outbox') and column_name <> 'environment'
               and is_generated = 'NEVER'
             order by 1, 2",
        )
        .fetch_all(&self.database.raw())
        .await
        .unwrap()
    }

    /// Two jobs that are alike, with their events and rows of the outbox; the parent of both is the third.
    async fn jobs(&self) {
        let raw = self.database.raw();
        sql(&raw, "truncate jobs, job_events, outbox").await.unwrap();
        for id in [odd_one(), fine_one()] {
            let parent = job(9);
            sql(
                &raw,
                &format!(
                    "insert into jobs (environment, id, queue, kind, state, payload, envelope, parent, max_attempts, run_at,
                                       created_at, changed_at, finished_at)
                     values ('staging', '{id}', 'extraction', 'extract_post', 'dead', '{{}}', '{{\"kind\":\"k\",\"max\":1}}',
                             '{parent}', 3, now(), now(), now(), now());
                     insert into job_events (environment, queue, ms, seq, idx, job_id, kind, at, attempt, duration_ms, next_run)
                     values ('staging', 'extraction', 1, {seq}, 0, '{id}', 'started', now(), 1, null, null),
                            ('staging', 'extraction', 2, {seq}, 0, '{id}', 'dead', now(), 1, 5, now());
                     insert into outbox (environment, id, queue, kind, envelope)
                     values ('staging', '{id}', 'extraction', 'extract_post', '{{\"kind\":\"extract_post\",\"max\":1,\"payload\":1}}')",
                    seq = u8::from(id == fine_one()),
                ),
            )
            .await
            .unwrap();
        }
    }

    /// Calls every reader of these tables; returns the jobs found by those that list jobs.
    async fn read(&self, what: &str) -> Vec<Vec<JobId>> {
        let (history, recovery) = (self.store.history(), self.store.recovery());
        let told = |error: StoreError| {
            assert!(matches!(error, StoreError::Unreadable { .. }), "{what}: {error}");
        };
        for id in [odd_one(), fine_one()] {
            history.job(id).await.map_or_else(told, |_| ());
            history.attempts(id).await.unwrap();
            history.events(id).await.unwrap();
            self.store.idempotency_keys().accepted(id).await.map_or_else(told, |_| ());
        }
        let day = Duration::from_secs(86_400);
        let names = [queue()];
        let mut found = Vec::new();
        found.push(history.search(&JobFilter::default()).await.unwrap().iter().map(|job| job.id).collect());
        found.push(history.children(job(9)).await.unwrap().iter().map(|job| job.id).collect());
        let batch = self.store.outbox();
        let batch = batch.take(10).await.unwrap();
        found.push(batch.rows.iter().map(|row| row.id).collect());
        drop(batch);
        self.store.outbox().backlog().await.unwrap();
        sql(&self.database.raw(), "update outbox set handed_over_at = coalesce(handed_over_at, now())").await.unwrap();
        let some = recovery.unfinished(&names, None, 10, day).await.unwrap();
        assert!(some.unreadable.iter().all(|row| !row.reason.is_empty()), "{what}");
        found.push(some.jobs.iter().map(|job| job.restore.id).collect());
        recovery.restorable(&names, day).await.unwrap();
        recovery.ended(&[odd_one(), fine_one()]).await.unwrap();
        self.store.outbox().prune(day).await.unwrap();
        history.prune(Utc::now() - chrono::TimeDelta::days(1), 10).await.unwrap();
        found
    }
}

fn odd_one() -> JobId {
    job(1)
}

fn fine_one() -> JobId {
    job(2)
}

async fn sql(pool: &PgPool, text: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(pool).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_stands_in_one_row_every_reader_finds_the_others() {
    let planted = Planted::start().await;
    let mut tried = 0;
    for (table, column, of_type) in planted.columns().await {
        let key = if table == "job_events" { "job_id" } else { "id" };
        for value in odd(&of_type) {
            planted.jobs().await;
            let what = format!("{table}.{column} = {value}");
            let plant = format!("update {table} set {column} = {value} where {key} = '{}'", odd_one());
            // What must not be null.
            if sql(&planted.database.raw(), &plant).await.is_err() {
                continue;
            }
            tried += 1;
            for found in planted.read(&what).await {
                assert!(found.contains(&fine_one()), "{what}: {found:?}");
            }
        }
    }
    assert!(tried > 150, "{tried} values were tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_row_cannot_be_read_is_named_and_those_behind_it_are_put_back() {
    let planted = Planted::start().await;
    planted.jobs().await;
    let raw = planted.database.raw();
    sql(&raw, "update outbox set handed_over_at = now()").await.unwrap();
    sql(&raw, &format!("update jobs set state = 'delayed', run_at = '-infinity' where id = '{}'", odd_one()))
        .await
        .unwrap();
    let refused = planted.store.history().job(odd_one()).await.unwrap_err().to_string();
    assert!(refused.contains("run_at") && refused.contains("-infinity"), "{refused}");

    let (names, day) = ([queue()], Duration::from_secs(86_400));
    let first = planted.store.recovery().unfinished(&names, None, 1, day).await.unwrap();
    assert!(first.jobs.is_empty());
    let unread = &first.unreadable[0];
    assert_eq!((unread.id.as_str(), &unread.queue), (odd_one().to_string().as_str(), &queue()));
    assert!(unread.reason.contains("run_at"), "{unread:?}");
    let second = planted.store.recovery().unfinished(&names, first.next, 1, day).await.unwrap();
    assert_eq!(second.jobs[0].restore.id, fine_one());

    // An invalid id does not end a page either.
    sql(&raw, &format!("update jobs set id = '0' where id = '{}'", odd_one())).await.unwrap();
    let first = planted.store.recovery().unfinished(&names, None, 1, day).await.unwrap();
    assert_eq!(first.unreadable[0].id, "0");
    let second = planted.store.recovery().unfinished(&names, first.next, 1, day).await.unwrap();
    assert_eq!(second.jobs[0].restore.id, fine_one());
}
