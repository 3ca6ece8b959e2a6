//! Many successes acknowledged in one call: only those whose lease is still held count, and nothing else changes.

mod support;

use std::time::Duration;

use chrono::Utc;
use perch_base::{Clock, settings::History};
use perch_job::{JobId, Priority};
use perch_queue::{
    Envelope, EventKind, Fail, JobState, Lease,
    testing::{self, AttemptEnd},
};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use support::{Chore, World};

/// The state of a job when the worker that leased it first acknowledges its success.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// The worker holds the lease.
    Held,
    /// It was acknowledged before, and the reply was lost.
    Ended,
    /// The lease ran out; the job waits for its second attempt.
    RanOut,
    /// The lease ran out, and another worker has the second attempt.
    RanOutAndTaken,
    /// Redis has lost the lease, and the job waits as before.
    Back,
    /// Redis has lost the lease, and another worker has taken the job.
    BackAndTaken,
    /// Redis has lost the lease, and the job is parked.
    BackInGroup,
    /// It waits for its second attempt, which is not due.
    PutOff,
    /// It waits for another first attempt, which is not due.
    Snoozed,
    /// It is dead.
    Dead,
}

use Fate::{Back, BackAndTaken, BackInGroup, Dead, Ended, Held, PutOff, RanOut, RanOutAndTaken, Snoozed};

const FATES: [Fate; 10] = [Held, Ended, RanOut, RanOutAndTaken, Back, BackAndTaken, BackInGroup, PutOff, Snoozed, Dead];

struct Play {
    world: World,
    clock: Clock,
    fates: Vec<Fate>,
    leases: Vec<(Lease, Envelope)>,
}

impl Play {
    async fn start(history: History, fates: &[Fate]) -> Self {
        let clock = Clock::manual(Utc::now());
        let world = World::with(|queue, _| queue.history = history, clock.clone()).await;
        for n in 0..fates.len() as u64 {
            world.client.enqueue(&Chore::number(n)).await.expect("accepted");
        }
        let leases = take(&world, "first", fates.len()).await;
        Self { world, clock, fates: fates.to_vec(), leases }
    }

    fn of(&self, wanted: impl Fn(Fate) -> bool) -> Vec<Lease> {
        self.leases.iter().zip(&self.fates).filter(|(_, f)| wanted(**f)).map(|((lease, _), _)| lease.clone()).collect()
    }

    async fn end(&self, wanted: Fate, end: impl Fn() -> AttemptEnd) {
        for ((lease, envelope), _) in self.leases.iter().zip(&self.fates).filter(|(_, fate)| **fate == wanted) {
            assert!(testing::finish(&self.world.queue, lease, envelope, end()).await.expect("Redis"));
        }
    }

    /// Lets the leases of some jobs run out; another worker takes some of these.
    async fn run_out(&self) {
        let lease = self.world.queue.engine().lease;
        self.clock.advance(lease * 2 / 3);
        let others = self.of(|fate| !matches!(fate, RanOut | RanOutAndTaken));
        testing::renew(&self.world.queue, "first", &others, 0).await.expect("Redis");
        self.clock.advance(lease * 2 / 3);
        testing::fetch(&self.world.queue, "other", 0, 100).await.expect("Redis");
        let back: Vec<JobId> = self.of(|fate| fate == RanOut).iter().map(Lease::id).collect();
        let mut taken = take(&self.world, "other", self.fates.len()).await;
        taken.retain(|(lease, _)| back.contains(&lease.id()));
        // Jobs that only wait are released, as by a worker that stops.
        for (lease, envelope) in taken {
            assert!(
                testing::finish(&self.world.queue, &lease, &envelope, AttemptEnd::Interrupted).await.expect("Redis")
            );
        }
    }

    /// Puts jobs back to the front, as in a Redis with older data.
    async fn put_back(&self, wanted: Fate) {
        let keys = self.world.queue.keys();
        let normal = Priority::Normal;
        let list = if wanted == BackInGroup { keys.parked_in(normal, "a") } else { keys.ready(normal) };
        for lease in self.of(|fate| fate == wanted) {
            let mut pipe = redis::pipe();
            pipe.zrem(keys.leases(), lease.member()).lpush(&list, lease.id().to_string());
            if wanted == BackInGroup {
                pipe.zadd(keys.parked_groups(), "a", 0);
            }
            pipe.exec_async(&mut self.world.redis.raw().await).await.expect("Redis");
        }
    }

    async fn states(&self) -> Vec<Option<JobState>> {
        let mut states = Vec::new();
        for (lease, _) in &self.leases {
            states.push(self.world.queue.job(lease.id()).await.expect("Redis").map(|view| view.state));
        }
        states
    }

    async fn acknowledge(&self) {
        self.end(Ended, || AttemptEnd::Succeeded).await;
        let hour = Duration::from_secs(3_600);
        self.end(PutOff, || AttemptEnd::Failed(Fail::RetryAfter(hour, "later".into()))).await;
        self.end(Snoozed, || AttemptEnd::Failed(Fail::Snooze(hour, "later".into()))).await;
        self.end(Dead, || AttemptEnd::Failed(Fail::Dead("hopeless".into()))).await;
        self.run_out().await;
        self.put_back(BackAndTaken).await;
        let more = self.of(|fate| fate == BackAndTaken).len();
        assert_eq!(take(&self.world, "another", more).await.len(), more);
        self.put_back(Back).await;
        self.put_back(BackInGroup).await;
        let stats = || async { self.world.queue.stats().await.expect("Redis") };
        let (before, stood) = (stats().await, self.states().await);

        let held = testing::succeed(&self.world.queue, &self.of(|_| true)).await.expect("Redis");

        let really: Vec<bool> = self.fates.iter().map(|fate| *fate == Held).collect();
        assert_eq!(held, really, "{:?}", self.fates);
        let many = really.iter().filter(|held| **held).count() as u64;
        let after = stats().await;
        assert_eq!(after.succeeded, before.succeeded + many);
        assert_eq!(after.running, before.running - many);
        assert_eq!((after.waiting(), after.delayed, after.dead), (before.waiting(), before.delayed, before.dead));
        let unless_held = |(state, held): (Option<JobState>, &bool)| if *held { None } else { state };
        let left: Vec<Option<JobState>> = stood.into_iter().zip(&really).map(unless_held).collect();
        assert_eq!(self.states().await, left, "{:?}", self.fates);
        let told = self.world.count(EventKind::Succeeded).await as u64;
        let full = self.world.queue.settings().history == History::Full;
        assert_eq!(told, if full { after.succeeded } else { 0 });
    }
}

async fn take(world: &World, holder: &str, most: usize) -> Vec<(Lease, Envelope)> {
    let fetched = testing::fetch(&world.queue, holder, most, 0).await.expect("Redis").jobs;
    fetched.into_iter().map(|(lease, text)| (lease, Envelope::decode(&text).expect("readable"))).collect()
}

#[test]
fn of_many_acknowledged_at_once_those_count_whose_lease_is_held() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    // Mostly held, because a few lost leases among many are the hard case.
    let fate = prop_oneof![Just(Held), select(&FATES[..])];
    let cases = (select(vec![History::Failures, History::Full]), prop::collection::vec(fate, 1..10));
    let played = runner.run(&cases, |(history, fates)| {
        runtime.block_on(async { Play::start(history, &fates).await.acknowledge().await });
        Ok(())
    });
    assert!(played.is_ok(), "{played:?}");
}

/// A worker may hold two leases of a job for a moment, when the first was lost.
#[tokio::test]
async fn of_two_leases_of_a_job_only_the_one_that_is_held_counts() {
    for history in [History::Failures, History::Full] {
        let play = Play::start(history, &[Held, Back, Held]).await;
        play.put_back(Back).await;
        let again = take(&play.world, "first", 1).await.remove(0).0;
        let leases: Vec<Lease> = play.of(|_| true).into_iter().chain([again]).collect();
        assert_eq!(leases[1].id(), leases[3].id());
        let held = testing::succeed(&play.world.queue, &leases).await.expect("Redis");
        assert_eq!(held, [true, false, true, true]);
        let stats = play.world.queue.stats().await.expect("Redis");
        assert_eq!((stats.succeeded, stats.running), (3, 0));
    }
}

/// A planted member is not a lease and affects no others.
#[tokio::test]
async fn what_is_planted_among_the_leases_changes_nothing() {
    let play = Play::start(History::Failures, &[Held, Ended, Held]).await;
    let mut planted = redis::cmd("ZADD");
    planted.arg(play.world.queue.keys().leases()).arg(9e15).arg("no lease").arg(-1).arg("nor this");
    planted.exec_async(&mut play.world.redis.raw().await).await.expect("ZADD");
    play.end(Ended, || AttemptEnd::Succeeded).await;
    let held = testing::succeed(&play.world.queue, &play.of(|_| true)).await.expect("Redis");
    assert_eq!(held, [true, false, true]);
}

#[tokio::test]
async fn where_no_lease_was_held_nothing_is_changed() {
    let play = Play::start(History::Failures, &[Held, Held]).await;
    let mut gone = redis::cmd("DEL");
    gone.arg(play.world.queue.keys().leases());
    gone.exec_async(&mut play.world.redis.raw().await).await.expect("DEL");
    let held = testing::succeed(&play.world.queue, &play.of(|_| true)).await.expect("Redis");
    assert_eq!(held, [false, false]);
    assert!(play.world.queue.job(play.leases[0].0.id()).await.expect("Redis").is_some());
    assert_eq!(play.world.queue.stats().await.expect("Redis").succeeded, 0);
}
