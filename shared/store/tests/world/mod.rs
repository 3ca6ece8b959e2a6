//! A Redis and a Postgres of one's own, with a sync between them.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use perch_base::Environment;
use perch_jobs::{JobId, QueueName};
use perch_queue::Keys;
use perch_store::{Families, Recorded, Store, SyncReport, Syncer};
use perch_testkit::{TestDatabase, TestRedis};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

pub struct World {
    pub redis: TestRedis,
    pub database: TestDatabase,
    pub store: Store,
    pub conn: redis::aio::MultiplexedConnection,
}

pub const ENV: Environment = Environment::Staging;

pub fn queue() -> QueueName {
    QueueName::from_static("extraction")
}

pub fn stream() -> String {
    Keys::new(ENV, &queue()).events()
}

pub const HOT: &str = "stg:{sync_to_store}:hot";

/// A record of a bot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub id: String,
    pub text: String,
}

impl Note {
    const TABLE: &'static str = "create table notes (environment text, id text, text text, version_ms bigint,
                                                     version_seq bigint, primary key (environment, id))";
}

impl Recorded for Note {
    const FAMILY: &'static str = "notes";
    const DOING: &'static str = "store notes";
    const SQL: &'static str = "
        insert into notes select $1, id, text, version_ms, version_seq
        from jsonb_to_recordset($2::jsonb) as r(id text, text text, version_ms bigint, version_seq bigint)
        on conflict (environment, id) do update set
            text = excluded.text, version_ms = excluded.version_ms, version_seq = excluded.version_seq
        where (excluded.version_ms, excluded.version_seq) > (notes.version_ms, notes.version_seq)";

    fn key(&self) -> String {
        self.id.clone()
    }
}

impl World {
    pub async fn start() -> Self {
        Self::on(TestRedis::claim().await).await
    }

    pub async fn on(redis: TestRedis) -> Self {
        let database = TestDatabase::of(|store| store.with_records(Families::default().with::<Note>())).await;
        let (store, conn) = (database.store(ENV), redis.raw().await);
        sqlx::query(Note::TABLE).execute(&database.raw()).await.unwrap();
        Self { redis, database, store, conn }
    }

    pub fn syncer(&self, batch: usize) -> Syncer {
        Syncer::new(self.redis.door(), self.store.clone(), ENV, &[queue()], batch)
    }

    pub async fn sync(&self) -> SyncReport {
        self.syncer(100).run_once().await.unwrap()
    }

    /// Adds an entry at a time of one's choosing; answers its id.
    pub async fn event_at(&mut self, ms: u64, fields: &[(&str, JobId, &str)]) -> String {
        self.entry(&stream(), &format!("{ms}-*"), fields).await
    }

    pub async fn event(&mut self, word: &str, job: JobId, value: &str) -> String {
        self.entry(&stream(), "*", &[(word, job, value)]).await
    }

    async fn entry(&mut self, key: &str, id: &str, fields: &[(&str, JobId, &str)]) -> String {
        let fields: Vec<(String, &str)> =
            fields.iter().map(|(word, job, value)| (format!("{word} {job}"), *value)).collect();
        self.conn.xadd(key, id, &fields).await.unwrap()
    }

    pub async fn raw_entry(&mut self, key: &str, field: &str, value: &[u8]) -> String {
        self.conn.xadd(key, "*", &[(field, value)]).await.unwrap()
    }

    /// The texts of the notes in Postgres.
    pub async fn notes(&self) -> Vec<String> {
        self.notes_of("staging").await
    }

    pub async fn notes_of(&self, env: &str) -> Vec<String> {
        let texts = sqlx::query_scalar("select text from notes where environment = $1 order by id").bind(env);
        texts.fetch_all(&self.database.raw()).await.unwrap()
    }

    pub async fn count(&self, table: &'static str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        sqlx::query_scalar(sql).fetch_one(&self.database.raw()).await.unwrap()
    }
}

pub fn envelope(kind: &str) -> String {
    format!(r#"{{"kind":"{kind}","max":6,"group":"main","payload":{{"a":1}}}}"#)
}

/// The same id for the same number, within one run of a test.
pub fn job(n: u32) -> JobId {
    static START: LazyLock<DateTime<Utc>> = LazyLock::new(Utc::now);
    JobId::from_parts(*START, u128::from(n) + 1)
}

pub fn ms(time: Option<DateTime<Utc>>) -> i64 {
    time.unwrap().timestamp_millis()
}
