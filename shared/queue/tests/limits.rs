//! Limits over all processes: of a group, of a queue.

mod support;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use perch_base::{
    Clock,
    settings::{EngineSettings, QueueSettings, Rate},
};
use perch_queue::worker::{HandlerResult, Handlers};
use support::{Chore, Seen, World, eventually};
use tokio::sync::Semaphore;

/// Counts how many jobs of a group run at once, and the most there ever were.
#[derive(Clone, Default)]
struct Gauge(Arc<(AtomicUsize, AtomicUsize)>);

impl Gauge {
    fn enter(&self) {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_per_group_over_two_processes_and_nobody_waits_in_vain() {
    let world = World::with(|queue, _| queue.group_concurrency = 1, Clock::system()).await;
    let gauges: HashMap<String, Gauge> = ["a", "b"].map(|g| (g.to_owned(), Gauge::default())).into();
    let handlers = || {
        let gauges = gauges.clone();
        Handlers::new().on(move |chore: Chore| {
            let gauge = gauges[chore.group.as_deref().expect("every chore has a group")].clone();
            async move {
                gauge.enter();
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                gauge.leave();
                HandlerResult::Ok(())
            }
        })
    };
    let (one, two) = (world.work(handlers()), world.work(handlers()));
    for n in 0..200 {
        world.client.enqueue(&Chore::of_group(n, if n % 2 == 0 { "a" } else { "b" })).await.expect("accepted");
    }
    world.drained().await;
    assert!(gauges.values().all(|g| g.most() == 1));
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_at_its_limit_does_not_keep_other_groups_from_running() {
    let world = World::with(|queue, _| queue.group_concurrency = 1, Clock::system()).await;
    let gate = Arc::new(Semaphore::new(0));
    let seen = Seen::new();
    let (record, closed) = (seen.clone(), gate.clone());
    let working = world.work(Handlers::new().on(move |chore: Chore| {
        let (record, gate) = (record.clone(), closed.clone());
        async move {
            if chore.group.as_deref() == Some("slow") {
                gate.acquire().await.expect("open").forget();
            }
            record.push(chore.n);
            HandlerResult::Ok(())
        }
    }));
    for n in 0..50 {
        world.client.enqueue(&Chore::of_group(n, "slow")).await.expect("accepted");
    }
    world.client.enqueue(&Chore::of_group(99, "quick")).await.expect("accepted");
    eventually("the quick one ran past 50 slow ones", || async { seen.all() == [99] }).await;
    eventually("one slow one runs and the others wait", || async {
        let stats = world.queue.stats().await.expect("Redis");
        (stats.running, stats.waiting()) == (1, 49)
    })
    .await;
    gate.add_permits(50);
    world.drained().await;
    assert_eq!(seen.len(), 51);
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_starts_no_more_than_its_rate_and_a_limited_job_occupies_no_worker() {
    let rate = Rate { count: 2, per: Duration::from_millis(400) };
    let world = World::with(|queue, _| queue.group_rate = Some(rate), Clock::system()).await;
    let starts: Seen<tokio::time::Instant> = Seen::new();
    let record = starts.clone();
    let working = world.work(Handlers::new().on(move |_: Chore| {
        record.push(tokio::time::Instant::now());
        async { HandlerResult::Ok(()) }
    }));
    for n in 0..6 {
        world.client.enqueue(&Chore::of_group(n, "account")).await.expect("accepted");
    }
    world.drained().await;
    let starts = starts.all();
    assert_eq!(starts.len(), 6);
    // A burst of two at once, then one each 200 ms: the sixth starts no sooner than 800 ms after the first.
    assert!(starts[5] - starts[0] >= Duration::from_millis(790), "{:?}", starts[5] - starts[0]);
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_runs_no_more_at_once_than_its_limit_over_all_processes() {
    let world = World::with(|queue, _| queue.global_concurrency = 3, Clock::system()).await;
    let gauge = Gauge::default();
    let handlers = || {
        let gauge = gauge.clone();
        Handlers::new().on(move |_: Chore| {
            let gauge = gauge.clone();
            async move {
                gauge.enter();
                tokio::task::yield_now().await;
                gauge.leave();
                HandlerResult::Ok(())
            }
        })
    };
    let (one, two) = (world.work(handlers()), world.work(handlers()));
    for n in 0..100 {
        world.client.enqueue(&Chore::number(n)).await.expect("accepted");
    }
    world.drained().await;
    assert!(gauge.most() <= 3, "{}", gauge.most());
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_over_all_processes_is_used_to_the_full_and_never_waits_for_a_lease_to_end() {
    // The lease is as long as in production: a queue that waited for one would not be drained in time.
    let long = |queue: &mut perch_base::settings::QueueSettings, engine: &mut perch_base::settings::EngineSettings| {
        queue.global_concurrency = 2;
        engine.lease = Duration::from_secs(120);
    };
    let world = World::with(long, Clock::system()).await;
    let handlers = || Handlers::new().on(|_: Chore| async { HandlerResult::Ok(()) });
    let (one, two) = (world.work(handlers()), world.work(handlers()));
    for n in 0..300 {
        world.client.enqueue(&Chore::number(n)).await.expect("accepted");
    }
    world.drained().await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_group_runs_though_the_one_before_it_was_cancelled() {
    let world = World::with(|queue, _| queue.group_concurrency = 1, Clock::system()).await;
    let gate = Arc::new(Semaphore::new(0));
    let seen = Seen::new();
    let (record, closed) = (seen.clone(), gate.clone());
    let working = world.work(Handlers::new().on(move |chore: Chore| {
        let (record, gate) = (record.clone(), closed.clone());
        async move {
            gate.acquire().await.expect("open").forget();
            record.push(chore.n);
            HandlerResult::Ok(())
        }
    }));
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(world.client.enqueue(&Chore::of_group(n, "account")).await.expect("accepted").id);
        eventually("it runs or is parked", || async {
            let stats = world.queue.stats().await.expect("Redis");
            (stats.running, stats.parked) == (1, n)
        })
        .await;
    }
    world.queue.cancel(ids[1], "ann", "test").await.expect("Redis");
    gate.add_permits(2);
    eventually("the third ran", || async { seen.all() == [0, 2] }).await;
    world.drained().await;
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_of_the_limits_is_seen_by_group_and_by_queue() {
    let per = Duration::from_secs(600);
    let limits = |queue: &mut QueueSettings, _: &mut EngineSettings| {
        queue.rate = Some(Rate { count: 4, per });
        queue.group_rate = Some(Rate { count: 2, per });
        queue.group_concurrency = 1;
    };
    let world = World::with(limits, Clock::manual(chrono::Utc::now())).await;
    let unused = world.queue.limits(&["account".to_owned()]).await.expect("Redis");
    assert_eq!((unused.running, unused.rate.map(|rate| rate.left), unused.groups[0].running), (0, Some(4), 0));

    let working = world.work(Handlers::new().on(async |_: Chore| HandlerResult::Ok(())));
    for n in 0..5 {
        world.client.enqueue(&Chore::of_group(n, "account")).await.expect("accepted");
    }
    eventually("two started and three wait for the rate of their group", || async {
        let used = world.queue.limits(&[]).await.expect("Redis");
        let group = used.groups.iter().find(|group| group.group == "account");
        group.is_some_and(|group| group.parked == 3 && group.rate.as_ref().is_some_and(|rate| rate.left == 0))
    })
    .await;
    let used = world.queue.limits(&[]).await.expect("Redis");
    let of_queue = used.rate.expect("the queue has one");
    assert_eq!((of_queue.count, of_queue.left, of_queue.next), (4, 2, None));
    let of_group = used.groups[0].rate.clone().expect("groups have one");
    assert_eq!(of_group.next, Some(world.queue.now() + per / 2), "a start comes back every five minutes");
    working.stop().await;
}
