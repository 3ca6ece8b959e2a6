//! A promoted Postgres is told apart from the one before it.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use std::{process::Command, str::FromStr as _};

use perch_base::Environment;
use perch_store::Store;
use perch_testkit::{OwnPostgres, postgres_settings};
use secrecy::SecretString;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

fn store(server: &OwnPostgres) -> Store {
    let url = SecretString::from(server.url());
    Store::connect_lazy(&url, Environment::Staging, &postgres_settings()).unwrap()
}

async fn identity(server: &OwnPostgres) -> Option<String> {
    store(server).recovery().identity().await.unwrap()
}

fn signal(pid: i32, signal: &str) -> bool {
    Command::new("kill").args([signal, &pid.to_string()]).status().is_ok_and(|sent| sent.success())
}

/// A stopped process, which continues when this is dropped, however the test ends.
struct Stopped(i32);

impl Stopped {
    fn new(pid: i32) -> Self {
        assert!(signal(pid, "-STOP"));
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, "-CONT");
    }
}

/// The control file knows of a promotion only after the next checkpoint, which may take minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_shows_before_the_next_checkpoint() {
    let server = OwnPostgres::start();
    store(&server).migrate(|_| ()).await.unwrap();
    let before = identity(&server).await.expect("a superuser may ask");
    assert!(before.ends_with(":1"), "{before}");

    server.stand_by();
    assert_eq!(identity(&server).await, None, "what a standby will be shows when it is promoted");
    let options = PgConnectOptions::from_str(&server.url()).unwrap();
    let mut admin = PgConnection::connect_with(&options).await.unwrap();
    let checkpointer: i32 = sqlx::query_scalar("select pid from pg_stat_activity where backend_type = 'checkpointer'")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    let stopped = Stopped::new(checkpointer);
    let promoted: bool = sqlx::query_scalar("select pg_promote(true, 60)").fetch_one(&mut admin).await.unwrap();
    let known: i32 =
        sqlx::query_scalar("select timeline_id from pg_control_checkpoint()").fetch_one(&mut admin).await.unwrap();
    let after = identity(&server).await;
    drop(stopped);
    assert!(promoted);
    assert_eq!(known, 1, "the control file does not know of it");
    assert_eq!(after, Some(before.replace(":1", ":2")));
}
