//! Idempotency keys of ledger queues: one key, one job, whatever is away meanwhile.

use std::collections::HashSet;

use perch_core::relay;
use perch_jobs::{JobKind, Unique, UniqueScope};
use perch_queue::{EnqueueOptions, Ledger as _, NewJob};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::{PATIENCE, Seen, World, seen};

fn post(text: &str) -> Value {
    json!({ "kind": "publish_post", "payload": { "account": "main", "text": text } })
}

fn poll() -> Value {
    json!({ "kind": "poll_account", "payload": { "username": "sharp_sally" } })
}

impl World {
    async fn with_key(&self, key: &str, job: &Value) -> Seen {
        seen(self.job(job).header("Idempotency-Key", key)).await
    }

    /// Jobs that Postgres keeps until Redis is back.
    async fn deferred(&self) -> u64 {
        self.store.outbox().backlog().await.expect("Postgres answers").waiting
    }

    async fn posts_in_redis(&self) -> u64 {
        self.queue("pending_posts").stats().await.expect("Redis answers").waiting()
    }

    /// Carries out a statement on the kept keys.
    async fn sql(&self, statement: &'static str) -> u64 {
        let pool = self.database.as_ref().expect("it is there").raw();
        sqlx::query(statement).execute(&pool).await.expect("Postgres answers").rows_affected()
    }
}

impl World {
    async fn lose_in_redis(&self, pattern: &str) {
        let redis = self.queue("extraction").redis().clone();
        let keys: Vec<String> = redis.cmd("look", redis::cmd("KEYS").arg(pattern)).await.expect("Redis answers");
        redis.cmd::<u64>("lose", redis::cmd("DEL").arg(keys)).await.expect("Redis answers");
    }

    /// As a process leaves the one key that there is in Redis when it is killed between the enqueue and its answer.
    async fn forget_answer_in_redis(&self) {
        let queue = self.queue("extraction");
        let mut keys = redis::cmd("KEYS");
        let keys: Vec<String> = queue.redis().cmd("look", keys.arg("stg:idempotency:*")).await.expect("Redis answers");
        let [key] = keys.as_slice() else { panic!("one key: {keys:?}") };
        let kept: String = queue.redis().cmd("read", redis::cmd("GET").arg(key)).await.expect("Redis answers");
        let mut kept: Value = serde_json::from_str(&kept).expect("JSON");
        kept.as_object_mut().expect("an object").remove("answer");
        let mut set = redis::cmd("SET");
        queue.redis().cmd::<()>("write", set.arg(key).arg(kept.to_string())).await.expect("Redis answers");
    }
}

/// What was answered, and whether it was answered before.
fn outcome(answer: &Seen) -> (u16, String, &str) {
    (answer.status.as_u16(), answer.id(), answer.header("idempotency-replayed"))
}

#[tokio::test]
async fn while_redis_is_away_a_ledger_queue_takes_a_request_with_a_key_once() {
    let world = World::without_redis().await;
    let first = world.with_key("k-1", &post("once")).await;
    assert_eq!((first.status.as_u16(), &first.json()["outcome"]), (202, &json!("deferred")), "{first:?}");
    let again = world.with_key("k-1", &post("once")).await;
    assert_eq!(outcome(&again), (200, first.id(), "true"), "{again:?}");
    let other = world.with_key("k-1", &post("twice")).await;
    assert_eq!(other.problem(422, "key-reused").0, "Idempotency-Key");
    assert_eq!(other.json()["job_id"], first.id());
    assert_eq!(world.deferred().await, 1);
    world.with_key("k-2", &poll()).await.problem(503, "unavailable");
}

#[tokio::test]
async fn a_key_stands_for_the_same_job_before_during_and_after_an_outage_of_redis() {
    let (gate, world) = World::gated().await;
    let before = world.with_key("before", &post("before")).await;
    assert_eq!((before.status.as_u16(), &before.json()["outcome"]), (201, &json!("accepted")), "{before:?}");

    gate.shut();
    let again = world.with_key("before", &post("before")).await;
    assert_eq!(outcome(&again), (200, before.id(), "true"), "{again:?}");
    let during = world.with_key("during", &post("during")).await;
    assert_eq!((during.status.as_u16(), &during.json()["outcome"]), (202, &json!("deferred")), "{during:?}");

    gate.open();
    // Whether the relay has handed it over by then makes no difference.
    for _ in 0..2 {
        let after = world.with_key("during", &post("during")).await;
        assert_eq!(outcome(&after), (200, during.id(), "true"), "{after:?}");
        world.sql("update outbox set relay_at = clock_timestamp()").await;
        relay::relay_some(&world.store, &world.client).await.expect("Postgres answers");
    }
    assert_eq!((world.deferred().await, world.posts_in_redis().await), (0, 2));
}

#[tokio::test]
async fn requests_that_race_with_one_key_are_one_job() {
    for world in [World::start().await, World::without_redis().await] {
        let job = post("raced");
        let answers = futures::future::join_all((0..8).map(|_| world.with_key("k", &job))).await;
        let ids: HashSet<String> = answers.iter().map(Seen::id).collect();
        assert!(answers.iter().all(|answer| answer.status.is_success()), "{answers:?}");
        assert_eq!(ids.len(), 1, "{answers:?}");
        assert_eq!(world.sql("update outbox set relay_at = relay_at").await, 1);
    }
}

#[tokio::test]
async fn a_repetition_after_an_answer_that_was_lost_finds_the_same_job_in_postgres() {
    for world in [World::start().await, World::without_redis().await] {
        let first = world.with_key("k", &post("a")).await;
        // As a process leaves it that is killed between the enqueue and its answer.
        assert_eq!(world.sql("update idempotency_keys set answer = null").await, 1);
        let again = world.with_key("k", &post("a")).await;
        assert_eq!(outcome(&again), (200, first.id(), "true"), "{again:?}");
        assert_eq!(again.json()["outcome"], first.json()["outcome"]);
        // As it leaves it that is killed before.
        assert_eq!(world.sql("update idempotency_keys set answer = null").await, 1);
        assert_eq!(world.sql("with gone as (delete from jobs) delete from outbox").await, 1);
        let again = world.with_key("k", &post("a")).await;
        assert_eq!((again.status.as_u16(), again.id()), (200, first.id()), "{again:?}");
        assert_eq!(world.sql("update outbox set relay_at = relay_at").await, 1);
    }
}

#[tokio::test]
async fn a_repetition_is_not_told_of_a_job_that_redis_has_lost_meanwhile() {
    let world = World::start().await;
    let first = world.with_key("k", &poll()).await.id();
    let queue = world.queue("extraction");
    // Postgres heard of it, and a failover of Redis lost it with the answer.
    let sql =
        "insert into jobs (environment, id, queue, kind, state, priority, payload, envelope, created_at, changed_at)
               values ('staging', $1, 'extraction', 'poll_account', 'running', 'normal', '{}', '{}', now(), now())";
    sqlx::query(sql)
        .bind(&first)
        .execute(&world.database.as_ref().expect("it is there").raw())
        .await
        .expect("Postgres answers");
    let id = first.parse().expect("an id");
    world.lose_in_redis("stg:{extraction}*").await;
    world.forget_answer_in_redis().await;
    let again = world.with_key("k", &poll()).await;
    assert_eq!(again.id(), first, "{again:?}");
    assert!(queue.job(id).await.expect("Redis answers").is_some(), "it is there again");
}

#[tokio::test]
async fn a_repetition_is_not_told_of_a_job_that_another_stands_for() {
    let world = World::start().await;
    let job = json!({ "kind": "publish_post", "payload": { "account": "main", "text": "a" }, "unique": { "key": "u", "scope": "done" } });
    let holder = world.enqueue(&job).await.id();
    assert_eq!(world.with_key("k", &job).await.id(), holder);
    // As a process leaves it that is killed before it has heard from Redis.
    let id = "01KAJ3Z8Q0V5N6T7R8S9W0X1Y2".parse().expect("an id");
    world.sql("update idempotency_keys set answer = null, job_id = '01KAJ3Z8Q0V5N6T7R8S9W0X1Y2'").await;
    let unique = Some(Unique { key: "u".into(), scope: UniqueScope::Done });
    let asked = NewJob {
        kind: JobKind::from_static("publish_post"),
        payload: serde_json::value::to_raw_value(&job["payload"]).expect("JSON"),
        options: EnqueueOptions { unique, ..EnqueueOptions::default() },
    };
    let kept = world.client.admit(id, asked).expect("it is fine");
    world.store.keep(&[kept]).await.expect("Postgres answers");

    let again = world.with_key("k", &job).await;
    assert_eq!((outcome(&again), &again.json()["outcome"]), ((200, holder, "true"), &json!("kept")), "{again:?}");
    assert_eq!((world.posts_in_redis().await, world.sql("update outbox set relay_at = relay_at").await), (1, 1));
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_whichever_queue_came_first() {
    let world = World::start().await;
    let ledger = world.with_key("k-1", &post("a")).await;
    let other = world.with_key("k-1", &poll()).await;
    other.problem(422, "key-reused");
    assert_eq!(other.json()["job_id"], ledger.id());

    let plain = world.with_key("k-2", &poll()).await;
    let other = world.with_key("k-2", &post("b")).await;
    other.problem(422, "key-reused");
    assert_eq!(other.json()["job_id"], plain.id());
    assert_eq!(world.with_key("k-2", &poll()).await.id(), plain.id());
    assert_eq!(world.posts_in_redis().await, 1);
}

#[tokio::test]
async fn a_key_is_known_after_its_queue_became_a_ledger_queue_or_ceased_to_be_one() {
    let turned = [("PERCH__QUEUES__EXTRACTION__LEDGER", "true"), ("PERCH__QUEUES__PENDING_POSTS__LEDGER", "false")];
    let world = World::start().await;
    let jobs = [("k-1", post("a")), ("k-2", poll())];
    let mut before = Vec::new();
    for (key, job) in &jobs {
        before.push(world.with_key(key, job).await.id());
    }
    let world = world.redeployed(&turned).await;
    for ((key, job), id) in jobs.iter().zip(before) {
        let again = world.with_key(key, job).await;
        assert_eq!(outcome(&again), (200, id, "true"), "{again:?}");
    }
}

#[tokio::test]
async fn a_refused_request_of_a_ledger_queue_may_come_back_corrected_with_its_key() {
    let world = World::without_redis().await;
    let empty = json!({ "kind": "publish_post", "payload": {} });
    world.with_key("k", &empty).await.problem(422, "invalid-payload");
    assert_eq!(world.with_key("k", &post("a")).await.status, 202);
}

#[tokio::test]
async fn a_key_that_has_run_out_is_a_new_one_and_its_row_is_removed() {
    let world = World::without_redis().await;
    let first = world.with_key("old", &post("a")).await;
    world.with_key("gone", &post("b")).await;
    world.sql("update idempotency_keys set expires_at = clock_timestamp()").await;
    let anew = world.with_key("old", &post("c")).await;
    assert_eq!(anew.status, 202, "{anew:?}");
    assert_ne!(anew.id(), first.id());
    world.store.outbox().prune(std::time::Duration::ZERO).await.expect("Postgres answers");
    assert_eq!(world.sql("update idempotency_keys set expires_at = expires_at").await, 1, "that of the other is gone");
}

/// What may stand under a key of Redis that no release of Perch wrote there, each as the command that plants it.
fn odd_values() -> Vec<redis::Cmd> {
    let text = |value: &[u8]| {
        let mut cmd = redis::cmd("SET");
        cmd.arg("KEY").arg(value);
        cmd
    };
    let other = |name: &str, args: &[&str]| {
        let mut cmd = redis::cmd(name);
        cmd.arg("KEY").arg(args);
        cmd
    };
    vec![
        text(b""),
        text(b"\xff\xfe\x00"),
        text(b"null"),
        text(b"{}"),
        text(br#"{"request":"a","id":"no id"}"#),
        text(br#"["a","01KAJ3Z8Q0V5N6T7R8S9W0X1Y2"]"#),
        other("RPUSH", &["a"]),
        other("SADD", &["a"]),
        other("ZADD", &["1", "a"]),
        other("HSET", &["a", "b"]),
        other("XADD", &["*", "a", "b"]),
    ]
}

#[tokio::test]
async fn a_key_whose_record_cannot_be_read_is_refused_at_once_and_holds_up_nothing() {
    let world = World::start().await;
    let keys = world.store.api_keys().list(&perch_base::Paging::default()).await.expect("Postgres answers").items;
    let producer = &keys.iter().find(|key| key.name == "producer").expect("it was made").id;
    let mut redis = world.redis.raw().await;
    for (n, planted) in odd_values().into_iter().enumerate() {
        for job in [poll(), post("a")] {
            let key = format!("odd-{n}-{}", job["kind"]);
            let hash = Sha256::digest(format!("{producer}\n{key}"));
            let hash: Vec<String> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            let name = format!("stg:idempotency:{}", hash.concat());
            let mut plant = redis::Cmd::new();
            for argument in planted.args_iter() {
                match argument {
                    redis::Arg::Simple(b"KEY") => plant.arg(&name),
                    redis::Arg::Simple(argument) => plant.arg(argument),
                    _ => unreachable!("no cursor is among them"),
                };
            }
            let _: redis::Value = plant.query_async(&mut redis).await.expect("it is planted");
            let answer = tokio::time::timeout(PATIENCE, world.with_key(&key, &job)).await.expect("it is answered");
            let (field, reason) = answer.problem(409, "conflict");
            assert!(field == "Idempotency-Key" && reason.contains("cannot be read"), "{plant:?}: {answer:?}");
        }
    }
    assert!(world.with_key("readable", &poll()).await.status.is_success());
    assert_eq!(world.posts_in_redis().await, 0);
}

#[tokio::test]
async fn an_answer_of_another_release_that_cannot_be_read_is_as_good_as_one_that_was_lost() {
    let world = World::start().await;
    let first = world.with_key("k", &poll()).await;
    let mut redis = world.redis.raw().await;
    let names: Vec<String> = redis::cmd("KEYS").arg("stg:idempotency:*").query_async(&mut redis).await.expect("Redis");
    let kept: String = redis::cmd("GET").arg(&names[0]).query_async(&mut redis).await.expect("Redis");
    let newer = kept.replace(r#""outcome":"accepted""#, r#""outcome":"in a word of tomorrow""#);
    assert_ne!(kept, newer);
    let _: () = redis::cmd("SET").arg(&names[0]).arg(newer).query_async(&mut redis).await.expect("Redis");
    let again = world.with_key("k", &poll()).await;
    assert_eq!(outcome(&again), (200, first.id(), "true"), "{again:?}");
}

#[tokio::test]
async fn while_postgres_is_away_a_ledger_queue_refuses_a_request_with_a_key() {
    let mut world = World::start().await;
    world.with_key("k", &post("a")).await.id();
    drop(world.database.take());
    world.with_key("k-1", &post("b")).await.problem(503, "unavailable");
    let plain = world.with_key("k-2", &poll()).await;
    assert_eq!(plain.status, 201, "{plain:?}");
}
