//! The loss of Redis, and its return with an older copy.

use std::{collections::BTreeSet, time::Duration};

use perch_jobs::JobId;
use sqlx::Row;

use super::{Running, left, sandbox, start_worker_with, sync, until, world::World};

/// Holds for as long as thousands of posts take on a busy machine.
async fn until_long<Fut: Future<Output = bool>>(what: &str, holds: impl Fn() -> Fut) {
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let waited = tokio::time::timeout(Duration::from_secs(180), async {
        while !holds().await {
            pace.tick().await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: it did not come to that in three minutes");
}

fn poster(world: &World, sandbox: &perch_sandbox::Sandbox) -> Running {
    start_worker_with(
        world,
        sandbox,
        &[
            ("PERCH__QUEUES__PENDING_POSTS__CONCURRENCY", "16"),
            ("PERCH__QUEUES__PENDING_POSTS__GROUP_CONCURRENCY", "0"),
            ("PERCH__ANALYTICS__COLLECT_AFTER", r#"["7d"]"#),
        ],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_wiped_amid_five_thousand_ledger_jobs_and_each_post_is_made_once() {
    const POSTS: usize = 5_000;
    let world = World::start().await;
    let sandbox = sandbox().await;
    let state = sandbox.state();
    let lines: Vec<String> = (0..POSTS).map(|n| format!(r#"{{"account":"main","text":"Pick number {n}"}}"#)).collect();
    world.run_with(&["enqueue", "publish_post", "--ndjson"], &lines.join("\n")).went_well();

    let _worker = poster(&world, &sandbox);
    until_long("a part is done", || async { state.made().len() > 1_000 }).await;
    world.redis.wipe().await;
    let recovered = world.json(&["recover", "--yes"]);
    assert!(recovered["queues"]["pending_posts"]["restored"].as_u64().is_some_and(|n| n > 0), "{recovered}");
    until_long("the queue is empty", || async { left(&world, "pending_posts").await == 0 }).await;

    assert_eq!(world.queue("pending_posts").stats().await.expect("Redis answers").dead, 0);
    let texts: Vec<String> = state.made().into_iter().map(|post| post.text).collect();
    assert_eq!((texts.len(), texts.iter().collect::<BTreeSet<_>>().len()), (POSTS, POSTS), "each effect once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_lost_is_put_back_as_it_was_and_what_had_ended_is_not() {
    let world = World::start().await;
    let sandbox = sandbox().await;
    let worker = start_worker_with(&world, &sandbox, &[]);
    let done = world.json(&["enqueue", "publish_post", r#"{"account":"main","text":"done"}"#])["id"].clone();
    let dead = world.json(&["enqueue", "publish_post", r#"{"account":"main","text":" "}"#])["id"].clone();
    let queue = world.queue("pending_posts");
    until("one is done and one is dead", || async {
        left(&world, "pending_posts").await == 0 && queue.stats().await.expect("Redis answers").dead == 1
    })
    .await;
    let later =
        world.json(&["enqueue", "publish_post", r#"{"account":"main","text":"later"}"#, "--in", "1h"])["id"].clone();
    sync(&world);
    let pool = world.database.raw();
    until("Postgres knows how they ended", || async {
        let row = sqlx::query("select count(*) from jobs where queue = 'pending_posts' and state in ('done', 'dead')");
        row.fetch_one(&pool).await.expect("Postgres answers").get::<i64, _>(0) == 2
    })
    .await;
    drop(worker);
    world.redis.wipe().await;

    let doctor = world.run(&["doctor"]);
    let planned = world.json(&["recover", "--dry-run"]);
    assert_eq!(queue.stats().await.expect("Redis answers").dead, 0, "a dry run changes nothing: {planned}");
    let recovered = world.json(&["recover", "--yes"]);
    assert_eq!(recovered["queues"]["pending_posts"], planned["queues"]["pending_posts"]);
    assert_eq!(
        (&recovered["queues"]["pending_posts"]["restored"], &recovered["queues"]["pending_posts"]["dead_letters"]),
        (&1.into(), &1.into()),
        "{recovered} {doctor:?}"
    );
    let id = |value: &serde_json::Value| value.as_str().and_then(|id| id.parse::<JobId>().ok()).expect("an id");
    assert!(queue.job(id(&later)).await.expect("Redis answers").is_some_and(|job| job.due.is_some()));
    let letter = queue.dead_letter(id(&dead)).await.expect("Redis answers").expect("it is a dead letter again");
    assert!(letter.errors.first().and_then(|e| e.error.clone()).is_some_and(|e| e.contains("empty")), "{letter:?}");
    assert!(queue.job(id(&done)).await.expect("Redis answers").is_none());
    assert_eq!(world.json(&["recover", "--yes"])["queues"], serde_json::json!({}), "there is nothing more to do");
    assert_eq!(world.json(&["audit", "list"])["items"][0]["action"], "recover");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_an_older_copy_of_redis_brings_back_after_its_end_is_removed() {
    let world = World::start().await;
    let id = world.json(&["enqueue", "publish_post", r#"{"account":"main","text":"twice?"}"#])["id"].clone();
    sync(&world);
    // As if it had been done after the copy was made.
    let pool = world.database.raw();
    sqlx::query("update jobs set state = 'done', version_ms = 9000000000000 where queue = 'pending_posts'")
        .execute(&pool)
        .await
        .expect("Postgres answers");
    let recovered = world.json(&["recover", "--yes"]);
    assert_eq!(recovered["queues"]["pending_posts"]["removed"], 1, "{recovered} {id}");
    assert_eq!(left(&world, "pending_posts").await, 0);
    let sandbox = sandbox().await;
    let _worker = poster(&world, &sandbox);
    world.json(&["enqueue", "publish_post", r#"{"account":"main","text":"another"}"#]);
    until("another is made", || async { !sandbox.state().made().is_empty() }).await;
    assert_eq!(sandbox.state().made().len(), 1, "the one that was removed never ran");
}
