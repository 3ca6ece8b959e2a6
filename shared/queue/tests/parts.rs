//! Jobs beyond those that lie together lie in parts: whoever looks for a job finds it wherever it lies.

mod support;

use std::{collections::BTreeSet, time::Duration};

use chrono::{TimeDelta, Utc};
use perch_base::{Clock, settings::History};
use perch_jobs::{JobId, Priority};
use perch_queue::{
    Cancellation, EnqueueOptions, Envelope, Fail, JobState, NewJob, Restore,
    testing::{self, End},
    worker::{HandlerResult, Handlers},
};
use support::{Chore, Seen, World, eventually};

const TOGETHER: usize = 4;

async fn world() -> World {
    World::with(|_, engine| engine.jobs_together = TOGETHER, Clock::system()).await
}

/// Ids made 40 ms apart, the last one now.
fn ids(n: u32) -> Vec<JobId> {
    let now = Utc::now();
    (0..n).rev().map(|before| JobId::at(now - TimeDelta::milliseconds(i64::from(before) * 40))).collect()
}

/// Ids of which as many as lie together were made in one millisecond, and each other in one of its own, the last one now.
fn fast_ids(n: u32) -> Vec<JobId> {
    let now = Utc::now();
    let apart = i64::from(n) - i64::try_from(TOGETHER).expect("few");
    (0..i64::from(n)).rev().map(|before| JobId::at(now - TimeDelta::milliseconds(before.min(apart)))).collect()
}

/// Ids whose jobs lie in parts of 32 ms, and such whose jobs lie in parts of one.
fn both_ids(n: u32) -> [Vec<JobId>; 2] {
    [ids(n), fast_ids(n)]
}

async fn enqueue(world: &World, ids: &[JobId]) {
    for (id, n) in ids.iter().zip(0..) {
        let options = EnqueueOptions { id: Some(*id), ..EnqueueOptions::default() };
        world.client.enqueue_with(&Chore::number(n), options).await.expect("accepted");
    }
}

/// Runs everything; answers which jobs ran.
async fn run_all(world: &World) -> BTreeSet<u64> {
    let seen = Seen::new();
    let record = seen.clone();
    let working = world.work(Handlers::new().on(move |chore: Chore| {
        record.push(chore.n);
        async { HandlerResult::Ok(()) }
    }));
    world.drained().await;
    working.stop().await;
    seen.all().into_iter().collect()
}

async fn keys(world: &World, what: &str) -> Vec<String> {
    let mut all = redis::cmd("KEYS");
    all.arg(format!("{}{what}", world.queue.keys().base()));
    all.query_async(&mut world.redis.raw().await).await.expect("KEYS")
}

#[tokio::test]
async fn parts_are_as_narrow_as_the_first_jobs_came_fast() {
    for (ids, width, field) in [(ids(10), 9, "from"), (fast_ids(10), 10, "from_ms")] {
        let world = world().await;
        enqueue(&world, &ids).await;
        let mut parts: Vec<String> = ids[TOGETHER..].iter().map(|id| id.to_string()[..width].to_owned()).collect();
        let named = parts.iter().map(|name| format!("{}{name}", world.queue.keys().part()));
        assert_eq!(keys(&world, "jobs:*").await.into_iter().collect::<BTreeSet<_>>(), named.collect());
        parts.push(field.to_owned());
        let mut fields = redis::cmd("HKEYS");
        fields.arg(world.queue.keys().parts());
        let fields: BTreeSet<String> = fields.query_async(&mut world.redis.raw().await).await.expect("HKEYS");
        assert_eq!(fields, parts.into_iter().collect());
    }
}

#[tokio::test]
async fn whoever_looks_for_a_job_finds_it_wherever_it_lies() {
    for ids in both_ids(10) {
        find(&world().await, &ids).await;
    }
}

async fn find(world: &World, ids: &[JobId]) {
    enqueue(world, ids).await;
    let listed = world.queue.list(JobState::Waiting, 0, 100).await.expect("Redis");
    assert_eq!(listed.iter().map(|view| view.id).collect::<Vec<_>>(), ids);
    for id in ids {
        assert!(world.queue.job(*id).await.expect("Redis").is_some_and(|view| view.envelope.contains("chore")));
    }
    let stranger = JobId::at(Utc::now());
    let asked: Vec<JobId> = ids.iter().copied().chain([stranger]).collect();
    assert_eq!(world.queue.missing(&asked).await.expect("Redis"), [stranger]);
    let mut told = BTreeSet::new();
    world.queue.scan(|some| told.extend(some)).await.expect("Redis");
    assert_eq!(told, ids.iter().copied().collect());
    assert_eq!(world.queue.cancel(ids[9], "ann", "not wanted").await.expect("Redis"), Cancellation::Cancelled);
    assert!(world.queue.job(ids[9]).await.expect("Redis").is_none());
}

#[tokio::test]
async fn an_id_is_accepted_once_wherever_it_lies() {
    for ids in both_ids(10) {
        give_twice(&world().await, &ids).await;
    }
}

async fn give_twice(world: &World, ids: &[JobId]) {
    for _ in 0..2 {
        enqueue(world, ids).await;
        let bulk = ids.iter().zip(0..).map(|(id, n)| {
            let options = EnqueueOptions { id: Some(*id), ..EnqueueOptions::default() };
            NewJob::of(&Chore::number(n)).expect("JSON").with(options)
        });
        assert!(world.client.submit_all(bulk.collect()).await.iter().all(Result::is_ok));
        let restores: Vec<Restore> = ids.iter().map(|id| lost(*id)).collect();
        assert_eq!(world.queue.restore(&restores).await.expect("Redis").0, 0);
    }
    assert_eq!(world.queue.stats().await.expect("Redis").waiting(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_enqueued_in_bulk_lie_where_their_ids_say_and_wait_in_their_order() {
    for first in both_ids(u32::try_from(TOGETHER).expect("few")) {
        enqueue_in_bulk(&first).await;
    }
}

async fn enqueue_in_bulk(first: &[JobId]) {
    const AT_ONCE: u64 = 3_000;
    let world = World::with(
        |queue, engine| (queue.history, engine.jobs_together) = (History::Failures, TOGETHER),
        Clock::system(),
    )
    .await;
    enqueue(&world, first).await;
    let mut ids: Vec<String> = first.iter().map(ToString::to_string).collect();
    let mut jobs = ids.len() as u64;
    // Until there are some parts: a call whose jobs were made across the end of one has jobs of two.
    while keys(&world, "jobs:*").await.len() < 4 {
        let some = (jobs..jobs + AT_ONCE).map(|n| NewJob::of(&Chore::number(n)).expect("JSON")).collect();
        let answers = world.client.submit_all(some).await;
        ids.extend(answers.into_iter().map(|answer| answer.expect("accepted").id.to_string()));
        jobs += AT_ONCE;
    }

    let mut conn = world.redis.raw().await;
    let mut waiting = redis::cmd("LRANGE");
    waiting.arg(world.queue.keys().ready(Priority::Normal)).arg(0).arg(-1);
    let waiting: Vec<String> = waiting.query_async(&mut conn).await.expect("LRANGE");
    assert!(waiting == ids, "they wait in another order");
    let mut together = redis::cmd("HLEN");
    let mut found: usize = together.arg(world.queue.keys().jobs()).query_async(&mut conn).await.expect("HLEN");
    for part in keys(&world, "jobs:*").await {
        let there: Vec<String> = redis::cmd("HKEYS").arg(&part).query_async(&mut conn).await.expect("HKEYS");
        let name = part.rsplit(':').next().expect("a name");
        assert!(there.iter().all(|id| id.starts_with(name)), "{part}: {there:?}");
        found += there.len();
    }
    assert_eq!(found, ids.len());
    let ran = run_all(&world).await;
    assert_eq!(ran, (0..jobs).collect());
    assert_eq!(keys(&world, "jobs*").await, Vec::<String>::new());
}

fn lost(id: JobId) -> Restore {
    let envelope = r#"{"v":1,"kind":"chore","max":1,"payload":{"n":1}}"#.to_owned();
    Restore { id, envelope, run_at: None, attempts: 0, error: None, died_at: None }
}

/// Some that need more than a place in a list are among them, and a cancelled one is still in its list.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_call_in_which_parts_begin_are_found() {
    let world = world().await;
    let ids = ids(20);
    enqueue(&world, &ids[..3]).await;
    assert_eq!(world.queue.cancel(ids[0], "ann", "not wanted").await.expect("Redis"), Cancellation::Cancelled);
    let jobs = ids[3..].iter().zip(3..).map(|(id, n)| {
        let priority = (n % 4 == 0).then_some(Priority::High);
        NewJob::of(&Chore::number(n)).expect("JSON").with(EnqueueOptions {
            id: Some(*id),
            priority,
            ..EnqueueOptions::default()
        })
    });
    assert!(world.client.submit_all(jobs.collect()).await.iter().all(Result::is_ok));
    let ran = run_all(&world).await;
    assert_eq!(ran, (1..20).collect());
    assert_eq!(keys(&world, "jobs*").await.len() + keys(&world, "parts").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_gone_once_their_jobs_are_and_the_dead_keep_theirs() {
    for ids in both_ids(12) {
        let world = world().await;
        enqueue(&world, &ids).await;
        let dead = run_all_but_the_last(&world).await;
        assert_eq!(keys(&world, "jobs*").await.len(), 1);
        assert_eq!(world.queue.discard(&[dead], "ann").await.expect("Redis"), 1);
        assert_eq!(keys(&world, "jobs*").await.len() + keys(&world, "parts").await.len(), 0);
        assert!(keys(&world, "dead_attempts").await.is_empty());
    }
}

async fn run_all_but_the_last(world: &World) -> JobId {
    let working = world.work(
        Handlers::new()
            .on(|chore: Chore| async move { if chore.n == 11 { Err(Fail::Dead("unlucky".into())) } else { Ok(()) } }),
    );
    world.drained().await;
    eventually("one is dead", || async { world.queue.stats().await.expect("Redis").dead == 1 }).await;
    working.stop().await;
    let letters = world.queue.dead_page(None, 10).await.expect("Redis").letters;
    assert_eq!((letters.len(), letters[0].attempts), (1, 1));
    assert!(letters[0].envelope.as_ref().is_some_and(|envelope| envelope.contains("chore")));
    letters[0].id
}

#[tokio::test]
async fn parts_that_were_never_needed_are_closed_by_the_next_pruning() {
    let world = world().await;
    let ids = ids(u32::try_from(TOGETHER).expect("few"));
    enqueue(&world, &ids).await;
    assert_eq!(keys(&world, "parts").await.len(), 1);
    world.queue.prune_some().await.expect("Redis");
    assert_eq!(keys(&world, "parts").await.len(), 1, "many still lie together");
    world.queue.cancel(ids[0], "ann", "not wanted").await.expect("Redis");
    world.queue.prune_some().await.expect("Redis");
    assert!(keys(&world, "parts").await.is_empty());
}

#[tokio::test]
async fn there_are_no_parts_while_a_worker_of_an_older_version_is_there() {
    let world = world().await;
    testing::introduce(&world.queue, "older", r#"{"version":"0.1.0"}"#).await.expect("Redis");
    testing::introduce(&world.queue, "newer", NEWEST).await.expect("Redis");
    enqueue(&world, &ids(6)).await;
    assert!(keys(&world, "parts").await.is_empty());
    testing::leave(&world.queue, "older").await.expect("Redis");
    enqueue(&world, &ids(2)).await;
    assert_eq!(keys(&world, "parts").await.len(), 1);
}

const NEWEST: &str = r#"{"version":"0.1.0","parts":true,"parts_of_ms":true}"#;

#[tokio::test]
async fn parts_are_wide_while_a_worker_is_there_that_knows_no_others() {
    for (about, width) in [(r#"{"version":"0.1.0","parts":true}"#, 9), (NEWEST, 10)] {
        let world = world().await;
        testing::introduce(&world.queue, "newest", NEWEST).await.expect("Redis");
        testing::introduce(&world.queue, "other", about).await.expect("Redis");
        enqueue(&world, &fast_ids(4)).await;
        enqueue(&world, &[JobId::at(Utc::now() + TimeDelta::milliseconds(40))]).await;
        let parts = keys(&world, "jobs:*").await;
        let prefix = world.queue.keys().part();
        assert!(!parts.is_empty() && parts.iter().all(|part| part.len() == prefix.len() + width), "{parts:?}");
    }
}

#[tokio::test]
async fn every_worker_says_which_parts_it_knows() {
    let world = world().await;
    let working = world.work(Handlers::new().on(|_: Chore| async { Ok::<(), Fail>(()) }));
    let about = || async {
        let mut about = redis::cmd("HVALS");
        about.arg(world.queue.keys().worker_info());
        about.query_async::<Vec<String>>(&mut world.redis.raw().await).await.expect("HVALS")
    };
    eventually("it is known", || async { !about().await.is_empty() }).await;
    let about = about().await.concat();
    assert!(about.contains(r#""parts":true"#) && about.contains(r#""parts_of_ms":true"#), "{about}");
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_an_older_version_stores_beside_parts_runs_like_any_other() {
    for ids in both_ids(6) {
        let world = world().await;
        enqueue(&world, &ids).await;
        run_one_of_an_older_version(&world).await;
    }
}

async fn run_one_of_an_older_version(world: &World) {
    let id = JobId::at(Utc::now() + TimeDelta::seconds(1)).to_string();
    let keys_of = world.queue.keys();
    let mut pipe = redis::pipe();
    pipe.hset(keys_of.jobs(), &id, r#"{"v":1,"kind":"chore","max":1,"payload":{"n":7}}"#).ignore();
    pipe.rpush(keys_of.ready(Priority::Normal), &id).ignore();
    pipe.exec_async(&mut world.redis.raw().await).await.expect("Redis");
    assert!(run_all(world).await.contains(&7));
    assert!(keys(world, "jobs*").await.is_empty());
}

#[tokio::test]
async fn parts_begin_though_no_list_is_long_where_many_wait_for_another_attempt() {
    let world = world().await;
    for id in ids(8) {
        enqueue(&world, &[id]).await;
        let fetched = testing::fetch(&world.queue, "steps", 1, 0).await.expect("Redis");
        let (lease, envelope) = &fetched.jobs[0];
        let envelope = Envelope::decode(envelope).expect("readable");
        let end = End::Failed(Fail::RetryAfter(Duration::from_secs(3_600), "later".into()));
        assert!(testing::finish(&world.queue, lease, &envelope, end).await.expect("Redis"));
    }
    assert_eq!(world.queue.stats().await.expect("Redis").delayed, 8);
    assert_eq!(keys(&world, "jobs:*").await.len(), 8 - TOGETHER);
}
