//! `perch_enqueue`, which runs with the rights of Perch for any role that may execute it.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use std::time::Duration;

use perch_base::Environment;
use perch_jobs::JobId;
use perch_queue::{Ledger as _, LedgerJob, OnConflict};
use perch_store::{OutboxContent, Store};
use perch_testkit::{TestDatabase, TestRole};
use sqlx::{AssertSqlSafe, PgPool};

const ENV: Environment = Environment::Staging;
const FINE: &str = r#"'publish_post', '{"account":"main","text":"x"}'"#;

/// A service that may execute it and nothing else, in a database with the kinds of this release.
async fn service() -> (TestDatabase, Store, TestRole) {
    let database = TestDatabase::create().await;
    let store = database.store(ENV);
    register(&store).await;
    let service = database.role().await;
    sql(&database.raw(), &format!("grant execute on function perch_enqueue to {}", service.name)).await.unwrap();
    (database, store, service)
}

async fn register(store: &Store) {
    store.outbox().register(&perch_jobs::types(), 10_000, Duration::from_secs(30 * 86_400)).await.unwrap();
}

async fn sql(pool: &PgPool, text: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(pool).await.map(|_| ())
}

async fn enqueue(pool: &PgPool, arguments: &str) -> Result<JobId, sqlx::Error> {
    let sql = AssertSqlSafe(format!("select perch_enqueue({arguments})"));
    let id: String = sqlx::query_scalar(sql).fetch_one(pool).await?;
    Ok(id.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_could_not_read_is_refused_by_name_where_it_is_asked_for() {
    let (_database, store, service) = service().await;
    let pool = service.raw();
    let cases = [
        ("run_at => '-infinity'", "run_at -infinity"),
        ("run_at => 'infinity'", "run_at infinity"),
        ("run_at => '4713-01-01 BC'", "run_at 4713-01-01"),
        ("deadline => 'infinity'", "deadline infinity"),
        ("deadline => '-infinity'", "deadline -infinity"),
        ("deadline => '0044-03-15 BC'", "deadline 0044-03-15"),
        ("deadline => '294276-12-31'", "deadline 294276"),
        (r"unique_key => E'a\nb'", "unique_key"),
        (r"unique_key => E'\u0085'", "unique_key"),
        (r"job_group => E'a\rb'", "job_group"),
        (r"job_group => E'\u001b[31m'", "job_group"),
        (r"job_group => ''", "job_group"),
    ];
    for (argument, wrong) in cases {
        let refused = enqueue(&pool, &format!("{FINE}, {argument}")).await.expect_err(argument).to_string();
        assert!(refused.contains("perch_enqueue: ") && refused.contains(wrong), "{argument}: {refused}");
    }
    let twice = r#"'publish_post', '{"account":"main","text":"x","text":"y"}'"#;
    let refused = enqueue(&pool, twice).await.unwrap_err().to_string();
    assert!(refused.contains("has text more than once"), "{refused}");
    assert_eq!(store.outbox().backlog().await.unwrap().waiting, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_handed_over_whatever_the_time_zone_of_the_caller() {
    let (_database, store, service) = service().await;
    let pool = service.raw();
    // Its offset was +0:19:32 until 1937, which parsers of JSON times reject.
    let zone = "set timezone = 'Europe/Amsterdam'; set datestyle = 'German'; set standard_conforming_strings = off";
    let mut conn = pool.acquire().await.unwrap();
    sqlx::raw_sql(zone).execute(&mut *conn).await.unwrap();
    let arguments = format!("{FINE}, run_at => '1900-01-01 00:00:00Z', deadline => '2100-01-01Z', unique_key => 'a b'");
    let asked = AssertSqlSafe(format!("select perch_enqueue({arguments})"));
    sqlx::query(asked).execute(&mut *conn).await.unwrap();
    let outbox = store.outbox();
    let batch = outbox.take(10).await.unwrap();
    let OutboxContent::Request(job, _) = &batch.rows[0].content else { panic!("{:?}", batch.rows[0]) };
    assert_eq!(job.options.run_at.unwrap().to_rfc3339(), "1900-01-01T00:00:00+00:00");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_has_a_time_that_a_reader_cannot_hold() {
    let (database, _, _) = service().await;
    let raw = database.raw();
    enqueue(&raw, FINE).await.unwrap();
    for planted in
        ["jobs set run_at = '-infinity'", "jobs set changed_at = '0044-01-01 BC'", "outbox set relay_at = 'infinity'"]
    {
        let refused = sql(&raw, &format!("update {planted}")).await.unwrap_err().to_string();
        assert!(refused.contains("times_are_readable"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_somebody_else_made_does_not_run_with_the_rights_of_perch() {
    let (database, _, service) = service().await;
    let raw = database.raw();
    sql(&raw, &format!("grant create on schema public to {}", service.name)).await.unwrap();
    let pool = service.raw();
    // Each matches its call in perch_enqueue better than the built-in one, and would be used if it were found.
    for made in [
        "octet_length(json) returns integer",
        "jsonb_build_object(text, text) returns jsonb",
        "json_build_object(text, json, text, jsonb) returns json",
        "left(text, integer) returns text",
        "perch_ulid() returns text",
        "clock_timestamp(integer) returns timestamptz",
    ] {
        let body = "begin execute format('create table stolen_by_%s ()', current_user); return null; end";
        let created = sql(&pool, &format!("create function public.{made} language plpgsql as $$ {body} $$")).await;
        if let Err(error) = created {
            assert!(error.to_string().contains("already exists"), "{made}: {error}");
        }
    }
    let thief = "create function public.stolen(text, text) returns boolean language plpgsql as
                 $$ begin execute 'create table stolen ()'; return true; end $$;
                 create operator public.!~ (leftarg = text, rightarg = text, function = public.stolen)";
    sql(&pool, thief).await.unwrap();
    sql(&pool, "create temporary table job_kinds (environment text, kind text)").await.unwrap();
    enqueue(&pool, &format!("{FINE}, unique_key => 'k', job_group => 'g'")).await.unwrap();
    let stolen: i64 =
        sqlx::query_scalar("select count(*) from pg_class where relname like 'stolen%'").fetch_one(&raw).await.unwrap();
    assert_eq!(stolen, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_that_runs_with_the_rights_of_its_owner_looks_names_up_in_the_catalog_alone() {
    let database = TestDatabase::create().await;
    let definers: Vec<(String, Option<Vec<String>>, bool)> = sqlx::query_as(
        "select proname::text, proconfig, has_function_privilege('public', oid, 'execute')
         from pg_proc where prosecdef and pronamespace = 'public'::regnamespace",
    )
    .fetch_all(&database.raw())
    .await
    .unwrap();
    assert!(!definers.is_empty());
    for (name, settings, by_everybody) in definers {
        let settings = settings.unwrap_or_default();
        assert!(settings.iter().any(|setting| setting == "search_path=pg_catalog, pg_temp"), "{name}: {settings:?}");
        assert!(!by_everybody, "{name} is for whom it is granted to");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_an_id_of_a_far_away_time_is_kept() {
    let (_database, store, service) = service().await;
    // Of the year 10889.
    let far = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";
    let id = enqueue(&service.raw(), &format!("{FINE}, id => '{far}'")).await.unwrap();
    assert!(store.history().job(id).await.unwrap().is_some());
    let (queue, kind) = ("pending_posts".parse().unwrap(), "publish_post".parse().unwrap());
    let envelope = r#"{"kind":"publish_post","max":3,"payload":{}}"#.to_owned();
    let id: JobId = "7ZZZZZZZZZZZZZZZZZZZZZZZZY".parse().unwrap();
    store.keep(&[LedgerJob { id, queue, kind, envelope, on_conflict: OnConflict::Keep }]).await.unwrap();
    assert!(store.history().job(id).await.unwrap().is_some());
}
