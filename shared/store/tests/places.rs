//! Places: how much an account publishes in a day, and how soon after another act.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::{Clock, Environment};
use perch_jobs::AccountId;
use perch_store::{KnownAct, PlaceAnswer, PlaceKind, PlaceRequest, Places};
use perch_testkit::TestRedis;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

const WITHIN: Duration = Duration::from_secs(10);
static MAIN: LazyLock<AccountId> = LazyLock::new(|| AccountId::from_static("main"));

fn midnight() -> DateTime<Utc> {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

/// The limits of a world: the least time between two, most a day, most replies a day.
#[derive(Clone, Copy)]
struct Limits(Duration, u32, u32);

struct World {
    places: Places,
    clock: Clock,
    limits: Limits,
    per_three_hours: u32,
    redis: TestRedis,
}

impl World {
    async fn start(limits: Limits) -> Self {
        let (redis, clock) = (TestRedis::claim().await, Clock::manual(midnight()));
        let places = Places::new(redis.door(), Environment::Staging).with_clock(clock.clone());
        Self { places, clock, limits, per_three_hours: 0, redis }
    }

    async fn take(&self, kind: PlaceKind, key: &str, holder: &str) -> PlaceAnswer {
        self.places.take(&self.ask(kind, key, holder)).await.unwrap()
    }

    async fn post(&self, key: &str) -> PlaceAnswer {
        self.take(PlaceKind::Post, key, "one").await
    }

    fn ask<'a>(&self, kind: PlaceKind, key: &'a str, holder: &'a str) -> PlaceRequest<'a> {
        const DAY: TimeDelta = TimeDelta::days(1);
        let Limits(min_interval, per_day, replies) = self.limits;
        let day = midnight() + DAY * i32::try_from((self.clock.now() - midnight()).num_days()).unwrap();
        let of_kind = if kind == PlaceKind::Reply { replies } else { 0 };
        PlaceRequest {
            account: &MAIN,
            kind,
            key,
            holder,
            within: WITHIN,
            from: day,
            until: day + DAY,
            day,
            min_interval,
            per_day,
            of_kind,
            per_three_hours: self.per_three_hours,
            counted: true,
        }
    }
}

#[tokio::test]
async fn a_day_has_so_many_places_and_the_next_one_has_them_anew() {
    let world = World::start(Limits(Duration::ZERO, 2, 1)).await;
    assert_eq!(world.take(PlaceKind::Reply, "a", "one").await, PlaceAnswer::Taken);
    assert_eq!(world.take(PlaceKind::Reply, "b", "one").await, PlaceAnswer::FullOfKind);
    assert_eq!(world.take(PlaceKind::Retweet, "c", "one").await, PlaceAnswer::Taken);
    assert_eq!(world.post("d").await, PlaceAnswer::Full);
    let used = world.places.used(&MAIN, midnight()).await.unwrap();
    assert_eq!((used.posts, used.replies, used.retweets, used.total()), (0, 1, 1, 2));
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(world.post("d").await, PlaceAnswer::Taken);
}

#[tokio::test]
async fn any_three_hours_have_so_many_places_whatever_their_kind_and_those_who_wait_ask_again_when_one_is_free() {
    let world = World { per_three_hours: 3, ..World::start(Limits(Duration::ZERO, 0, 0)).await };
    let minutes = |n: u64| Duration::from_secs(60 * n);
    for (kind, key) in [(PlaceKind::Post, "a"), (PlaceKind::Reply, "b"), (PlaceKind::Retweet, "c")] {
        assert_eq!(world.take(kind, key, "one").await, PlaceAnswer::Taken);
        world.clock.advance(minutes(30));
    }
    assert_eq!(world.take(PlaceKind::Retweet, "c", "two").await, PlaceAnswer::Taken, "its own place");
    let used = world.places.used(&MAIN, midnight()).await.unwrap();
    assert_eq!((used.recent, used.recent_since), (3, Some(midnight() + TimeDelta::from_std(WITHIN).unwrap())));
    let PlaceAnswer::FullWindow(again) = world.post("d").await else { panic!("all three are taken") };
    let free = midnight() + TimeDelta::hours(3) + TimeDelta::from_std(WITHIN).unwrap();
    assert!(again > free && again <= free + TimeDelta::minutes(16), "{again}");
    world.clock.advance(minutes(90));
    assert!(matches!(world.post("d").await, PlaceAnswer::FullWindow(_)));
    world.clock.advance(WITHIN + Duration::from_secs(1));
    assert_eq!(world.post("d").await, PlaceAnswer::Taken);
    assert!(matches!(world.post("e").await, PlaceAnswer::FullWindow(_)), "the next one is free half an hour later");
}

#[tokio::test]
async fn an_effect_has_one_place_however_often_it_is_tried() {
    let world = World::start(Limits(Duration::ZERO, 1, 0)).await;
    for holder in ["one", "two", "three"] {
        assert_eq!(world.take(PlaceKind::Post, "a", holder).await, PlaceAnswer::Taken, "{holder}");
    }
    assert!(!world.places.leave(&MAIN, "a", "one").await.unwrap(), "the place is another's by now");
    assert_eq!(world.post("b").await, PlaceAnswer::Full);
    assert!(world.places.leave(&MAIN, "a", "three").await.unwrap());
    assert_eq!(world.post("b").await, PlaceAnswer::Taken);
}

#[tokio::test]
async fn an_effect_that_gets_no_new_place_keeps_the_one_it_has() {
    let minute = Duration::from_secs(60);
    let world = World::start(Limits(minute, 0, 0)).await;
    assert_eq!(world.post("a").await, PlaceAnswer::Taken);
    world.clock.advance(minute + WITHIN);
    assert_eq!(world.post("b").await, PlaceAnswer::Taken);
    assert!(matches!(world.take(PlaceKind::Post, "a", "two").await, PlaceAnswer::Early(_)));
    assert_eq!(world.places.used(&MAIN, midnight()).await.unwrap().posts, 2);
}

#[tokio::test]
async fn the_next_act_waits_from_the_moment_at_which_the_last_one_was_seen_to_have_begun() {
    let minute = Duration::from_secs(60);
    let world = World::start(Limits(minute, 0, 0)).await;
    assert_eq!(world.post("a").await, PlaceAnswer::Taken);
    let unknown = midnight() + WITHIN + minute;
    assert_eq!(world.post("b").await, PlaceAnswer::Early(unknown), "it may yet begin");
    world.clock.advance(Duration::from_secs(2));
    assert!(world.places.keep(&MAIN, "a", "one").await.unwrap());
    world.clock.advance(Duration::from_millis(59_999));
    assert!(matches!(world.post("b").await, PlaceAnswer::Early(_)));
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.post("b").await, PlaceAnswer::Taken);
}

#[tokio::test]
async fn those_who_come_too_early_get_turns_one_after_the_other_and_none_far_ahead() {
    let minute = Duration::from_secs(60);
    let world = World::start(Limits(minute, 0, 0)).await;
    world.post("first").await;
    world.places.keep(&MAIN, "first", "one").await.unwrap();
    let mut turns = Vec::new();
    for n in 0..100 {
        let PlaceAnswer::Early(at) = world.post(&format!("{n}")).await else { panic!("{n} is too early") };
        turns.push((at - midnight()).num_seconds());
    }
    assert_eq!(turns[..4], [60, 120, 180, 240]);
    assert!(turns.iter().all(|turn| *turn <= 17 * 60), "{turns:?}");
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(world.post("late").await, PlaceAnswer::Taken, "turns that nobody came for hold nobody up");
}

#[tokio::test]
async fn a_time_that_the_caller_did_not_think_of_is_told_and_takes_nothing() {
    let world = World::start(Limits(Duration::ZERO, 5, 0)).await;
    let ask = world.ask(PlaceKind::Post, "a", "one");
    world.clock.advance(Duration::from_secs(86_400 - 9));
    assert_eq!(world.places.take(&ask).await.unwrap(), PlaceAnswer::ClockMismatch(world.clock.now()));
    assert_eq!(world.places.used(&MAIN, midnight()).await.unwrap().total(), 0);
}

/// As after a failover to a server whose clock is behind.
#[tokio::test]
async fn a_clock_that_went_back_holds_an_account_up_no_longer_than_its_interval() {
    let minute = Duration::from_secs(60);
    let world = World::start(Limits(minute, 0, 0)).await;
    let ahead = Clock::manual(midnight() + TimeDelta::hours(1));
    let before = Places::new(world.redis.door(), Environment::Staging).with_clock(ahead);
    assert_eq!(before.take(&world.ask(PlaceKind::Post, "a", "one")).await.unwrap(), PlaceAnswer::Taken);
    for waits in ["b", "c", "d"] {
        let answer = before.take(&world.ask(PlaceKind::Post, waits, "one")).await.unwrap();
        assert!(matches!(answer, PlaceAnswer::Early(_)), "{answer:?}");
    }
    assert_eq!(
        world.post("b").await,
        PlaceAnswer::Early(midnight() + minute),
        "the last act may have been a moment ago"
    );
    world.clock.advance(minute);
    assert_eq!(world.post("b").await, PlaceAnswer::Taken);
    assert_eq!(world.places.used(&MAIN, midnight()).await.unwrap().posts, 2);
}

#[tokio::test]
async fn an_act_of_a_clock_that_was_days_ahead_counts_for_one_day() {
    let world = World::start(Limits(Duration::ZERO, 1, 0)).await;
    let acts = [KnownAct { key: "a".into(), kind: PlaceKind::Post, at: midnight() + TimeDelta::days(1) }];
    world.places.count(&MAIN, &acts, WITHIN).await.unwrap();
    assert_eq!(world.post("b").await, PlaceAnswer::Full);
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(world.post("b").await, PlaceAnswer::Taken);
}

#[tokio::test]
async fn a_redis_that_knows_nothing_of_an_account_is_told_what_the_ledger_knows() {
    let world = World::start(Limits(Duration::ZERO, 3, 0)).await;
    let ask = PlaceRequest { counted: false, ..world.ask(PlaceKind::Post, "new", "one") };
    assert_eq!(world.places.take(&ask).await.unwrap(), PlaceAnswer::Uncounted);
    let act = |key: &str, kind| KnownAct { key: key.into(), kind, at: midnight() };
    let known = [act("a", PlaceKind::Post), act("b", PlaceKind::Reply)];
    for _ in 0..2 {
        world.places.count(&MAIN, &known, WITHIN).await.unwrap();
    }
    let used = world.places.used(&MAIN, midnight()).await.unwrap();
    assert_eq!((used.posts, used.replies, used.retweets), (1, 1, 0));
    assert_eq!(world.places.take(&ask).await.unwrap(), PlaceAnswer::Taken);
    assert_eq!(world.post("one too many").await, PlaceAnswer::Full);
}

#[tokio::test]
async fn what_is_over_is_forgotten_and_every_key_is_under_the_prefix_and_ends() {
    let world = World::start(Limits(Duration::from_secs(1), 0, 0)).await;
    world.post("a").await;
    world.post("b").await;
    world.clock.advance(Duration::from_secs(3 * 86_400));
    assert_eq!(world.post("c").await, PlaceAnswer::Taken);
    let mut raw = world.redis.raw().await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut raw).await.unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        let ttl: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut raw).await.unwrap();
        assert!(key.starts_with("stg:{posting:main}:") && ttl > 0, "{key} ends in {ttl} ms");
    }
    let held: usize = redis::cmd("HLEN").arg("stg:{posting:main}:holders").query_async(&mut raw).await.unwrap();
    assert_eq!(held, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_ask_at_once_no_more_get_in_than_the_day_allows() {
    const CAP: u32 = 10;
    let world = Arc::new(World::start(Limits(Duration::ZERO, CAP, 0)).await);
    let began = Arc::new(AtomicU32::new(0));
    let tasks = (0..60_u64).map(|n| {
        let (world, began) = (world.clone(), began.clone());
        tokio::spawn(async move {
            let mut luck = SmallRng::seed_from_u64(n);
            let key = format!("{n}");
            for attempt in 0..20 {
                let holder = format!("{n}:{attempt}");
                if world.take(PlaceKind::Post, &key, &holder).await != PlaceAnswer::Taken {
                    continue;
                }
                match luck.random_range(0..4) {
                    // It died, and is retried.
                    0 => {}
                    1 => assert!(world.places.leave(&MAIN, &key, &holder).await.unwrap()),
                    died_or_not => {
                        began.fetch_add(1, Ordering::SeqCst);
                        if died_or_not == 2 {
                            assert!(world.places.keep(&MAIN, &key, &holder).await.unwrap());
                        }
                        return;
                    }
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert!((1..=CAP).contains(&began.load(Ordering::SeqCst)), "{began:?}");
    assert!(world.places.used(&MAIN, midnight()).await.unwrap().total() <= u64::from(CAP));
}

/// A job that publishes, as far as places go.
#[derive(Clone)]
enum Job {
    Waits,
    Admitted { holder: String, at: DateTime<Utc> },
    Began { holder: String },
    Done,
}

#[tokio::test]
async fn whatever_the_order_and_whoever_dies_the_day_and_the_spacing_are_kept() {
    let interval = Duration::from_secs(45);
    for seed in 0..25_u64 {
        let mut luck = SmallRng::seed_from_u64(seed);
        let world = World::start(Limits(interval, 6, 3)).await;
        let mut jobs: Vec<Job> = vec![Job::Waits; 24];
        let mut began: Vec<(DateTime<Utc>, PlaceKind)> = Vec::new();
        for step in 0..250 {
            let longest = if luck.random_bool(0.8) { 20_000 } else { 7_200_000 };
            world.clock.advance(Duration::from_millis(luck.random_range(0..longest)));
            let now = world.clock.now();
            let n = luck.random_range(0..jobs.len());
            let kind = if n % 2 == 0 { PlaceKind::Reply } else { PlaceKind::Post };
            let (key, holder) = (format!("{n}"), format!("{n}:{step}"));
            jobs[n] = match jobs[n].clone() {
                Job::Waits => match world.take(kind, &key, &holder).await {
                    PlaceAnswer::Taken => Job::Admitted { holder, at: now },
                    _ => Job::Waits,
                },
                Job::Admitted { holder, at } => match luck.random_range(0..4) {
                    0 => Job::Waits,
                    1 => {
                        world.places.leave(&MAIN, &key, &holder).await.unwrap();
                        Job::Waits
                    }
                    // It begins at some moment within its time, and this process learns of it now.
                    _ => {
                        let latest = (now - at).min(TimeDelta::from_std(WITHIN).unwrap()).num_milliseconds();
                        began.push((at + TimeDelta::milliseconds(luck.random_range(0..=latest)), kind));
                        Job::Began { holder }
                    }
                },
                Job::Began { holder } => {
                    if luck.random_bool(0.7) {
                        world.places.keep(&MAIN, &key, &holder).await.unwrap();
                    }
                    Job::Done
                }
                Job::Done => Job::Done,
            };
        }
        began.sort_unstable_by_key(|(at, _)| *at);
        let mut days = BTreeMap::<i64, (u32, u32)>::new();
        for (at, kind) in &began {
            let day = days.entry((*at - midnight()).num_days()).or_default();
            day.0 += 1;
            day.1 += u32::from(*kind == PlaceKind::Reply);
        }
        assert!(days.values().all(|(all, replies)| *all <= 6 && *replies <= 3), "seed {seed}: {days:?}");
        let close = began.windows(2).find(|pair| pair[1].0 - pair[0].0 < TimeDelta::from_std(interval).unwrap());
        assert!(close.is_none(), "seed {seed}: {close:?}");
        assert!(began.len() >= 4, "seed {seed}: only {}", began.len());
    }
}
