use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use chrono::TimeDelta;
use perch_base::settings::{History, QueueSettings, Rate};
use perch_queue::{
    Envelope, Fail, NewJob,
    testing::{self, AttemptEnd, FetchResult},
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    Ground,
    contents::{Contents, contents},
    for_all, start,
    support::{Chore, World, queue_settings},
    wish::{When, Wish, given, plain, wish},
};

/// The ways to fetch, each for a worker that was woken. All are compared with the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The general fetch, on its shortest path.
    General,
    /// The general fetch with limits that are never reached.
    AsLimited,
    /// The general fetch with cancelled ids to skip.
    AsSomeCancelled,
    /// The script for an idle worker's plain queue, and the general fetch where it takes nothing.
    BehindTheRead,
    /// The general script behind a blocking read, repeated if it is rejected.
    GeneralBehindTheRead,
}

const WAYS: [Way; 5] =
    [Way::General, Way::AsLimited, Way::AsSomeCancelled, Way::BehindTheRead, Way::GeneralBehindTheRead];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    None,
    Global,
    Group,
    Rate,
    GroupRate,
}

/// The outcome of a job that a worker had taken before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Held,
    Retried,
    GivenBack,
    Dead,
}

#[derive(Debug, Clone)]
struct Case {
    history: History,
    limit: Limit,
    /// What happened to each job that a worker had taken before; `wishes` are the jobs enqueued after those.
    begun: Vec<Fate>,
    wishes: Vec<Wish>,
    cancelled: Option<u8>,
    paused: bool,
    /// Whether another worker waits.
    others: bool,
    /// How the clock stands then.
    seconds: i64,
    slots: usize,
    reaped: usize,
}

/// Half of all queues are like those that idle workers usually find.
fn cases() -> impl Strategy<Value = Case> {
    prop_oneof![any_case(), any_case().prop_map(Case::such_as_idle_workers_find)]
}

fn any_case() -> impl Strategy<Value = Case> {
    let limits = vec![Limit::None, Limit::Global, Limit::Group, Limit::Rate, Limit::GroupRate];
    let settings = (select(vec![History::Failures, History::Full]), select(limits));
    let fates = vec(select(vec![Fate::Held, Fate::Held, Fate::Retried, Fate::GivenBack, Fate::Dead]), 0..3);
    let wishes = prop_oneof![vec(plain(), 0..9), vec(wish(), 0..9)];
    let jobs = (fates, wishes, prop::option::weighted(0.2, 0..8u8));
    let queue = (prop::bool::weighted(0.05), any::<bool>(), select(vec![-10, 0, 1, 1, 1, 3, 7]));
    (settings, jobs, queue, 1..8usize, select(vec![0, 100])).prop_map(
        |((history, limit), (begun, wishes, cancelled), (paused, others, seconds), slots, reaped)| Case {
            history,
            limit,
            begun,
            wishes,
            cancelled,
            paused,
            others,
            seconds,
            slots,
            reaped,
        },
    )
}

/// The result of a fetch, and the contents after it.
#[derive(Debug, PartialEq, Eq)]
struct Played {
    jobs: Vec<(String, String)>,
    paused: bool,
    next: Option<Duration>,
    contents: Contents,
}

impl Case {
    /// The same case without limits, and only with jobs that were never started, are running, or are not due.
    fn such_as_idle_workers_find(mut self) -> Self {
        self.begun.retain(|fate| *fate == Fate::Held);
        self.wishes.retain(|wish| wish.is_plain() || wish.when != When::Now && wish.priority.is_none());
        Self { limit: Limit::None, cancelled: None, paused: false, ..self }
    }

    fn settings(&self, way: Option<Way>) -> QueueSettings {
        let mut settings = queue_settings();
        settings.history = self.history;
        let rate = Some(Rate { count: 3, per: Duration::from_secs(6) });
        match self.limit {
            Limit::None => {}
            Limit::Global => settings.global_concurrency = 3,
            Limit::Group => settings.group_concurrency = 2,
            Limit::Rate => settings.rate = rate,
            Limit::GroupRate => settings.group_rate = rate,
        }
        if way == Some(Way::AsLimited) && self.limit != Limit::Global {
            settings.global_concurrency = 1_000_000;
        }
        settings
    }

    async fn prepare(&self, world: &World) {
        let numbered = |n: u8, mut job: NewJob| {
            job.options.id = Some(given(n));
            job
        };
        let begun = (100..)
            .zip(&self.begun)
            .map(|(n, _)| numbered(n, NewJob::of(&Chore::of_group(n.into(), "ann")).expect("JSON")));
        world.client.submit_all(begun.collect()).await;
        let fetched = testing::fetch(&world.queue, "other", self.begun.len().max(1), 0).await.expect("Redis").jobs;
        for ((lease, envelope), fate) in fetched.iter().zip(&self.begun) {
            let end = match fate {
                Fate::Held => continue,
                Fate::Retried => AttemptEnd::Failed(Fail::RetryAfter(Duration::from_secs(2), "not now".into())),
                Fate::GivenBack => AttemptEnd::Interrupted,
                Fate::Dead => AttemptEnd::Failed(Fail::Dead("it can never work".into())),
            };
            let envelope = Envelope::decode(envelope).expect("readable");
            assert!(testing::finish(&world.queue, lease, &envelope, end).await.expect("Redis"));
        }
        let jobs = (0..).zip(&self.wishes).map(|(n, wish)| numbered(n, wish.job()));
        world.client.submit_all(jobs.collect()).await;
        if let Some(n) = self.cancelled {
            world.queue.cancel(given(n), "ann", "not wanted").await.expect("Redis");
        }
        if self.others {
            testing::introduce(&world.queue, "waits", "{}").await.expect("Redis");
        }
        if self.paused {
            world.queue.pause("ann").await.expect("Redis");
        }
        let mut known = redis::cmd("HSET");
        known.arg(world.queue.keys().worker_info()).arg("me").arg(KNOWN_BY);
        known.exec_async(&mut world.redis.raw().await).await.expect("Redis");
    }

    async fn play(&self, ground: &Ground, way: Way, quick: &AtomicUsize) -> Played {
        self.prepare(&ground.empty(self.settings(None)).await).await;
        let now = start() + TimeDelta::seconds(self.seconds);
        let world = ground.world(self.settings(Some(way)), now);
        let cancelled = world.queue.keys().cancelled();
        let mark = async |verb: &str| {
            let done = redis::cmd(verb).arg(&cancelled).arg("nobody").exec_async(&mut world.redis.raw().await).await;
            done.expect("Redis");
        };
        take_token(&world).await;
        let fetched = match way {
            Way::General | Way::AsLimited => self.general(&world).await,
            Way::AsSomeCancelled => {
                mark("SADD").await;
                let fetched = self.general(&world).await;
                mark("SREM").await;
                fetched
            }
            Way::BehindTheRead if self.limit == Limit::None => self.behind(&world, true, quick).await,
            Way::BehindTheRead | Way::GeneralBehindTheRead => self.behind(&world, false, quick).await,
        };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let jobs = fetched.jobs.into_iter().map(|(lease, envelope)| (lease.member().to_owned(), text(envelope)));
        let left = contents(&mut world.redis.raw().await).await;
        Played { jobs: jobs.collect(), paused: fetched.paused, next: fetched.next, contents: telling(left, &world) }
    }

    async fn general(&self, world: &World) -> FetchResult {
        testing::fetch(&world.queue, "me", self.slots, self.reaped).await.expect("Redis")
    }

    async fn behind(&self, world: &World, plain: bool, quick: &AtomicUsize) -> FetchResult {
        let before = contents(&mut world.redis.raw().await).await;
        let sent = testing::fetch_behind(&world.queue, "me", self.slots, self.reaped, KNOWN_BY, plain).await;
        if let Some(fetched) = sent.expect("Redis") {
            quick.fetch_add(usize::from(plain), Ordering::Relaxed);
            return fetched;
        }
        assert!(take_token(world).await, "where it does not count, its token is put back");
        assert_eq!(contents(&mut world.redis.raw().await).await, before, "and nothing else has changed");
        self.general(world).await
    }
}

const KNOWN_BY: &str = r#"{"connection":1}"#;

/// Takes the token that wakes a worker; returns whether there was one.
async fn take_token(world: &World) -> bool {
    let mut take = redis::cmd("LPOP");
    take.arg(world.queue.keys().wake());
    let token: Option<String> = take.query_async(&mut world.redis.raw().await).await.expect("Redis");
    token.is_some()
}

/// Without the time of the last fetch, which quicker fetches record less often, and without the skip counts of empty lists, which
/// may only serve a list a little sooner.
fn telling(mut contents: Contents, world: &World) -> Contents {
    let keys = world.queue.keys();
    let waits = |priority| contents.contains_key(&keys.ready(priority));
    let (normal, low) = (waits(perch_job::Priority::Normal), waits(perch_job::Priority::Low));
    if let Some(state) = contents.get_mut(&keys.state()) {
        state.retain(|row| match row.split_once(' ').expect("a field and a value") {
            ("clock", _) => false,
            ("passed_normal", n) => normal && n != "0",
            ("passed_low", n) => low && n != "0",
            _ => true,
        });
    }
    contents.retain(|_, rows| !rows.is_empty());
    contents
}

#[test]
fn every_way_of_fetching_takes_the_same_jobs_and_leaves_the_same_behind() {
    const CASES: u32 = 100;
    let quick = AtomicUsize::new(0);
    for_all(CASES, cases(), &async |ground, case: Case| {
        let [first, others @ ..] = WAYS;
        let expected = case.play(ground, first, &quick).await;
        for way in others {
            let played = case.play(ground, way, &quick).await;
            assert_eq!(played, expected, "{way:?}, and as expected from {first:?}");
        }
    });
    assert!(
        quick.into_inner() > CASES as usize / 10,
        "the script for an idle worker's plain queue hardly ever counted"
    );
}
