//! What becomes of sessions with Postgres that are of no use any more, and how one is begun.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use std::time::Duration;

use perch_base::Environment;
use perch_store::{AuditFilter, Store, StoreError};
use perch_testkit::{Gate, TestDatabase, postgres_settings};
use secrecy::SecretString;
use serde_json::json;
use sqlx::AssertSqlSafe;

const ENV: Environment = Environment::Staging;

/// Opens as many sessions as the store may have.
async fn warm(store: &Store, database: &TestDatabase) {
    let most = i64::from(postgres_settings().max_connections);
    let mut holding = database.raw().begin().await.unwrap();
    sqlx::query("lock table audit_log in exclusive mode").execute(&mut *holding).await.unwrap();
    // Each waits for the lock, by a session of its own.
    let writes: Vec<_> = (0..most).map(|_| tokio::spawn(write(store.clone()))).collect();
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&database.raw()).await.unwrap() < most {
        pace.tick().await;
    }
    holding.commit().await.unwrap();
    for write in writes {
        write.await.unwrap().ok();
    }
}

async fn write(store: Store) -> Result<i64, StoreError> {
    store.audit().record("ann", "test", "session", &json!({})).await
}

async fn alter(database: &TestDatabase, change: &str) {
    let sql = format!("do $$ begin execute format('alter database %I {change}', current_database()); end $$");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&database.raw()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_may_only_read_are_given_up_with_the_first_write_that_is_refused() {
    let database = TestDatabase::create().await;
    // As those to a primary that was demoted: reads go on, and what the server says later does not reach them.
    alter(&database, "set default_transaction_read_only = on").await;
    let store = database.store(ENV);
    warm_reading(&store).await;
    alter(&database, "reset default_transaction_read_only").await;

    let refused = write(store.clone()).await.unwrap_err();
    assert!(refused.is_unavailable() && refused.to_string().contains("read-only"), "{refused}");
    for _ in 0..2 * postgres_settings().max_connections {
        write(store.clone()).await.unwrap();
    }
    let lines = store.audit().list(&AuditFilter { limit: 100, ..AuditFilter::default() }).await.unwrap();
    assert_eq!(lines.len(), 12);
}

/// Opens as many sessions as the store may have, by reads alone.
async fn warm_reading(store: &Store) {
    let most = usize::try_from(postgres_settings().max_connections).unwrap();
    let looked = || async { store.server().await.map(|_| ()) };
    futures::future::try_join_all((0..most).map(|_| looked())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_refused_gives_the_sessions_up_as_well() {
    let database = TestDatabase::create().await;
    alter(&database, "set default_transaction_read_only = on").await;
    let store = database.store(ENV);
    warm_reading(&store).await;
    alter(&database, "reset default_transaction_read_only").await;
    // It makes a table, which a session that may only read must not.
    store.try_to_write().await.unwrap_err();
    for _ in 0..postgres_settings().max_connections {
        store.try_to_write().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_server_ended_all_sessions_the_next_call_gets_a_new_one() {
    let database = TestDatabase::create().await;
    let store = database.store(ENV);
    warm(&store, &database).await;
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and application_name = 'perch' and pid <> pg_backend_pid()";
    let ended = sqlx::query(end).fetch_all(&database.raw()).await.unwrap().len();
    assert_eq!(ended, postgres_settings().max_connections as usize);
    let mut failed = 0;
    for _ in 0..2 * postgres_settings().max_connections {
        failed += u32::from(write(store.clone()).await.is_err());
    }
    assert!(failed <= 1, "{failed} calls failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_reached_by_its_ipv6_address() {
    let database = TestDatabase::create().await;
    let mut url = url::Url::parse(database.url()).unwrap();
    let Some(gate) = Gate::before_by_ipv6(url.port().unwrap_or(5432)).await else { return };
    url.set_host(Some("[::1]")).unwrap();
    url.set_port(Some(gate.port())).unwrap();
    assert!(url.as_str().contains("@[::1]:"), "{url}");
    let store = Store::connect_lazy(&SecretString::from(url.to_string()), ENV, &postgres_settings()).unwrap();
    store.require_schema().await.unwrap();
}
