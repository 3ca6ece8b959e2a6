//! What is published while Redis is away: the acts of jobs that lie in the outbox.

use std::time::Duration;

use chrono::{TimeDelta, Timelike as _, Utc};
use perch_core::relay::relay_some;
use perch_jobs::{JobId, JobKind, JobState, PublishPost, RetryPolicy};
use perch_publishing::{Absence, WithoutRedis};
use perch_queue::{EnqueueOptions, NewJob, Unique, UniqueScope};
use perch_sandbox::{Endpoint, Fault, FaultKind};
use perch_store::{ActionState, Brake, BrakeCheck, BrakeScope, Brakes};
use perch_workers::bots;
use serde_json::json;

use crate::world::{SECOND, World, eventually, main_account, of_second, publication};

impl World {
    fn without_redis(&self) -> WithoutRedis {
        let platform = bots().platform(&self.settings, &self.store, &self.client).expect("valid settings");
        bots().without_redis(&platform).expect("valid settings")
    }

    /// A job in the outbox that Redis does not have.
    async fn in_outbox(&self, job: &PublishPost, options: EnqueueOptions) -> JobId {
        let id = options.id.unwrap_or_else(|| JobId::at(Utc::now()));
        let job = self.client.admit(id, NewJob::of(job).expect("JSON").with(options)).expect("a valid job");
        let mut conn = self.database().raw().acquire().await.expect("Postgres answers");
        self.store.outbox().enqueue_in(&mut conn, &[job]).await.expect("Postgres answers");
        id
    }

    async fn post_in_outbox(&self, text: &str) -> JobId {
        self.in_outbox(&publication(text, None, None), EnqueueOptions::default()).await
    }

    fn texts(&self) -> Vec<String> {
        self.x.made().into_iter().map(|post| post.text).collect()
    }

    /// Hands everything over to Redis, and runs it there.
    async fn redis_is_back(self) -> Self {
        let world = self.work();
        relay_some(&world.store, &world.client).await.expect("Redis and Postgres answer");
        world
    }
}

/// Everything that is pending, as if the last attempts were long ago.
async fn turn(without_redis: &WithoutRedis) {
    let mut absence: Absence = without_redis.absence();
    while without_redis.turn(&mut absence, Duration::from_secs(60)).await.expect("Postgres answers") {}
}

/// As a scheduler does once Redis answers.
async fn is_counted(without_redis: &WithoutRedis) {
    without_redis.count(Utc::now() - TimeDelta::days(2)).await.expect("both answer");
}

/// Limits of two posts a day, in a zone where no day ends soon.
fn two_a_day() -> [(&'static str, &'static str); 2] {
    let zone = if (6..18).contains(&Utc::now().hour()) { "UTC" } else { "Etc/GMT+12" };
    [("PERCH__POSTING__TIMEZONE", zone), ("PERCH__POSTING__PER_DAY", "2")]
}

/// The job of one post waits in the queue for its account, and nothing else is there.
async fn one_waits(world: &World) {
    eventually("one job waits, and the others are done", || async {
        let pending = "pending_posts".parse().expect("a name");
        let stats = world.client.queues().get(&pending)?.stats().await.expect("Redis answers");
        (stats.delayed == 1 && stats.waiting() + stats.running == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_post_is_published_once_and_its_job_records_it_when_redis_is_back() {
    let world = World::without_workers(&[]).await;
    let id = world.post_in_outbox("Hornets at +7.5, one unit").await;
    let without_redis = world.without_redis();
    for _ in 0..2 {
        turn(&without_redis).await;
        assert_eq!(world.texts(), ["Hornets at +7.5, one unit"]);
    }
    let key = format!("publish:{id}");
    assert_eq!(world.effect(&key).await.attempt, 0);
    let world = world.redis_is_back().await;
    let action = world.action(&key).await;
    assert_eq!((action.state, action.external_id), (ActionState::Published, world.effect(&key).await.external_id));
    world.ended(id).await;
    assert_eq!(world.texts().len(), 1);
}

#[tokio::test]
async fn a_brake_stops_it_by_the_audit_log_alone() {
    let world = World::without_workers(&SECOND).await;
    let without_redis = world.without_redis();
    let redis = world.client.queues().redis();
    let brake = |scope| Brake::of(redis.clone(), world.store.clone(), scope);
    world.post_in_outbox("one").await;
    let everything = brake(BrakeScope::Everything);
    everything.pull("ann", "odd words", json!({})).await.expect("Redis answers");
    turn(&without_redis).await;
    assert!(world.texts().is_empty());

    let of_main = brake(BrakeScope::Account(main_account()));
    of_main.pull("ann", "odd words", json!({})).await.expect("Redis answers");
    everything.lift("ann", "mended", json!({})).await.expect("Redis answers");
    world.in_outbox(&of_second("two"), EnqueueOptions::default()).await;
    turn(&without_redis).await;
    assert_eq!(world.texts(), ["two"]);

    of_main.lift("ann", "mended", json!({})).await.expect("Redis answers");
    turn(&without_redis).await;
    assert_eq!(world.texts(), ["two", "one"]);
}

#[tokio::test]
async fn a_brake_that_postgres_did_not_hear_of_gets_its_line_in_the_audit_log() {
    let world = World::without_workers(&[]).await;
    let redis = world.client.queues().redis();
    let brakes = Brakes::with(redis, &world.store, []);
    let brake = Brake::new(redis.clone(), world.store.clone());
    assert_eq!(brakes.write_missing_lines(Duration::ZERO).await.expect("both answer"), 0);
    brake.pull("ann", "odd words", json!({})).await.expect("Redis answers");
    brake.lift("ann", "mended", json!({})).await.expect("Redis answers");
    brake.pull("ann", "odd words", json!({})).await.expect("Redis answers");
    // As if Postgres had been away during the last pull.
    sqlx::query("delete from audit_log where id = (select max(id) from audit_log where action = 'brake.on')")
        .execute(&world.database().raw())
        .await
        .expect("Postgres answers");
    let is_clear = async || matches!(brakes.look_at_log().await, Ok(BrakeCheck::Clear(_)));
    assert!(is_clear().await);
    assert_eq!(brakes.write_missing_lines(Duration::ZERO).await.expect("both answer"), 1);
    assert!(!is_clear().await);
    let state = brake.state().await.expect("both answer");
    assert!(
        state.on && state.by.as_deref() == Some("ann") && state.reason.as_deref() == Some("odd words"),
        "{state:?}"
    );
    assert_eq!(brakes.write_missing_lines(Duration::ZERO).await.expect("both answer"), 0);
}

#[tokio::test]
async fn the_limits_of_an_account_hold_and_count_in_redis_afterwards() {
    let world = World::without_workers(&two_a_day()).await;
    for text in ["one", "two", "three"] {
        world.post_in_outbox(text).await;
    }
    turn(&world.without_redis()).await;
    assert_eq!(world.texts(), ["one", "two"]);
    is_counted(&world.without_redis()).await;
    let world = world.redis_is_back().await;
    one_waits(&world).await;
    assert_eq!(world.texts(), ["one", "two"]);
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_counts_also_what_was_published_before() {
    let world = World::with(&two_a_day()).await;
    world.done(&publication("one", None, None)).await;
    world.post_in_outbox("two").await;
    turn(&world.without_redis()).await;
    world.redis().wipe().await;
    is_counted(&world.without_redis()).await;
    world.post_in_outbox("three").await;
    let world = world.redis_is_back().await;
    one_waits(&world).await;
    assert_eq!(world.texts(), ["one", "two"]);
}

#[tokio::test]
async fn a_job_whose_deadline_passes_meanwhile_records_what_was_published_in_time() {
    let world = World::without_workers(&[]).await;
    let deadline = Utc::now() + TimeDelta::seconds(20);
    let options = || EnqueueOptions { deadline: Some(deadline), ..EnqueueOptions::default() };
    let braked =
        Brake::of(world.client.queues().redis().clone(), world.store.clone(), BrakeScope::Account(main_account()));
    let in_time = world.in_outbox(&publication("in time", None, None), options()).await;
    turn(&world.without_redis()).await;
    braked.pull("ann", "odd words", json!({})).await.expect("Redis answers");
    let late = world.in_outbox(&publication("too late", None, None), options()).await;
    turn(&world.without_redis()).await;
    braked.lift("ann", "mended", json!({})).await.expect("Redis answers");
    eventually("the deadline has passed", || async { (Utc::now() > deadline).then_some(()) }).await;
    turn(&world.without_redis()).await;
    let world = world.redis_is_back().await;
    assert_eq!((world.ended(in_time).await.state, world.ended(late).await.state), (JobState::Done, JobState::Dead));
    assert_eq!(world.action(&format!("publish:{in_time}")).await.state, ActionState::Published);
    assert_eq!(world.texts(), ["in time"]);
}

#[tokio::test]
async fn a_job_that_was_cancelled_before_is_left_to_redis() {
    let world = World::without_workers(&[]).await;
    let cancelled = world.post_in_outbox("not any more").await;
    world.post_in_outbox("still").await;
    sqlx::query("update jobs set state = 'cancelled' where id = $1")
        .bind(cancelled.to_string())
        .execute(&world.database().raw())
        .await
        .expect("Postgres answers");
    turn(&world.without_redis()).await;
    assert_eq!(world.texts(), ["still"]);
}

#[tokio::test]
async fn between_two_acts_redis_is_asked_again() {
    let world = World::without_workers(&[]).await;
    for text in ["one", "two"] {
        world.post_in_outbox(text).await;
    }
    let without_redis = world.without_redis();
    let mut absence = without_redis.absence();
    let mut turn = async || without_redis.turn(&mut absence, Duration::ZERO).await.expect("Postgres answers");
    assert!(turn().await, "more may wait");
    assert_eq!(world.texts(), ["one"]);
    turn().await;
    assert_eq!(world.texts(), ["one", "two"]);
    assert!(!turn().await);
}

#[tokio::test]
async fn a_job_whose_attempts_fail_waits_for_its_queue() {
    let world = World::without_workers(&[]).await;
    world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::Unavailable).times(1));
    let once = RetryPolicy::new(1, Duration::from_secs(1), Duration::from_secs(1));
    let options = EnqueueOptions { retry: Some(once), ..EnqueueOptions::default() };
    let id = world.in_outbox(&publication("one", None, None), options).await;
    let without_redis = world.without_redis();
    let mut absence = without_redis.absence();
    while without_redis.turn(&mut absence, Duration::from_secs(60)).await.expect("Postgres answers") {}
    assert!(world.texts().is_empty());
    let world = world.redis_is_back().await;
    assert_eq!(world.ended(id).await.state, JobState::Done);
    assert_eq!(world.texts(), ["one"]);
}

#[tokio::test]
async fn what_only_its_queue_can_decide_waits_for_redis() {
    let world = World::without_workers(&[]).await;
    let post = |text| publication(text, None, None);
    let unique = Unique { key: "one of these".into(), scope: UniqueScope::Done };
    let options = [
        EnqueueOptions { run_at: Some(Utc::now() + TimeDelta::hours(1)), ..EnqueueOptions::default() },
        EnqueueOptions { unique: Some(unique), ..EnqueueOptions::default() },
    ];
    for options in options {
        world.in_outbox(&post("not now"), options).await;
    }
    let without_redis = world.without_redis();
    turn(&without_redis).await;
    assert!(world.texts().is_empty());

    let audit = async |action| {
        world.store.audit().record("ann", action, "pending_posts", &json!({})).await.expect("Postgres answers");
    };
    world.post_in_outbox("now").await;
    audit("queue.pause").await;
    turn(&without_redis).await;
    assert!(world.texts().is_empty(), "its queue is paused");
    audit("queue.resume").await;
    turn(&without_redis).await;
    assert_eq!(world.texts(), ["now"]);
}

#[tokio::test]
async fn a_row_is_held_by_one_and_neither_a_relay_nor_another_takes_it_meanwhile() {
    let world = World::without_workers(&[]).await;
    world.post_in_outbox("one").await;
    world.post_in_outbox("two").await;
    let kinds = [JobKind::from_static("publish_post")];
    let hold = async || {
        let held = world.store.outbox().hold(&kinds, (&[], &[]), Duration::from_secs(60)).await;
        held.expect("Postgres answers")
    };
    let row = hold().await.expect("there is a row");
    assert!(hold().await.is_none(), "one at a time");
    let relayed = relay_some(&world.store, &world.client).await.expect("both answer");
    assert_eq!(relayed.handed_over, 1);
    row.release().await.expect("Postgres answers");
    let relayed = relay_some(&world.store, &world.client).await.expect("both answer");
    assert_eq!(relayed.handed_over, 1);
}
