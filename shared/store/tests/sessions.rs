//! Opening sessions with Postgres, and retiring those that can no longer be used.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use perch_base::{Environment, Paging, settings::PostgresSettings};
use perch_store::{AuditFilter, Store, StoreError};
use perch_testkit::{Gate, TestDatabase, postgres_settings};
use secrecy::SecretString;
use serde_json::json;
use sqlx::AssertSqlSafe;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const ENV: Environment = Environment::Staging;

/// Opens as many sessions as the store may have.
async fn warm(store: &Store, database: &TestDatabase) {
    let most = i64::from(postgres_settings().max_connections);
    let mut holding = database.raw().begin().await.unwrap();
    sqlx::query("lock table audit_log in exclusive mode").execute(&mut *holding).await.unwrap();
    // Each waits for the lock in a session of its own.
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
    // Like sessions with a demoted primary: reads go on, and they are not closed.
    alter(&database, "set default_transaction_read_only = on").await;
    let store = database.store(ENV);
    warm_reading(&store).await;
    alter(&database, "reset default_transaction_read_only").await;

    let refused = write(store.clone()).await.unwrap_err();
    assert!(refused.is_unavailable() && refused.to_string().contains("read-only"), "{refused}");
    for _ in 0..2 * postgres_settings().max_connections {
        write(store.clone()).await.unwrap();
    }
    let lines = store.audit().list(&AuditFilter::default(), &Paging::default()).await.unwrap().items;
    assert_eq!(lines.len(), 12);
}

/// Opens as many sessions as the store may have, using only reads.
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
    // It creates a table, which a read-only session must not.
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

/// A delay so long that the server seems to hang: it neither answers nor closes connections.
const FAR: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_holds_nobody_for_ever_and_its_sessions_are_given_up() {
    let database = TestDatabase::create().await;
    let (gate, url) = database.gated().await;
    let hasty = PostgresSettings { statement_timeout: Duration::from_secs(2), ..postgres_settings() };
    let store = Store::connect_lazy(&url, ENV, &hasty).unwrap();
    warm_reading(&store).await;
    gate.set_delay(FAR);
    let late = store.ping().await.unwrap_err();
    assert!(late.is_unavailable() && late.to_string().contains("no answer within 2s"), "{late}");
    gate.set_delay(Duration::ZERO);
    for _ in 0..2 * postgres_settings().max_connections {
        store.ping().await.unwrap();
    }

    gate.set_delay(FAR);
    let late = store.outbox().take(1).await.map(|_| ()).unwrap_err();
    assert!(late.is_unavailable(), "a transaction waits no longer: {late}");
    gate.set_delay(Duration::ZERO);
    store.outbox().take(1).await.map(|_| ()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_migration_one_call_is_refused_and_none_that_follows() {
    let database = TestDatabase::create().await;
    let store = database.store(ENV);
    let look = || async { store.effects().get("none").await };
    futures::future::try_join_all((0..postgres_settings().max_connections).map(|_| look())).await.unwrap();
    sqlx::query("alter table effects add column later text").execute(&database.raw()).await.unwrap();

    let refused = look().await.unwrap_err();
    assert!(refused.is_unavailable() && refused.to_string().contains("a migration changed the table"), "{refused}");
    for _ in 0..2 * postgres_settings().max_connections {
        assert_eq!(look().await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_said_a_fatal_error_is_not_used_again() {
    for (code, advice) in [("XX000", "is up"), ("53300", "no more connections"), ("25P03", "is up")] {
        let (port, opened) = server_that_ends_sessions(code).await;
        let url = SecretString::from(format!("postgres://somebody@127.0.0.1:{port}/some?sslmode=disable"));
        let store = Store::connect_lazy(&url, ENV, &postgres_settings()).unwrap();
        for calls in 1..=3 {
            let refused = store.ping().await.unwrap_err();
            assert!(refused.is_unavailable() && refused.to_string().contains(advice), "{code}: {refused}");
            assert_eq!(opened.load(Ordering::Relaxed), calls, "{code}");
        }
    }
}

/// Accepts every login and answers every statement with a fatal error. The connections stay open, as behind a proxy that has not
/// noticed yet. Returns its port and the count of connections.
async fn server_that_ends_sessions(code: &'static str) -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, opened) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU32::new(0)));
    let count = opened.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(end_session(client, code));
        }
    });
    (port, opened)
}

async fn end_session(mut client: TcpStream, code: &str) {
    let message = |kind: u8, body: &[u8]| {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind], length.as_slice(), body].concat()
    };
    let fatal = format!("SFATAL\0VFATAL\0C{code}\0Mthis session has ended\0\0");
    let welcome = [message(b'R', &[0; 4]), message(b'Z', b"I")].concat();
    let answers = std::iter::once(welcome).chain(std::iter::repeat(message(b'E', fatal.as_bytes())));
    let mut asked = [0; 4096];
    for answer in answers {
        let Ok(1..) = client.read(&mut asked).await else { return };
        client.write_all(&answer).await.unwrap();
    }
}
