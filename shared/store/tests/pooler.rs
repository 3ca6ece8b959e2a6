//! Working through a pooler in transaction mode, which assigns a server session to each transaction.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

mod world;

use std::time::Duration;

use perch_base::{Environment, Paging};
use perch_jobs::JobId;
use perch_queue::{Ledger as _, LedgerJob, OnConflict};
use perch_store::{AuditFilter, Claim, EffectIntent, IdempotentRequest, Notification, Store, Syncer, request_digest};
use perch_testkit::{Pooler, TestDatabase, postgres_settings};
use secrecy::SecretString;
use serde_json::json;
use sqlx::{Connection as _, PgConnection, Row as _};
use world::{ENV, World, envelope, job, queue};

/// A store that reaches the database through the pooler, with another address for what needs a session.
fn store(pooler: &Pooler, database: &TestDatabase) -> Store {
    let store = Store::connect_lazy(&pooler.secret_url(database), ENV, &postgres_settings()).unwrap();
    store.with_sessions_at(&database.secret_url(), &postgres_settings()).unwrap()
}

fn ledger_job(id: JobId) -> LedgerJob {
    let (queue, kind) = (queue(), "extract_post".parse().unwrap());
    LedgerJob { id, queue, kind, envelope: envelope("extract_post"), on_conflict: OnConflict::Keep }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_share_sessions_never_meet_each_others_statements() {
    let (pooler, database) = (Pooler::with_sessions(2).await, TestDatabase::create().await);
    let clients = (0..8).map(|n| {
        let store = store(&pooler, &database);
        tokio::spawn(async move {
            let actor = format!("client {n}");
            for round in 0..12_u32 {
                let line = store.audit().record(&actor, "test", "pooler", &json!({ "round": round })).await.unwrap();
                let mine = AuditFilter { actor: Some(actor.clone()), ..AuditFilter::default() };
                let lines = store.audit().list(&mine, &Paging::default()).await.unwrap().items;
                assert_eq!((lines[0].id, lines.len()), (line, round as usize + 1));
                let id = job(n * 100 + round);
                store.keep(&[ledger_job(id)]).await.unwrap();
                store.settle(&[id], &[]).await.unwrap();
                assert_eq!(store.idempotency_keys().accepted(id).await.unwrap(), None, "it has not ended");
                let found = store.history().job(id).await.unwrap().unwrap();
                assert_eq!(found.id, id);
            }
        })
    });
    futures::future::try_join_all(clients.collect::<Vec<_>>()).await.unwrap();
    let store = store(&pooler, &database);
    assert_eq!(store.outbox().backlog().await.unwrap().waiting, 0);
    nothing_is_left_with_the_sessions(&pooler, &database, 2).await;
}

/// No statement prepared by name, no setting, in any session that the pooler has with the server.
async fn nothing_is_left_with_the_sessions(pooler: &Pooler, database: &TestDatabase, sessions: usize) {
    let mut held = Vec::new();
    for _ in 0..sessions {
        let options: sqlx::postgres::PgConnectOptions = pooler.url(database).parse().unwrap();
        let mut conn = PgConnection::connect_with(&options.extra_float_digits(None)).await.unwrap();
        // An open transaction keeps its session, so the next one gets another.
        sqlx::raw_sql("begin").execute(&mut conn).await.unwrap();
        let seen = sqlx::raw_sql(
            "select (select count(*) from pg_prepared_statements)::text as prepared,
                    current_setting('idle_in_transaction_session_timeout') as lets_go,
                    (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())::text as locks",
        )
        .fetch_one(&mut conn)
        .await
        .unwrap();
        let seen: [String; 3] = ["prepared", "lets_go", "locks"].map(|name| seen.get(name));
        assert_eq!(seen, ["0", "0", "0"]);
        held.push(conn);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_is_migrated_through_the_pooler() {
    let (pooler, database) = (Pooler::with_sessions(2).await, TestDatabase::empty().await);
    let stores: Vec<Store> = (0..3).map(|_| store(&pooler, &database)).collect();
    let reports = futures::future::try_join_all(stores.iter().map(|store| store.migrate(|_| ()))).await.unwrap();
    let applied: usize = reports.iter().map(|report| report.applied.len()).sum();
    assert_eq!(applied, usize::try_from(perch_store::schema_version()).unwrap());
    stores[0].require_schema().await.unwrap();
    nothing_is_left_with_the_sessions(&pooler, &database, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_of_effects_the_sync_and_the_outbox_work_through_the_pooler() {
    let pooler = Pooler::with_sessions(2).await;
    let mut world = World::start().await;
    let store = store(&pooler, &world.database);
    world.event("enqueued", job(1), &envelope("extract_post")).await;
    world.event("succeeded", job(1), r#"{"attempt":1}"#).await;
    world.event("enqueued", job(2), "{").await;
    let syncer = Syncer::new(world.redis.door(), store.clone(), ENV, &[queue()], 100);
    assert_eq!(syncer.run_once().await.unwrap().events, 3);
    assert_eq!(store.history().attempts(job(1)).await.unwrap().len(), 1);

    let intent = EffectIntent {
        key: "comment:main:1".into(),
        kind: "post".into(),
        account: "main".into(),
        digest: request_digest(&["text"]),
        job: job(1),
        attempt: 1,
        holder: "worker".into(),
        live: true,
    };
    let Claim::Granted(permit) = store.effects().claim(&intent).await.unwrap() else { panic!("nobody has it") };
    store.effects().confirm(&permit, Some("42"), &json!({})).await.unwrap();
    assert!(matches!(store.effects().claim(&intent).await.unwrap(), Claim::Done(_)));

    store.keep(&[ledger_job(job(3))]).await.unwrap();
    sqlx::query("update outbox set relay_at = clock_timestamp()").execute(&world.database.raw()).await.unwrap();
    let outbox = store.outbox();
    let batch = outbox.take(10).await.unwrap();
    assert_eq!(batch.rows.len(), 1);
    batch.settle(&[], &[(job(3), "another stands for it".into())], &[]).await.unwrap();
    assert_eq!(store.outbox().backlog().await.unwrap().waiting, 0);

    let alone = store.recovery().lock(Duration::from_secs(20)).await.unwrap();
    drop(alone);
    let mine = IdempotentRequest { request: "b".repeat(64), job: job(4), answer: None };
    let day = Duration::from_secs(86_400);
    assert_eq!(store.idempotency_keys().claim(&"a".repeat(64), &mine, day).await.unwrap(), None);
    nothing_is_left_with_the_sessions(&pooler, &world.database, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_written_in_a_transaction_of_the_caller_that_leads_through_the_pooler() {
    let (pooler, database) = (Pooler::with_sessions(1).await, TestDatabase::create().await);
    let store = store(&pooler, &database);
    let options: sqlx::postgres::PgConnectOptions = pooler.url(&database).parse().unwrap();
    let mut conn = PgConnection::connect_with(&options.extra_float_digits(None)).await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    store.outbox().enqueue_in(&mut tx, &[ledger_job(job(1))]).await.unwrap();
    tx.commit().await.unwrap();
    conn.close().await.unwrap();
    assert_eq!(store.outbox().backlog().await.unwrap().waiting, 1);
    nothing_is_left_with_the_sessions(&pooler, &database, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_jobs_are_heard_of_by_a_session_past_the_pooler_and_looked_for_without_one() {
    let (pooler, database) = (Pooler::with_sessions(2).await, TestDatabase::create().await);
    let tell = || async {
        sqlx::query("select pg_notify('perch_outbox', 'staging')").execute(&database.raw()).await.unwrap();
    };
    let mut listener = store(&pooler, &database).outbox().listen().await;
    tell().await;
    assert_eq!(listener.next(Duration::from_secs(600)).await, Notification::Received("staging".to_owned()));

    let url = SecretString::from(format!("{}?pgbouncer=true", pooler.url(&database)));
    let without = Store::connect_lazy(&url, Environment::Staging, &postgres_settings()).unwrap();
    let mut deaf = without.outbox().listen().await;
    tell().await;
    assert_eq!(deaf.next(Duration::from_millis(100)).await, Notification::Timeout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_address_that_is_a_pooler_too_is_refused() {
    let database = TestDatabase::create().await;
    let url = SecretString::from("postgres://perch@db.internal:6543/perch");
    let refused = database.store(ENV).with_sessions_at(&url, &postgres_settings()).unwrap_err().to_string();
    assert!(refused.contains("DATABASE_SESSION_URL") && refused.contains("transaction mode"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_was_not_told_of_is_named_with_what_to_set() {
    let (pooler, database) = (Pooler::with_sessions(1).await, TestDatabase::create().await);
    let untold = || Store::connect_lazy(&pooler.secret_url(&database), ENV, &postgres_settings()).unwrap();
    let (one, other) = (untold(), untold());
    one.audit().list(&AuditFilter::default(), &Paging::default()).await.unwrap();
    // The name of its first prepared statement is already taken by the other client's.
    let refused = other.ping().await.unwrap_err();
    assert!(!refused.is_unavailable(), "{refused}");
    let refused = refused.to_string();
    assert!(refused.contains("DATABASE_SESSION_URL") && refused.contains("pgbouncer=true"), "{refused}");
}
