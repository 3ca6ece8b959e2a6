//! A Postgres that is an older copy of itself: restored, or a standby that lagged and was promoted.

use chrono::{TimeDelta, Utc};
use perch_core::recovery::{self, LossCheck, LossReport, Watch, WatchOutcome};
use perch_jobs::{JobId, PublishPost};
use perch_publishing::reconciler;
use perch_queue::{EnqueueOptions, LostJob};
use perch_sandbox::{Endpoint, Fault, FaultKind};
use perch_store::EffectState;
use perch_testkit::{OwnRedis, TestRedis};

use crate::world::{World, eventually, publication};

/// With a short `x.settle`, so that X soon counts as showing everything.
const SOON: [(&str, &str); 2] = [("PERCH__X__TIMEOUT", "1s"), ("PERCH__X__SETTLE", "100ms")];
const KEY: &str = "post:of:today";

fn post() -> PublishPost {
    publication("Said once", None, Some(KEY))
}

impl World {
    async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.database().raw()).await.expect("Postgres answers");
    }

    fn doubts(&self) -> LossCheck {
        LossCheck::new(self.client.queues(), &self.store, &self.settings)
    }

    async fn look(&self) -> LossReport {
        self.doubts().look().await.expect("both answer")
    }

    async fn found(&self) -> Vec<String> {
        self.look().await.doubts
    }

    async fn settle(&self) {
        self.doubts().settle(&self.look().await, true).await.expect("both answer");
    }
}

/// Removes from Postgres the end of the job, its effect, and the cursor of the sync. Redis has trimmed the events since.
async fn lose_what_is_gone(world: &World) {
    let mut trim = redis::cmd("XTRIM");
    trim.arg("stg:{pending_posts}:events").arg("MAXLEN").arg(0);
    trim.exec_async(&mut world.redis().raw().await).await.expect("Redis answers");
    lose_the_last_seconds(world).await;
}

/// Removes from Postgres the end of the job, its effect, and the cursor of the sync.
async fn lose_the_last_seconds(world: &World) {
    world.execute("update sync_cursors set ms = 0, seq = 0, ordinal = 0, version_ms = 0, version_seq = 0").await;
    world.execute("delete from job_events").await;
    world.execute("update jobs set state = 'waiting', version_ms = 0, version_seq = 0, finished_at = null").await;
    world.execute("delete from effect_history").await;
    world.execute("delete from effects").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_went_out_in_the_seconds_that_postgres_lost_is_found_and_not_made_again() {
    let redis = OwnRedis::with(&["--appendonly", "no"]).await;
    let world = World::without_workers_at(TestRedis::at(&redis.url()), &SOON).await.work();
    let done = world.done(&post()).await;
    assert_eq!(world.x.made().len(), 1);
    assert!(world.found().await.is_empty());

    lose_what_is_gone(&world).await;
    let found = world.found().await;
    assert!(found.iter().any(|why| why.contains("events:pending_posts")), "{found:?}");

    let all = world.client.queues().iter().cloned().collect();
    let (queues, settings) = (world.client.queues(), &world.settings);
    let recovery = recovery::Recovery::new(all, queues, &world.store, settings, reconciler()).in_doubt(true);
    let recovered = recovery.whole(&world.look().await, |_| ()).await.expect("both answer");
    assert_eq!(recovered.values().map(|queue| queue.restored).sum::<u64>(), 1, "{recovered:?}");
    world.settle().await;
    assert!(world.found().await.is_empty(), "somebody has seen to it");

    world.ended(done.id).await;
    assert_eq!(world.x.made().len(), 1, "it went out once");
    let effect = world.effect(KEY).await;
    assert_eq!((effect.state, effect.external_id), (EffectState::Confirmed, Some(world.x.made()[0].id.clone())));
}

/// Redis keeps what it told Postgres for a while.
#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_lost_a_moment_ago_it_is_told_again() {
    let world = World::without_workers(&SOON).await.work();
    let done = world.done(&post()).await;
    world.execute("update sync_cursors set ms = 0, seq = 0, ordinal = 0, version_ms = 0, version_seq = 0").await;
    world.execute("delete from job_events").await;
    world.execute("delete from jobs").await;
    assert!(!world.found().await.is_empty());
    world.sync().await;
    assert_eq!(
        world.store.history().job(done.id).await.expect("Postgres answers").map(|job| job.state),
        Some(done.state)
    );
    assert!(world.found().await.is_empty(), "it has all that it had");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_put_back_and_never_ran_is_done_once_x_does_not_know_of_it() {
    let world = World::without_workers(&SOON).await;
    let id = world.enqueue(&post()).await;
    let queue = world.client.queues().get(&"pending_posts".parse().expect("a name")).expect("configured").clone();
    let envelope = queue.job(id).await.expect("Redis answers").expect("it waits").envelope;
    queue.drop_ended(&[id]).await.expect("Redis answers");
    let restore = LostJob { id, envelope, run_at: None, attempts: 0, error: None, died_at: None, in_doubt: true };
    // Where it stood there is a mark until a fetch comes upon it.
    let world = world.work();
    eventually("its place is free", || async {
        let (put_back, _) = queue.restore(std::slice::from_ref(&restore)).await.expect("Redis answers");
        (put_back == 1).then_some(())
    })
    .await;
    let job = world.ended(id).await;
    assert_eq!((world.x.made().len(), world.x.calls(Endpoint::CreatePost)), (1, 1));
    assert_eq!(job.attempts, 1, "to ask first costs no attempt");
}

/// The job is still under way when Postgres loses that it had acted: it was never put back.
#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_was_tried_before_another_postgres_took_over_is_looked_for_before_it_is_tried_again() {
    let world = World::without_workers(&SOON).await;
    Watch::new(&world.settings, world.client.queues(), &world.store, reconciler())
        .run_once()
        .await
        .expect("both answer");
    world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::Malformed).times(1));
    let id = world.enqueue(&post()).await;
    let world = world.work();
    eventually("it was made, and nobody knows it", || async {
        let known = world.store.effects().get(KEY).await.expect("Postgres answers");
        known.filter(|effect| effect.state == EffectState::Unknown).map(|_| ())
    })
    .await;
    world.execute("delete from effect_history").await;
    world.execute("delete from effects").await;
    world.execute("update known_postgres set identity = identity || '0', seen = seen || '0'").await;
    world.ended(id).await;
    assert_eq!((world.x.made().len(), world.x.calls(Endpoint::CreatePost)), (1, 1), "it was asked for first");
    let effect = world.effect(KEY).await;
    assert_eq!((effect.state, effect.external_id), (EffectState::Confirmed, Some(world.x.made()[0].id.clone())));
}

/// Callers choose ids, and the clock of Redis may be ahead of that of Postgres.
#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_may_be_lost_is_looked_for_though_the_id_of_its_job_lies_ahead() {
    for row_is_lost in [false, true] {
        let world = World::without_workers(&SOON).await;
        Watch::new(&world.settings, world.client.queues(), &world.store, reconciler())
            .run_once()
            .await
            .expect("both answer");
        world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::Malformed).times(1));
        let id = JobId::at(Utc::now() + TimeDelta::hours(1));
        world.enqueue_with(&post(), EnqueueOptions { id: Some(id), ..EnqueueOptions::default() }).await;
        let world = world.work();
        eventually("it was made, and nobody knows it", || async {
            let known = world.store.effects().get(KEY).await.expect("Postgres answers");
            known.filter(|effect| effect.state == EffectState::Unknown).map(|_| ())
        })
        .await;
        world.execute("delete from effect_history").await;
        world.execute("delete from effects").await;
        if row_is_lost {
            world.execute("delete from outbox").await;
        }
        world.store.recovery().note_loss().await.expect("Postgres answers");
        world.ended(id).await;
        assert_eq!((world.x.made().len(), world.x.calls(Endpoint::CreatePost)), (1, 1), "it was asked for first");
        assert_eq!(world.effect(KEY).await.external_id, Some(world.x.made()[0].id.clone()));
    }
}

/// The job has ended, and only its effect is lost: nothing is put back, and another job claims the same key.
#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_lost_of_an_effect_is_made_good_by_the_record_that_it_is_told_again() {
    for lost in ["delete from effects", "update effects set state = 'unknown', external_id = null"] {
        let world = World::without_workers(&SOON).await.work();
        let watch = Watch::new(&world.settings, world.client.queues(), &world.store, reconciler());
        watch.run_once().await.expect("both answer");
        world.done(&post()).await;
        world.execute("delete from effect_history").await;
        world.execute(lost).await;
        world.execute("delete from actions").await;
        world.execute("update sync_cursors set ms = 0, seq = 0, ordinal = 0, version_ms = 0, version_seq = 0").await;
        world.sync().await;
        watch.run_once().await.expect("both answer");
        let effect = world.effect(KEY).await;
        let id = world.x.made()[0].id.clone();
        assert_eq!((effect.state, effect.external_id), (EffectState::Confirmed, Some(id)), "{lost}");
        world.done(&post()).await;
        assert_eq!((world.x.made().len(), world.x.calls(Endpoint::CreatePost)), (1, 1), "{lost}");
    }
}

/// Redis lost the record before Postgres had it, and Postgres knows the job as done: nobody would record it any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_redis_lost_is_made_good_by_the_effect() {
    let world = World::without_workers(&SOON).await.work();
    world.done(&post()).await;
    let before = world.action(KEY).await;
    world.execute("delete from actions").await;
    world.execute("delete from published_posts").await;
    let all = world.client.queues().iter().cloned().collect();
    let (queues, settings) = (world.client.queues(), &world.settings);
    let recovery = recovery::Recovery::new(all, queues, &world.store, settings, reconciler());
    recovery.whole(&world.look().await, |_| ()).await.expect("both answer");
    assert_eq!(world.action(KEY).await, before);
    let posts: i64 = sqlx::query_scalar("select count(*) from published_posts")
        .fetch_one(&world.database().raw())
        .await
        .expect("Postgres answers");
    assert_eq!(posts, 1, "its metrics are read");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_enqueued_after_another_postgres_took_over_is_done_at_once() {
    let world = World::without_workers(&SOON).await.work();
    let watch = Watch::new(&world.settings, world.client.queues(), &world.store, reconciler());
    watch.run_once().await.expect("both answer");
    world.execute("update known_postgres set identity = identity || '0', seen = seen || '0'").await;
    world.settle().await;
    let reads = world.x.calls(Endpoint::UserPosts);
    world.done(&post()).await;
    let id = Some(JobId::at(Utc::now() + TimeDelta::hours(1)));
    let ahead = publication("Said once more", None, None);
    world.ended(world.enqueue_with(&ahead, EnqueueOptions { id, ..EnqueueOptions::default() }).await).await;
    assert_eq!((world.x.made().len(), world.x.calls(Endpoint::UserPosts)), (2, reads));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_older_than_redis_nothing_is_put_back_by_itself() {
    let mut redis = OwnRedis::start().await;
    let world = World::without_workers_at(TestRedis::at(&redis.url()), &SOON).await;
    let queue = world.client.queues().get(&"pending_posts".parse().expect("a name")).expect("configured").clone();
    let watch = Watch::new(&world.settings, world.client.queues(), &world.store, reconciler());
    watch.run_once().await.expect("both answer");
    assert!(matches!(watch.run_once().await, Ok(WatchOutcome::InStep)));
    let id = world.enqueue(&post()).await;
    world.sync().await;
    // It ran, is gone from Redis, and Postgres forgets that.
    queue.drop_ended(&[id]).await.expect("Redis answers");
    lose_what_is_gone(&world).await;
    redis.restart().await;
    let look = || async { watch.run_once().await.ok() };
    for _ in 0..2 {
        let look = eventually("both answer", look).await;
        assert!(matches!(&look, WatchOutcome::Held(why) if !why.is_empty()), "{look:?}");
    }
    assert!(queue.job(id).await.expect("Redis answers").is_none(), "it was not put back");
    world.settle().await;
    let look = watch.run_once().await.expect("both answer");
    assert!(matches!(&look, WatchOutcome::PutBack(_)), "once somebody has seen to it: {look:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_of_another_timeline_is_told_from_the_one_that_was_there() {
    let world = World::without_workers(&[]).await;
    Watch::new(&world.settings, world.client.queues(), &world.store, reconciler())
        .run_once()
        .await
        .expect("both answer");
    assert!(world.found().await.is_empty());
    let mut conn = world.redis().raw().await;
    let here: String = redis::cmd("GET").arg("stg:postgres").query_async(&mut conn).await.expect("it is noted");
    let other = format!("{here}0");
    redis::cmd("SET").arg("stg:postgres").arg(other).exec_async(&mut conn).await.expect("SET");
    let told = |found: &[String]| found.iter().any(|why| why.contains("timeline"));
    let found = world.found().await;
    assert!(told(&found), "{found:?}");

    // A Redis that lost its last seconds remembers an earlier timeline of the Postgres that somebody has seen to.
    let (system, timeline) = here.split_once(':').expect("system and timeline");
    let earlier = timeline.parse::<u32>().expect("a number") - 1;
    redis::cmd("SET").arg("stg:postgres").arg(format!("{system}:{earlier}")).exec_async(&mut conn).await.expect("SET");
    assert!(world.found().await.is_empty(), "it is Redis that is older");

    // What it came from is noted in it, too, for when Redis has lost everything.
    redis::cmd("DEL").arg("stg:postgres").exec_async(&mut conn).await.expect("DEL");
    assert!(world.found().await.is_empty());
    world.execute("update known_postgres set identity = identity || '0'").await;
    let found = world.found().await;
    assert!(told(&found), "{found:?}");
    let look = Watch::new(&world.settings, world.client.queues(), &world.store, reconciler()).run_once().await;
    assert!(matches!(&look, Ok(WatchOutcome::Held(_))), "it is not taken for the one that was there: {look:?}");
}

/// What a look saw is noted, and not what took over since: that one is another, and nobody has seen to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_takes_over_during_a_recovery_is_not_gone_by() {
    let world = World::without_workers(&SOON).await;
    let id = world.enqueue(&post()).await;
    world.sync().await;
    let queue = world.client.queues().get(&"pending_posts".parse().expect("a name")).expect("configured").clone();
    world.redis().wipe().await;
    let here = world.look().await;
    let before = LossReport { doubts: Vec::new(), identity: here.identity.clone().map(|is| format!("{is}0")) };
    let recovery = || {
        let all = world.client.queues().iter().cloned().collect();
        recovery::Recovery::new(all, world.client.queues(), &world.store, &world.settings, reconciler())
    };
    let refused = recovery().lost(&before).await.expect_err("what was looked at is another").to_string();
    assert!(refused.contains("look at it again"), "{refused}");
    assert!(queue.job(id).await.expect("Redis answers").is_none(), "nothing was put back");
    world.doubts().settle(&before, false).await.expect("both answer");
    assert!(!world.found().await.is_empty(), "the one that took over is not taken for the one that was seen to");

    world.doubts().settle(&here, false).await.expect("both answer");
    recovery().lost(&here).await.expect("both answer");
    assert!(queue.job(id).await.expect("Redis answers").is_some(), "it is back");
}
