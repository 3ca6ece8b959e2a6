//! Which jobs start, and in which order, with competing lists and with rates.

mod support;

use std::{collections::BTreeMap, time::Duration};

use chrono::DateTime;
use perch_base::{
    Clock,
    settings::{QueueSettings, Rate},
};
use perch_job::{JobId, Priority};
use perch_queue::{
    EnqueueOptions, Envelope, Lease,
    testing::{self, AttemptEnd, FetchResult},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use support::{Chore, World};

const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

/// A world whose time stands still until it is advanced.
async fn world_of(change: impl FnOnce(&mut QueueSettings)) -> (World, Clock) {
    let clock = Clock::manual(DateTime::from_timestamp(1_790_000_000, 0).expect("a valid time"));
    (World::with(|queue, _| change(queue), clock.clone()).await, clock)
}

async fn enqueue(world: &World, n: u64, group: Option<&str>, priority: Priority) -> JobId {
    let options =
        EnqueueOptions { priority: Some(priority), group: group.map(str::to_owned), ..EnqueueOptions::default() };
    world.client.enqueue_with(&Chore::number(n), options).await.expect("accepted").id
}

async fn fetch(world: &World, slots: usize) -> FetchResult {
    testing::fetch(&world.queue, "worker", slots, 0).await.expect("Redis answers")
}

async fn finish(world: &World, (lease, envelope): &(Lease, Vec<u8>)) {
    let envelope = Envelope::decode(envelope).expect("readable");
    assert!(testing::finish(&world.queue, lease, &envelope, AttemptEnd::Succeeded).await.expect("Redis answers"));
}

fn number_of(envelope: &[u8]) -> u64 {
    let envelope = Envelope::decode(envelope).expect("readable");
    serde_json::from_str::<Chore>(envelope.payload.get()).expect("a chore").n
}

/// The priorities of started jobs in their order, while every list has jobs.
async fn starts(world: &World, slots: &[usize]) -> Vec<Priority> {
    const EACH: usize = 60;
    let mut priorities = BTreeMap::new();
    for n in 0..3 * EACH {
        let priority = PRIORITIES[n % 3];
        priorities.insert(enqueue(world, n as u64, None, priority).await, priority);
    }
    let (mut started, mut left) = (Vec::new(), [EACH; 3]);
    for slots in slots.iter().cycle() {
        for job in fetch(world, *slots).await.jobs {
            let priority = priorities[&job.0.id()];
            if left.contains(&0) {
                return started;
            }
            left[PRIORITIES.iter().position(|p| *p == priority).expect("one of three")] -= 1;
            started.push(priority);
            finish(world, &job).await;
        }
    }
    unreachable!("the slots are cycled")
}

#[test]
fn every_list_that_is_not_empty_gets_one_of_twenty_starts_whatever_the_slots() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(Config { cases: 30, failure_persistence: None, ..Config::default() });
    let slots = prop_oneof![Just(vec![1]), prop::collection::vec(1usize..30, 1..5)];
    let played = runner.run(&(slots, prop::bool::ANY), |(slots, grouped)| {
        let started = runtime.block_on(async {
            let (world, _) = world_of(|queue| queue.group_concurrency = usize::from(grouped)).await;
            starts(&world, &slots).await
        });
        for window in started.windows(20) {
            for priority in PRIORITIES {
                prop_assert!(window.contains(&priority), "{priority:?} is starved: {window:?}");
            }
            let high = window.iter().filter(|priority| **priority == Priority::High).count();
            prop_assert!(high >= 15, "high goes first: {window:?}");
        }
        Ok(())
    });
    assert!(played.is_ok(), "{played:?}");
}

#[tokio::test]
async fn jobs_behind_a_rate_cost_a_fetch_or_two_a_start_whatever_their_priority() {
    let rate = Some(Rate { count: 10, per: Duration::from_secs(1) });
    for (of_group, priority) in [false, true].into_iter().flat_map(|of_group| PRIORITIES.map(|p| (of_group, p))) {
        let limit = |queue: &mut QueueSettings| {
            if of_group { queue.group_rate = rate } else { queue.rate = rate }
        };
        let (world, clock) = world_of(limit).await;
        for n in 0..200 {
            enqueue(&world, n, Some("account"), priority).await;
        }
        let (mut looks, mut started) = (0, 0);
        while started < 30 {
            let fetched = fetch(&world, 4).await;
            looks += 1;
            started += fetched.jobs.len();
            for job in &fetched.jobs {
                finish(&world, job).await;
            }
            // A worker fetches again at once, or waits as long as the fetch said.
            clock.advance(fetched.next.expect("more starts when the rate allows it"));
        }
        assert!(looks <= 60, "{looks} fetches for 30 starts, of groups: {of_group}, {priority:?}");
    }
}

#[tokio::test]
async fn behind_a_rate_the_first_in_is_the_first_out_whatever_goes_before() {
    let rate = Some(Rate { count: 1, per: Duration::from_millis(100) });
    for of_group in [false, true] {
        let limit = |queue: &mut QueueSettings| {
            if of_group { queue.group_rate = rate } else { queue.rate = rate }
        };
        let (world, clock) = world_of(limit).await;
        for n in 0..60 {
            enqueue(&world, n, Some("account"), Priority::Normal).await;
        }
        let mut order = Vec::new();
        for step in 0..120 {
            // Sometimes a job that goes before the waiting ones.
            if step % 10 == 3 {
                enqueue(&world, 1_000 + step, Some("account"), Priority::High).await;
            }
            for job in fetch(&world, 2).await.jobs {
                order.push(number_of(&job.1));
                finish(&world, &job).await;
            }
            clock.advance(Duration::from_millis(100));
        }
        let normal: Vec<u64> = order.iter().copied().filter(|n| *n < 1_000).collect();
        assert_eq!(normal, (0..60).collect::<Vec<u64>>(), "of groups: {of_group}");
        let high: Vec<u64> = order.iter().copied().filter(|n| *n >= 1_000).collect();
        assert!(high.len() == 12 && high.is_sorted(), "{high:?}");
        // Each started while normal ones waited.
        let place = |n: u64| order.iter().position(|other| *other == n).expect("it started");
        assert!(place(1_003) < 10, "{order:?}");
    }
}

#[tokio::test]
async fn what_waited_while_nobody_worked_still_starts_at_its_rate() {
    let rate = Some(Rate { count: 1, per: Duration::from_millis(100) });
    for of_group in [false, true] {
        let limit = |queue: &mut QueueSettings| {
            if of_group { queue.group_rate = rate } else { queue.rate = rate }
        };
        let (world, clock) = world_of(limit).await;
        for n in 0..20 {
            enqueue(&world, n, Some("account"), Priority::Normal).await;
        }
        assert_eq!(fetch(&world, 10).await.jobs.len(), 1);
        assert!(fetch(&world, 10).await.jobs.is_empty());
        clock.advance(Duration::from_secs(60));
        assert_eq!(fetch(&world, 10).await.jobs.len(), 1, "a pause earns no more than the burst");
    }
}

#[tokio::test]
async fn a_job_given_back_goes_before_those_of_its_group_that_wait_for_it() {
    let (world, _) = world_of(|queue| queue.group_concurrency = 1).await;
    for n in 0..4 {
        enqueue(&world, n, Some("account"), Priority::Normal).await;
    }
    let first = fetch(&world, 4).await.jobs;
    assert_eq!(first.len(), 1, "the others are parked");
    let envelope = Envelope::decode(&first[0].1).expect("readable");
    assert!(
        testing::finish(&world.queue, &first[0].0, &envelope, AttemptEnd::Interrupted).await.expect("Redis answers")
    );
    let mut order = Vec::new();
    for _ in 0..4 {
        for job in fetch(&world, 4).await.jobs {
            order.push(number_of(&job.1));
            finish(&world, &job).await;
        }
    }
    assert_eq!(order, [0, 1, 2, 3]);
}
