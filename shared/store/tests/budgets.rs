//! What the budgets of paid services promise.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use perch_base::{Environment, Paging, settings::PostgresSettings};
use perch_queue::Redis;
use perch_store::{Allowance, Balance, Budgets, Reservation, SpendKind, SpendLimit, SpendRecord, Store, day, month};
use perch_testkit::{TestDatabase, TestRedis, redis_settings};
use secrecy::SecretString;

const CENT: i64 = 10_000;

fn budget(day: i64, month: i64) -> Allowance {
    Allowance { day, month, rate: None }
}

/// Noon, so that the day does not end during a test.
fn noon() -> DateTime<Utc> {
    day(Utc::now()) + TimeDelta::hours(12)
}

fn spent(id: &str, at: DateTime<Utc>, micros: i64) -> SpendRecord {
    SpendRecord {
        id: id.into(),
        at,
        provider: "grok".into(),
        bot: "reader".into(),
        account: None,
        kind: SpendKind::Model,
        units: 1,
        model: Some("grok-4".into()),
        prompt_tokens: 10,
        completion_tokens: 5,
        micros,
        job_id: None,
    }
}

/// A Redis that does not answer.
fn nowhere() -> Redis {
    Redis::new(&SecretString::from("redis://127.0.0.1:1"), &redis_settings()).unwrap()
}

struct World {
    redis: TestRedis,
    store: Store,
    _database: TestDatabase,
}

impl World {
    async fn start() -> Self {
        let (redis, database) = (TestRedis::claim().await, TestDatabase::create().await);
        Self { redis, store: database.store(Environment::Staging), _database: database }
    }

    fn budgets(&self) -> Budgets {
        Budgets::new(self.redis.door(), self.store.clone(), Environment::Staging)
    }
}

#[tokio::test]
async fn calls_at_the_same_time_do_not_overspend_together() {
    let world = World::start().await;
    let (budgets, now) = (world.budgets(), noon());
    let asked = (0..50).map(|_| budgets.reserve("grok", CENT, budget(10 * CENT, 0), now));
    let made = join_all(asked).await.into_iter().filter(|one| matches!(one, Ok(Reservation::Made { .. }))).count();
    assert_eq!(made, 10);
    assert_eq!(budgets.balance("grok", now).await.unwrap().day, 10 * CENT);
}

#[tokio::test]
async fn what_a_call_did_not_use_can_be_spent_by_another_and_a_used_up_budget_says_until_when() {
    let world = World::start().await;
    let (budgets, now) = (world.budgets(), noon());
    let allowed = budget(10 * CENT, 15 * CENT);
    budgets.reserve("grok", 10 * CENT, allowed, now).await.unwrap();
    let Reservation::Refused { spent: SpendLimit::Day, after } =
        budgets.reserve("grok", CENT, allowed, now).await.unwrap()
    else {
        panic!("the day is used up")
    };
    assert_eq!(after, Duration::from_secs(12 * 3_600 + 1));
    budgets.correct("grok", -4 * CENT, now).await.unwrap();
    assert_eq!(budgets.reserve("grok", 4 * CENT, allowed, now).await.unwrap(), Reservation::Made { at: now });
    let tomorrow = now + TimeDelta::days(1);
    let held = budgets.reserve("grok", 6 * CENT, allowed, tomorrow).await.unwrap();
    let next_month = tomorrow.format("%m").to_string() != now.format("%m").to_string();
    assert!(next_month || matches!(held, Reservation::Refused { spent: SpendLimit::Month, .. }), "{held:?}");
}

#[tokio::test]
async fn where_redis_forgot_what_was_spent_postgres_tells_it() {
    let world = World::start().await;
    let (budgets, now) = (world.budgets(), noon());
    let yesterday = now - TimeDelta::days(1);
    world.store.record(&[spent("1", now, 7 * CENT), spent("2", yesterday, 2 * CENT)]).await.unwrap();
    let held = budgets.reserve("grok", 4 * CENT, budget(10 * CENT, 0), now).await.unwrap();
    assert!(matches!(held, Reservation::Refused { spent: SpendLimit::Day, .. }), "{held:?}");
    assert_eq!(budgets.balance("grok", now).await.unwrap().day, 7 * CENT);
}

#[tokio::test]
async fn a_redis_that_is_wiped_amid_a_call_does_not_take_its_correction_for_all_that_was_spent() {
    let world = World::start().await;
    let (budgets, now) = (world.budgets(), noon());
    let allowed = budget(10 * CENT, 0);
    world.store.record(&[spent("1", now, 7 * CENT)]).await.unwrap();
    budgets.reserve("grok", 3 * CENT, allowed, now).await.unwrap();
    redis::cmd("FLUSHDB").exec_async(&mut world.redis.raw().await).await.unwrap();
    budgets.correct("grok", -3 * CENT, now).await.unwrap();
    let held = budgets.reserve("grok", 4 * CENT, allowed, now).await.unwrap();
    assert!(matches!(held, Reservation::Refused { spent: SpendLimit::Day, .. }), "{held:?}");
}

#[tokio::test]
async fn a_sum_that_is_no_number_is_asked_for_again() {
    let world = World::start().await;
    let (budgets, now) = (world.budgets(), noon());
    world.store.record(&[spent("1", now, 7 * CENT)]).await.unwrap();
    let key = format!("stg:{{spend:grok}}:{}", now.format("%Y-%m-%d"));
    redis::cmd("SET").arg(key).arg("seven cents").exec_async(&mut world.redis.raw().await).await.unwrap();
    let made = budgets.reserve("grok", 3 * CENT, budget(10 * CENT, 0), now).await.unwrap();
    assert_eq!(made, Reservation::Made { at: now });
    assert_eq!(budgets.balance("grok", now).await.unwrap().day, 10 * CENT);
}

#[tokio::test]
async fn what_nobody_can_tell_is_not_taken_for_nothing_and_is_asked_for_again() {
    let world = World::start().await;
    let (budgets, now) = (world.budgets(), noon());
    world.store.record(&[spent("1", now, 7 * CENT)]).await.unwrap();
    let nowhere = SecretString::from("postgres://nobody@127.0.0.1:1/nothing");
    let second = Duration::from_secs(1);
    let settings = PostgresSettings { max_connections: 1, acquire_timeout: second, statement_timeout: second };
    let away = Store::connect_lazy(&nowhere, Environment::Staging, &settings).unwrap();
    let blind = Budgets::new(world.redis.door(), away, Environment::Staging);
    assert!(blind.reserve("grok", 4 * CENT, budget(10 * CENT, 0), now).await.is_err());
    let held = budgets.reserve("grok", 4 * CENT, budget(10 * CENT, 0), now).await.unwrap();
    assert!(matches!(held, Reservation::Refused { spent: SpendLimit::Day, .. }), "{held:?}");
}

#[tokio::test]
async fn a_day_that_begins_while_postgres_is_away_keeps_the_budget_of_its_month() {
    let world = World::start().await;
    // The fifteenth, so that the next day is in the same month.
    let today = month(Utc::now()) + TimeDelta::days(14) + TimeDelta::hours(12);
    let allowed = budget(0, 3 * CENT);
    let reserve = async |micros, at| world.budgets().reserve("grok", micros, allowed, at).await.unwrap();
    assert!(matches!(reserve(2 * CENT, today).await, Reservation::Made { .. }));
    world.store.close().await;
    let tomorrow = today + TimeDelta::days(1);
    assert!(matches!(reserve(CENT, tomorrow).await, Reservation::Made { .. }), "nobody has to be asked");
    assert!(matches!(reserve(CENT, tomorrow).await, Reservation::Refused { spent: SpendLimit::Month, .. }));
    assert_eq!(world.budgets().balance("grok", tomorrow).await.unwrap().day, CENT);
}

#[tokio::test]
async fn the_last_call_that_a_budget_refused_is_kept_with_its_cost() {
    let world = World::start().await;
    let (budgets, now) = (world.budgets(), noon());
    assert_eq!(budgets.last_refusal("grok", now).await.unwrap(), None);
    for (cents, allowed) in [(3, budget(2 * CENT, 0)), (4, budget(0, 2 * CENT))] {
        budgets.reserve("grok", cents * CENT, allowed, now).await.unwrap();
    }
    let hold = budgets.last_refusal("grok", now).await.unwrap().expect("it was refused");
    assert_eq!((hold.spent, hold.micros), (SpendLimit::Month, 4 * CENT));
    assert!((Utc::now() - hold.at).num_minutes() < 5, "{}", hold.at);
}

#[tokio::test]
async fn a_rate_lets_its_calls_come_at_once_and_then_one_at_a_time() {
    let world = World::start().await;
    let (budgets, now) = (world.budgets(), noon());
    let allowed = Allowance { rate: Some((3, Duration::from_secs(3_600))), ..Allowance::default() };
    for _ in 0..3 {
        assert_eq!(budgets.reserve("grok", CENT, allowed, now).await.unwrap(), Reservation::Made { at: now });
    }
    let held = budgets.reserve("grok", CENT, allowed, now).await.unwrap();
    let Reservation::Refused { spent: SpendLimit::Rate, after } = held else { panic!("the rate is used up: {held:?}") };
    assert!(after > Duration::from_secs(1_190) && after <= Duration::from_secs(1_200), "{after:?}");
    assert_eq!(budgets.balance("grok", now).await.unwrap().day, 3 * CENT, "what is held back sets nothing aside");
}

#[tokio::test]
async fn a_rate_goes_on_though_the_clock_of_redis_went_back_an_hour() {
    let world = World::start().await;
    let (budgets, now) = (world.budgets(), noon());
    let allowed = Allowance { rate: Some((1, Duration::from_secs(60))), ..Allowance::default() };
    // As set by a clock that was an hour ahead.
    let ahead = (Utc::now() + TimeDelta::hours(1)).timestamp_millis();
    let mut set = redis::cmd("SET");
    set.arg("stg:{spend:grok}:next").arg(ahead);
    set.exec_async(&mut world.redis.raw().await).await.unwrap();
    assert_eq!(budgets.reserve("grok", CENT, allowed, now).await.unwrap(), Reservation::Made { at: now });
    let held = budgets.reserve("grok", CENT, allowed, now).await.unwrap();
    assert!(
        matches!(held, Reservation::Refused { spent: SpendLimit::Rate, after } if after <= Duration::from_secs(60)),
        "{held:?}"
    );
}

#[tokio::test]
async fn what_was_spent_is_added_up_by_day_month_and_week() {
    let world = World::start().await;
    let now = noon();
    let (today, month) = (day(now), perch_store::month(now));
    let records = [
        spent("a", now, 3 * CENT),
        spent("b", today - TimeDelta::days(2), 4 * CENT),
        spent("c", today - TimeDelta::days(40), 100 * CENT),
    ];
    world.store.record(&records).await.unwrap();
    world.store.record(&records).await.unwrap();
    let sums = world.store.spend().by_provider(today, month).await.unwrap();
    let [grok] = sums.as_slice() else { panic!("{sums:?}") };
    assert_eq!((grok.day, grok.week, grok.days), (3 * CENT, 4 * CENT, 7));
    let young = SpendRecord { provider: "openai".into(), ..spent("d", today - TimeDelta::days(2), 4 * CENT) };
    world.store.record(&[young]).await.unwrap();
    let sums = world.store.spend().by_provider(today, month).await.unwrap();
    assert_eq!(sums.iter().find(|sum| sum.provider == "openai").map(|sum| (sum.week, sum.days)), Some((4 * CENT, 2)));
    let (_, _, page) = world.store.spend().sums(today, now + TimeDelta::hours(1), &Paging::default()).await.unwrap();
    let lines = page.items;
    assert_eq!((lines.len(), lines[0].calls, lines[0].micros, lines[0].tokens), (1, 1, 3 * CENT, 15));
}

#[tokio::test]
async fn while_redis_is_away_postgres_says_what_is_left_and_redis_counts_it_afterwards() {
    let world = World::start().await;
    let (budgets, now) = (world.budgets(), noon());
    let cut_off = Budgets::new(nowhere(), world.store.clone(), Environment::Staging);
    let allowed = budget(10 * CENT, 12 * CENT);
    budgets.reserve("grok", 4 * CENT, allowed, now).await.unwrap();
    world.store.record(&[spent("1", now, 4 * CENT)]).await.unwrap();

    assert_eq!(cut_off.reserve("grok", 6 * CENT, allowed, now).await.unwrap(), Reservation::Made { at: now });
    world.store.record(&[spent("2", now, 6 * CENT)]).await.unwrap();
    let held = cut_off.reserve("grok", CENT, allowed, now).await.unwrap();
    assert!(matches!(held, Reservation::Refused { spent: SpendLimit::Day, .. }), "{held:?}");
    let held = cut_off.reserve("grok", CENT, budget(0, 10 * CENT), now).await.unwrap();
    assert!(matches!(held, Reservation::Refused { spent: SpendLimit::Month, .. }), "{held:?}");

    assert_eq!(budgets.balance("grok", now).await.unwrap(), Balance { day: 4 * CENT, month: 4 * CENT });
    budgets.raise("grok", now).await.unwrap();
    assert_eq!(budgets.balance("grok", now).await.unwrap(), Balance { day: 10 * CENT, month: 10 * CENT });
    budgets.reserve("grok", CENT, Allowance::default(), now).await.unwrap();
    budgets.raise("grok", now).await.unwrap();
    assert_eq!(budgets.balance("grok", now).await.unwrap().day, 11 * CENT, "what is reserved stays counted");
}
