//! Jobs that Postgres keeps before Redis gets them.

use std::{sync::Arc, time::Duration};

use perch_base::Environment;
use perch_core::{recovery, relay};
use perch_jobs::{JobId, PollAccount, PublishPost};
use perch_publishing::reconciler;
use perch_queue::{Acceptance, Client, EnqueueOptions, Ledger as _, NewJob};
use perch_store::{JobState, Store};
use perch_testkit::{OwnRedis, TestRedis, postgres_settings};
use sqlx::{PgPool, Row};

use crate::world::{World, eventually, main_account};

fn post(text: &str) -> PublishPost {
    PublishPost::new(main_account(), text)
}

impl World {
    /// Hands over what the outbox holds from now on.
    pub fn relay(&self) {
        let (store, client, stop) = (self.store.clone(), self.client.clone(), self.stop.clone());
        tokio::spawn(relay::run(store, client, stop));
    }

    /// Makes the rows of the outbox look as if they had been there for a while.
    async fn age_outbox(&self, pool: &PgPool, handed_over: bool) {
        let undone = if handed_over { "" } else { ", handed_over_at = null" };
        let sql = format!("update outbox set relay_at = relay_at - interval '1 minute'{undone}");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(pool).await.expect("Postgres answers");
    }

    async fn state(&self, id: JobId) -> Option<JobState> {
        self.store.history().job(id).await.expect("Postgres answers").map(|job| job.state)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_ledger_queue_is_in_postgres_the_moment_it_is_accepted() {
    let world = World::without_workers(&[]).await;
    let id = world.enqueue(&post("kept")).await;
    assert_eq!(world.state(id).await, Some(JobState::Waiting));
    assert_eq!(world.store.outbox().backlog().await.expect("Postgres answers").waiting, 0, "Redis has it");
    let other = world.enqueue(&PollAccount { username: "sharp_sally".into() }).await;
    assert_eq!(world.state(other).await, None, "the history hears of other queues with the next sync");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_a_ledger_queue_accepts_another_refuses_and_the_backlog_drains_when_it_is_back() {
    let mut redis = OwnRedis::start().await;
    let quick = [
        ("PERCH__REDIS__CONNECT_TIMEOUT", "300ms"),
        ("PERCH__REDIS__COMMAND_TIMEOUT", "500ms"),
        ("PERCH__ENGINE__LEASE", "5s"),
        ("PERCH__ENGINE__HEARTBEAT", "1s"),
    ];
    let world = World::without_workers_at(TestRedis::at(&redis.url()), &quick).await.work();
    redis.kill();
    let enqueued = world.client.enqueue(&post("deferred")).await.expect("Postgres keeps it");
    assert_eq!(enqueued.acceptance, Acceptance::Deferred);
    world.client.enqueue(&PollAccount { username: "sharp_sally".into() }).await.expect_err("it lives in Redis alone");
    assert_eq!(world.store.outbox().backlog().await.expect("Postgres answers").waiting, 1);

    redis.restart().await;
    world.relay();
    let job = world.ended(enqueued.id).await;
    assert_eq!(job.state, JobState::Done, "{:?}", job.last_error);
    assert_eq!(world.x.made().iter().filter(|made| made.text == "deferred").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_postgres_and_redis_is_made_good_by_the_relay() {
    let world = World::start().await;
    let id = JobId::at(chrono::Utc::now());
    let job = world.client.admit(id, NewJob::of(&post("relayed")).expect("JSON")).expect("it is fine");
    world.store.keep(std::slice::from_ref(&job)).await.expect("Postgres answers");
    let fresh = relay::relay_some(&world.store, &world.client).await.expect("Postgres answers");
    assert_eq!(fresh.taken, 0, "whoever accepts it is about to hand it over");
    world.age_outbox(&world.database().raw(), true).await;
    let late = relay::relay_some(&world.store, &world.client).await.expect("Postgres answers");
    assert_eq!((late.taken, late.handed_over), (1, 1));
    assert_eq!(world.ended(id).await.state, JobState::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_written_in_one_transaction_with_what_caused_it() {
    let world = World::start().await;
    world.relay();
    let pool = world.database().raw();
    for (text, commits) in [("undone", false), ("caused", true)] {
        let id = JobId::at(chrono::Utc::now());
        let job = world.client.admit(id, NewJob::of(&post(text)).expect("JSON")).expect("it is fine");
        let mut tx = pool.begin().await.expect("Postgres answers");
        world.store.outbox().enqueue_in(&mut tx, &[job]).await.expect("Postgres answers");
        if commits {
            tx.commit().await.expect("Postgres answers");
            assert_eq!(world.ended(id).await.state, JobState::Done);
        } else {
            tx.rollback().await.expect("Postgres answers");
            assert_eq!(world.state(id).await, None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_ended_is_not_begun_again_when_it_is_relayed_once_more() {
    let world = World::start().await;
    let id = world.done(&post("once")).await.id;
    let pool = world.database().raw();
    world.age_outbox(&pool, false).await;
    let again = relay::relay_some(&world.store, &world.client).await.expect("Postgres answers");
    assert_eq!((again.taken, again.handed_over), (1, 1));
    world.sync().await;
    let attempts = world.store.history().attempts(id).await.expect("Postgres answers");
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    assert_eq!(world.state(id).await, Some(JobState::Done));
}

/// In a rolling deploy a newer release writes what an older relay reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_a_kind_that_this_release_does_not_know_waits_for_one_that_does_and_dies_in_the_end() {
    let world = World::without_workers(&[("PERCH__ENGINE__UNKNOWN_KIND_WAIT", "1h")]).await;
    let pool = world.database().raw();
    let write = "insert into outbox (environment, id, queue, kind, request, on_conflict, created_at)
                 values ('staging', $1, 'pending_posts', 'of_tomorrow', '{\"payload\":{}}', 'keep',
                         now() - $2 * interval '1 hour')";
    let fresh = JobId::at(chrono::Utc::now());
    // Callers choose ids: how long it waited, Postgres knows.
    let old = JobId::at(chrono::Utc::now() + chrono::TimeDelta::days(400));
    for (id, hours) in [(fresh, 0), (old, 2)] {
        sqlx::query(write).bind(id.to_string()).bind(hours).execute(&pool).await.expect("Postgres answers");
    }
    let relayed = relay::relay_some(&world.store, &world.client).await.expect("Postgres answers");
    assert_eq!((relayed.taken, relayed.handed_over), (2, 1));
    let queue = world.client.queues().get(&"pending_posts".parse().expect("a name")).expect("configured").clone();
    let there = async |id| queue.job(id).await.expect("Redis answers").is_some();
    assert_eq!((there(fresh).await, there(old).await), (false, true));
    assert_eq!(world.store.outbox().backlog().await.expect("Postgres answers").waiting, 1, "it waits");
    let world = world.work();
    assert_eq!(world.ended(old).await.state, JobState::Dead);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_another_one_stands_for_leaves_nothing_in_the_outbox() {
    let world = World::without_workers(&[]).await;
    let job = PublishPost { effect_key: Some("the-same".into()), ..post("first") };
    let first = world.enqueue(&job).await;
    let second = world.client.enqueue(&job).await.expect("the first stands for it");
    assert_eq!((second.acceptance, second.id), (Acceptance::Kept, first));
    let rows: i64 = sqlx::query("select count(*) from outbox")
        .fetch_one(&world.database().raw())
        .await
        .expect("Postgres answers")
        .get(0);
    assert_eq!(rows, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_job_of_the_ledger_keeps_its_time_through_the_loss_of_redis() {
    let world = World::without_workers(&[]).await;
    let run_at = chrono::Utc::now() + Duration::from_secs(3_600);
    let options = EnqueueOptions { run_at: Some(run_at), ..EnqueueOptions::default() };
    let id = world.enqueue_with(&post("later"), options).await;
    assert_eq!(world.state(id).await, Some(JobState::Delayed));
    let queue = world.client.queues().get(&"pending_posts".parse().expect("a name")).expect("configured").clone();
    world.redis().wipe().await;
    assert_eq!(queue.missing(&[id]).await.expect("Redis answers"), [id]);

    let names = [queue.name().clone()];
    let some = world.store.recovery().unfinished(&names, None, 100, Duration::from_secs(60)).await.expect("Postgres");
    let jobs: Vec<_> = some.jobs.into_iter().map(|job| job.restore).collect();
    let (restored, unreadable) = queue.restore(&jobs).await.expect("Redis answers");
    assert_eq!((restored, unreadable.len()), (1, 0));
    let view = queue.job(id).await.expect("Redis answers").expect("it is back");
    assert_eq!(view.due.map(|due| due.timestamp_millis()), Some(run_at.timestamp_millis()));
    assert_eq!(queue.restore(&jobs).await.expect("Redis answers").0, 0, "once more changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_ledger_queue_lost_when_redis_was_started_again_comes_back_by_itself() {
    let mut redis = OwnRedis::with(&["--appendonly", "no"]).await;
    // A job that was put back is looked for on X before it is done, once X shows what was done before.
    let soon = [("PERCH__X__TIMEOUT", "1s"), ("PERCH__X__SETTLE", "100ms")];
    let world = World::without_workers_at(TestRedis::at(&redis.url()), &soon).await;
    let queue = world.client.queues().get(&"pending_posts".parse().expect("a name")).expect("configured").clone();
    let watch = recovery::Watch::new(&world.settings, world.client.queues(), &world.store, reconciler());
    tokio::spawn(watch.run(world.stop.clone()));
    let known = || async { queue.new_run().await.ok().filter(Option::is_none) };
    eventually("this run of Redis is known", known).await;
    let lost = world.enqueue(&post("lost with the last second")).await;
    redis.kill();
    redis.restart().await;
    eventually("the run after it is known", known).await;
    assert!(queue.job(lost).await.expect("Redis answers").is_some(), "it is back");
    let world = world.work();
    assert_eq!(world.ended(lost).await.state, JobState::Done);
    assert_eq!(world.x.made().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_keeps_no_other_job_from_coming_back_after_the_loss_of_redis() {
    let mut redis = OwnRedis::with(&["--appendonly", "no"]).await;
    let world = World::without_workers_at(TestRedis::at(&redis.url()), &[]).await;
    let queue = world.client.queues().get(&"pending_posts".parse().expect("a name")).expect("configured").clone();
    let watch = recovery::Watch::new(&world.settings, world.client.queues(), &world.store, reconciler());
    tokio::spawn(watch.run(world.stop.clone()));
    let known = || async { queue.new_run().await.ok().filter(Option::is_none) };
    eventually("this run of Redis is known", known).await;
    let (odd, fine) = (world.enqueue(&post("odd")).await, world.enqueue(&post("fine")).await);
    let pool = world.database().raw();
    let drop = "alter table jobs drop constraint if exists jobs_times_are_readable";
    sqlx::query(drop).execute(&pool).await.expect("Postgres answers");
    let plant = "update jobs set run_at = '-infinity' where id = $1";
    sqlx::query(plant).bind(odd.to_string()).execute(&pool).await.expect("Postgres answers");
    redis.kill();
    redis.restart().await;
    eventually("the run after it is known", known).await;
    assert!(queue.job(fine).await.expect("Redis answers").is_some(), "it is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_froze_does_not_hold_up_the_next() {
    let world = World::without_workers(&[]).await;
    let frozen = world.store.recovery().lock(Duration::from_millis(300)).await.expect("nobody else restores");
    let next = world.store.recovery().lock(Duration::from_secs(30)).await;
    drop((frozen, next.expect("the first is taken for frozen")));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_a_job_that_needs_it_waits_and_loses_no_attempt() {
    let mut world = World::without_workers(&[]).await;
    let (gate, url) = world.database().gated().await;
    world.store = Store::connect_lazy(&url, Environment::Staging, &postgres_settings()).expect("a URL");
    world.client = Client::new(world.client.queues().with_ledger(Arc::new(world.store.clone())));
    let world = world.work();
    gate.shut();
    let queue = world.client.queues().get(&"extraction".parse().expect("a name")).expect("configured").clone();
    let id = world.enqueue(&world.written("sharp_sally", crate::world::LAKERS)).await;
    eventually("it is put off", || async {
        queue.job(id).await.expect("Redis answers").filter(|job| job.due.is_some() && job.errors.is_empty())
    })
    .await;
    gate.open();
    queue.run_now(id).await.expect("Redis answers");
    let job = world.ended(id).await;
    assert_eq!((job.state, job.attempts), (JobState::Done, 1), "{:?}", job.last_error);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_nobody_can_hand_over_do_not_hold_up_those_behind_them() {
    let world = World::start().await;
    let pool = world.database().raw();
    sqlx::query(
        "insert into outbox (environment, id, queue, kind, envelope)
         select 'staging', case when n % 2 = 0 then perch_ulid() else 'odd' || n end,
                case when n % 4 = 0 then 'no_such_queue' else 'pending_posts' end, 'publish_post', '}{'
         from generate_series(1, 600) n",
    )
    .execute(&pool)
    .await
    .expect("Postgres answers");
    let id = JobId::at(chrono::Utc::now());
    let job = world.client.admit(id, NewJob::of(&post("behind")).expect("JSON")).expect("it is fine");
    let mut conn = pool.acquire().await.expect("Postgres answers");
    world.store.outbox().enqueue_in(&mut conn, &[job]).await.expect("Postgres answers");
    world.relay();
    assert_eq!(world.ended(id).await.state, JobState::Done);
    let kept = world.store.outbox().backlog().await.expect("Postgres answers").waiting;
    assert_eq!(kept, 600, "what cannot be read is not thrown away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_connection_was_reset_listens_again() {
    let world = World::without_workers(&[]).await;
    let (gate, url) = world.database().gated().await;
    let store = Store::connect_lazy(&url, Environment::Staging, &postgres_settings()).expect("a URL");
    tokio::spawn(relay::run(store, world.client.clone(), world.stop.clone()));
    let listens = async |besides: i32| {
        sqlx::query_scalar::<_, i32>(
            "select pid from pg_stat_activity where datname = current_database() and query ilike 'listen %' and pid <> $1",
        )
        .bind(besides)
        .fetch_optional(&world.database().raw())
        .await
        .expect("Postgres answers")
    };
    let first = eventually("it listens", || listens(0)).await;
    gate.reset();
    eventually("it listens again", || listens(first)).await;
}
