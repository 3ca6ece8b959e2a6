//! What is promised about the schema of the database.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use std::time::Duration;

use perch_base::{Classified, Disposition, Environment, Paging, settings::PostgresSettings};
use perch_store::{AuditFilter, SchemaState, Store, StoreError, schema_version};
use perch_testkit::{TestDatabase, postgres_settings};
use secrecy::SecretString;

#[tokio::test]
async fn an_empty_database_is_refused_until_it_is_migrated() {
    let database = TestDatabase::empty().await;
    let store = database.store(Environment::Staging);
    assert_eq!(store.schema().await.unwrap(), SchemaState::Empty);
    let refusal = store.require_schema().await.unwrap_err().to_string();
    assert!(refusal.contains("perch migrate"), "{refusal}");

    let mut heard = Vec::new();
    let report = store.migrate(|step| heard.push(step.version)).await.unwrap();
    assert_eq!((report.from, report.to), (0, schema_version()));
    assert_eq!(heard, report.applied.iter().map(|step| step.version).collect::<Vec<_>>());
    store.require_schema().await.unwrap();
    assert!(store.migrate(|_| ()).await.unwrap().applied.is_empty());
}

#[tokio::test]
async fn processes_that_migrate_at_once_do_each_migration_once() {
    let database = TestDatabase::empty().await;
    let stores: Vec<Store> = (0..4).map(|_| database.store(Environment::Staging)).collect();
    let runs = stores.iter().map(|store| store.migrate(|_| ()));
    let reports = futures::future::try_join_all(runs).await.unwrap();
    let mut applied: Vec<i64> =
        reports.iter().flat_map(|report| report.applied.iter().map(|step| step.version)).collect();
    applied.sort_unstable();
    assert_eq!(applied.last(), Some(&schema_version()));
    assert!(applied.is_sorted_by(|a, b| a < b), "{applied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_waits_for_another_longer_than_a_statement_may_take() {
    let database = TestDatabase::create().await;
    let settings = PostgresSettings { statement_timeout: Duration::from_secs(2), ..postgres_settings() };
    let store = Store::connect_lazy(&database.secret_url(), Environment::Staging, &settings).unwrap();
    let mut other = database.raw().begin().await.unwrap();
    let holds = "select pg_advisory_xact_lock(hashtext('perch migrate'))";
    sqlx::raw_sql(holds).execute(&mut *other).await.unwrap();
    sqlx::raw_sql("lock table audit_log in exclusive mode").execute(&mut *other).await.unwrap();
    let migrating = tokio::spawn({
        let store = store.clone();
        async move { store.migrate(|_| ()).await }
    });
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'advisory'";
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&database.raw()).await.unwrap() == 0 {
        pace.tick().await;
    }
    // Another statement begins to wait later, and has waited long enough before.
    let late = store.audit().record("ann", "test", "patience", &serde_json::json!({})).await.unwrap_err();
    assert!(late.to_string().contains("no answer"), "{late}");
    other.commit().await.unwrap();
    migrating.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_database_of_an_older_release_names_the_command_that_mends_it() {
    let database = TestDatabase::create().await;
    let store = database.store(Environment::Staging);
    let raw = database.raw();
    sqlx::query("delete from _sqlx_migrations where version > 2").execute(&raw).await.unwrap();
    assert_eq!(store.schema().await.unwrap(), SchemaState::Behind { have: 2, need: schema_version() });
    let refusal = store.require_schema().await.unwrap_err();
    assert!(refusal.to_string().contains("run `perch migrate`"), "{refusal}");
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_left_alone_and_named_as_such() {
    let database = TestDatabase::create().await;
    let store = database.store(Environment::Staging);
    let raw = database.raw();
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9000, 'from the future', true, '\\x00', 0)",
    )
    .execute(&raw)
    .await
    .unwrap();
    let refusal = store.require_schema().await.unwrap_err();
    assert!(refusal.to_string().contains("newer release"), "{refusal}");
    assert_eq!(refusal.disposition(), Disposition::Never);
    assert!(matches!(store.migrate(|_| ()).await, Err(StoreError::SchemaNewer { have: 9000, .. })));
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_ran_is_refused() {
    let database = TestDatabase::create().await;
    let raw = database.raw();
    sqlx::query("update _sqlx_migrations set checksum = '\\x00' where version = 1").execute(&raw).await.unwrap();
    let refusal = database.store(Environment::Staging).migrate(|_| ()).await.unwrap_err();
    assert!(refusal.to_string().contains("modified"), "{refusal}");
}

#[tokio::test]
async fn a_server_that_is_away_is_told_from_one_that_refuses() {
    let url = SecretString::from(format!("postgres://nobody:secret@127.0.0.1:{}/none", perch_testkit::free_port()));
    let mut settings = postgres_settings();
    settings.acquire_timeout = Duration::from_millis(300);
    let store = Store::connect_lazy(&url, Environment::Staging, &settings).unwrap();
    let error = store.ping().await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");

    let database = TestDatabase::empty().await;
    let error = database
        .store(Environment::Staging)
        .audit()
        .list(&AuditFilter::default(), &Paging::default())
        .await
        .unwrap_err();
    assert!(!error.is_unavailable(), "{error}");
}

#[tokio::test]
async fn every_table_carries_the_environment_in_its_key() {
    let database = TestDatabase::create().await;
    let raw = database.raw();
    let without: Vec<String> = sqlx::query_scalar(
        "select t.table_name::text from information_schema.tables t
         where t.table_schema = 'public' and t.table_type = 'BASE TABLE' and t.table_name not in ('_sqlx_migrations', 'bot_migrations')
           and not exists (
               select 1 from information_schema.columns c
               where c.table_schema = 'public' and c.table_name = t.table_name and c.column_name = 'environment'
                 and c.is_nullable = 'NO')",
    )
    .fetch_all(&raw)
    .await
    .unwrap();
    assert!(without.is_empty(), "{without:?}");
    let open_unique_indexes: Vec<String> = sqlx::query_scalar(
        r"select indexname::text from pg_indexes
         where schemaname = 'public' and indexdef like 'CREATE UNIQUE%' and indexdef !~ '\(environment[,)]'
           and tablename not in ('_sqlx_migrations', 'bot_migrations') and indexname <> 'audit_log_pkey'",
    )
    .fetch_all(&raw)
    .await
    .unwrap();
    assert!(open_unique_indexes.is_empty(), "{open_unique_indexes:?}");
}
