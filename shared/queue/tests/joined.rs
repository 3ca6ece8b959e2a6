//! Single enqueues that come while one is under way share the next call, and each gets its own answer.

mod support;

use std::collections::BTreeSet;

use futures::{future::join_all, poll};
use perch_base::Clock;
use perch_job::JobId;
use perch_queue::{Acceptance, EnqueueError, EnqueueOptions, NewJob};
use perch_testkit::{OwnRedis, TestRedis};
use support::{Chore, World, engine, queue_settings};

fn chore(n: u64) -> NewJob {
    NewJob::of(&Chore::number(n)).expect("JSON")
}

/// A world on a server of its own.
fn world(server: &OwnRedis) -> World {
    let redis = TestRedis::at(&server.url());
    let door = redis.door();
    World::on(redis, door, queue_settings(), &engine(), &Clock::system())
}

async fn script_calls(world: &World) -> u64 {
    let info: String =
        redis::cmd("INFO").arg("commandstats").query_async(&mut world.redis.raw().await).await.expect("INFO");
    let calls_of = |line: &str| -> Option<u64> { line.split_once(":calls=")?.1.split(',').next()?.parse().ok() };
    info.lines().filter(|line| line.starts_with("cmdstat_eval")).filter_map(calls_of).sum()
}

#[tokio::test]
async fn jobs_that_are_enqueued_at_the_same_time_share_calls_and_are_each_accepted_once() {
    let server = OwnRedis::start().await;
    let world = world(&server);
    // Redis knows the scripts.
    world.client.submit(chore(0)).await.expect("accepted");
    assert!(world.client.submit_all(vec![chore(0), chore(0)]).await.iter().all(Result::is_ok));
    let before = script_calls(&world).await;
    let answers = join_all((1..=500).map(|n| world.client.submit(chore(n)))).await;
    let ids: BTreeSet<JobId> = answers.into_iter().map(|answer| answer.expect("accepted").id).collect();
    assert_eq!(ids.len(), 500);
    // The first one alone, then the others, 250 in a call.
    assert_eq!(script_calls(&world).await - before, 3);
    let waiting = world.queue.job_page(perch_queue::JobState::Waiting, None, 1_000).await.expect("Redis").jobs;
    let listed: BTreeSet<JobId> = waiting.iter().skip(3).map(|(_, job)| job.id).collect();
    assert_eq!(listed, ids);
}

#[tokio::test]
async fn each_of_those_that_share_a_call_gets_its_own_answer() {
    let world = World::start().await;
    let known = world.client.submit(chore(0)).await.expect("accepted").id;
    let again = || EnqueueOptions { id: Some(known), ..EnqueueOptions::default() };
    let jobs = (1..=9).map(|n| if n % 3 == 0 { chore(n).with(again()) } else { chore(n) });
    let answers = join_all(jobs.map(|job| world.client.submit(job))).await;
    for (answer, n) in answers.into_iter().zip(1..) {
        let expected = if n % 3 == 0 { Acceptance::Duplicate } else { Acceptance::Accepted };
        assert_eq!(answer.expect("an answer").acceptance, expected, "job {n}");
    }
}

#[tokio::test]
async fn a_caller_that_waits_for_something_else_or_leaves_holds_nobody_up() {
    let world = World::start().await;
    // A connection is there, so that the first is under way with its script.
    world.client.submit(chore(0)).await.expect("accepted");
    let mut first = Box::pin(world.client.submit(chore(1)));
    assert!(poll!(&mut first).is_pending());
    // The first is not polled meanwhile.
    world.client.submit(chore(2)).await.expect("accepted");
    let mut third = Box::pin(world.client.submit(chore(3)));
    assert!(poll!(&mut third).is_pending());
    drop((first, third));
    let fourth = world.client.submit(chore(4)).await.expect("accepted").id;
    assert!(world.queue.job(fourth).await.expect("Redis").is_some());
}

#[tokio::test]
async fn all_that_share_a_call_are_told_that_redis_is_away() {
    let mut server = OwnRedis::start().await;
    let world = world(&server);
    world.client.submit(chore(0)).await.expect("accepted");
    server.kill();
    let answers = join_all((1..=5).map(|n| world.client.submit(chore(n)))).await;
    for answer in answers {
        assert!(matches!(answer, Err(EnqueueError::Queue(error)) if error.is_unavailable()));
    }
}
