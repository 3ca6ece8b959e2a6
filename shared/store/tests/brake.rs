//! The brakes, in Redis and in the audit log.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use std::time::Instant;

use perch_base::{Environment, Paging};
use perch_queue::Redis;
use perch_store::{AuditFilter, Brake, BrakeCheck, BrakeScope, Brakes, CLEAR_FOR};
use perch_testkit::{OwnRedis, TestDatabase, TestRedis, redis_settings};
use secrecy::SecretString;
use serde_json::json;

struct World {
    redis: TestRedis,
    database: TestDatabase,
}

impl World {
    async fn start() -> Self {
        Self { redis: TestRedis::claim().await, database: TestDatabase::create().await }
    }

    /// The brake as another process has it.
    fn brake(&self) -> Brake {
        Brake::new(self.redis.door(), self.database.store(Environment::Staging))
    }

    /// That of a scope.
    fn of(&self, scope: &str) -> Brake {
        Brake::of(self.redis.door(), self.database.store(Environment::Staging), scope_of(scope))
    }

    /// Several at once.
    fn together(&self, scopes: &[&str]) -> Brakes {
        let scopes = scopes.iter().map(|scope| scope_of(scope));
        Brakes::with(&self.redis.door(), &self.database.store(Environment::Staging), scopes)
    }

    /// A brake whose Postgres is unavailable.
    async fn without_postgres(&self) -> Brake {
        let store = self.database.store(Environment::Staging);
        store.close().await;
        Brake::new(self.redis.door(), store)
    }

    async fn is_on(&self) -> bool {
        self.brake().state().await.unwrap().on
    }

    async fn audited(&self) -> Vec<String> {
        let filter = AuditFilter { object: Some("brake".into()), ..AuditFilter::default() };
        let lines =
            self.database.store(Environment::Staging).audit().list(&filter, &Paging::default()).await.unwrap().items;
        lines.iter().rev().map(|line| format!("{} {} {}", line.actor, line.action, line.details["reason"])).collect()
    }
}

fn scope_of(text: &str) -> BrakeScope {
    text.parse().unwrap()
}

#[tokio::test]
async fn the_brake_stops_every_process_until_it_is_lifted_and_both_are_in_the_audit_log() {
    let world = World::start().await;
    assert!(!world.is_on().await);
    let pulled = world.brake().pull("ann", "wrong odds", json!({})).await.unwrap();
    assert!(pulled.changed && pulled.state.on && pulled.unlogged.is_none());
    let BrakeCheck::Braked(state) = world.brake().look().await.unwrap() else { panic!("it is on") };
    assert_eq!((state.by.as_deref(), state.reason.as_deref()), (Some("ann"), Some("wrong odds")));
    assert!(state.line > 0, "{state:?}");

    let lifted = world.brake().lift("bob", "odds are right", json!({})).await.unwrap();
    assert!(lifted.changed && !lifted.state.on);
    assert!(matches!(world.brake().look_again().await.unwrap(), Some(BrakeCheck::Clear(_))));
    assert!(!world.brake().lift("bob", "again", json!({})).await.unwrap().changed);
    let expected = ["ann brake.on \"wrong odds\"", "bob brake.off \"odds are right\""];
    assert_eq!(world.audited().await, expected);
}

#[tokio::test]
async fn what_was_clear_before_a_pull_holds_no_longer_when_the_pull_has_returned() {
    let world = World::start().await;
    let brake = world.brake();
    let BrakeCheck::Clear(clear) = brake.look().await.unwrap() else { panic!("it is off") };
    assert!(clear.holds());
    let began = Instant::now();
    brake.pull("ann", "stop", json!({})).await.unwrap();
    assert!(!clear.holds());
    assert!(began.elapsed() >= CLEAR_FOR, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_redis_that_was_wiped_or_is_an_older_copy_does_not_lift_the_brake() {
    let world = World::start().await;
    world.brake().look().await.unwrap();
    world.brake().pull("ann", "wrong odds", json!({})).await.unwrap();
    world.redis.wipe().await;
    assert!(world.brake().look_again().await.unwrap().is_none(), "Redis alone does not know");
    assert!(matches!(world.brake().look().await.unwrap(), BrakeCheck::Braked(_)));
    assert!(matches!(world.brake().look_again().await.unwrap(), Some(BrakeCheck::Braked(_))), "Redis was told");

    let mut raw = world.redis.raw().await;
    let older = ["state", "off", "line", "0"];
    redis::cmd("HSET").arg("stg:brake").arg(&older).query_async::<()>(&mut raw).await.unwrap();
    assert!(world.is_on().await);
    world.brake().lift("bob", "right", json!({})).await.unwrap();
    world.redis.wipe().await;
    assert!(!world.is_on().await, "what was lifted stays lifted");
}

#[tokio::test]
async fn while_postgres_is_away_the_brake_can_be_pulled_and_not_lifted_and_what_nobody_holds_is_not_clear() {
    let world = World::start().await;
    let cut_off = world.without_postgres().await;
    cut_off.look().await.expect_err("neither Redis nor Postgres says how it stands");
    world.brake().look().await.unwrap();
    assert!(matches!(cut_off.look().await.unwrap(), BrakeCheck::Clear(_)), "Redis holds that it is off");

    let pulled = cut_off.pull("ann", "stop", json!({})).await.unwrap();
    assert!(pulled.state.on && pulled.unlogged.is_some());
    assert!(world.is_on().await, "the log knows nothing of it, and Redis does");
    cut_off.lift("bob", "go on", json!({})).await.expect_err("a lift that is not audited is none");
    assert!(world.is_on().await);
    assert!(!world.brake().lift("bob", "go on", json!({})).await.unwrap().state.on);
}

#[tokio::test]
async fn what_was_pulled_while_postgres_was_away_is_not_lifted_by_a_lift_from_before() {
    let world = World::start().await;
    world.brake().pull("ann", "wrong odds", json!({})).await.unwrap();
    world.brake().lift("bob", "odds are right", json!({})).await.unwrap();
    world.redis.wipe().await;
    let pulled = world.without_postgres().await.pull("eve", "stop", json!({})).await.unwrap();
    assert!(pulled.state.on && pulled.unlogged.is_some());

    assert!(world.is_on().await, "the last line of the log is a lift of an earlier pull");
    assert!(
        matches!(world.brake().look().await.unwrap(), BrakeCheck::Braked(state) if state.by.as_deref() == Some("eve"))
    );
    assert!(!world.brake().lift("bob", "go on", json!({})).await.unwrap().state.on);
    assert!(!world.is_on().await);
}

#[tokio::test]
async fn while_redis_is_away_the_audit_log_stops_and_does_not_let_go() {
    let world = World::start().await;
    let mut own = OwnRedis::start().await;
    let door = || Redis::new(&SecretString::from(own.url()), &redis_settings()).unwrap();
    let brake = Brake::new(door(), world.database.store(Environment::Staging));
    own.kill();
    brake.look().await.expect_err("Redis may hold a brake that the log does not know");
    brake.pull("ann", "stop", json!({})).await.expect_err("Redis does not answer");
    assert!(matches!(brake.look().await.unwrap(), BrakeCheck::Braked(_)), "the log has the line");
    own.restart().await;
    assert!(matches!(brake.look().await.unwrap(), BrakeCheck::Braked(_)));
    assert!(matches!(brake.look_again().await.unwrap(), Some(BrakeCheck::Braked(_))));
}

/// Postgres restored to the first `n` lines of the audit log: later lines are gone, and their numbers are used again.
async fn restored(database: &TestDatabase, lines: i64) {
    let raw = database.raw();
    sqlx::query("delete from audit_log where id > $1").bind(lines).execute(&raw).await.unwrap();
    let next = "select setval(pg_get_serial_sequence('audit_log', 'id'), greatest($1, 1), $1 > 0)";
    sqlx::query(next).bind(lines).execute(&raw).await.unwrap();
}

#[tokio::test]
async fn after_a_restore_of_postgres_what_somebody_says_now_wins() {
    let world = World::start().await;
    world.brake().pull("ann", "drill", json!({})).await.unwrap();
    world.brake().lift("ann", "over", json!({})).await.unwrap();
    world.brake().pull("ann", "wrong odds", json!({})).await.unwrap();
    restored(&world.database, 0).await;
    assert!(world.is_on().await, "the log lost the pull, and Redis has it");
    let lifted = world.brake().lift("bob", "odds are right", json!({})).await.unwrap();
    assert!(!lifted.state.on, "{lifted:?}");
    assert!(matches!(world.brake().look().await.unwrap(), BrakeCheck::Clear(_)));
    assert!(matches!(world.brake().look_again().await.unwrap(), Some(BrakeCheck::Clear(_))));

    restored(&world.database, 0).await;
    assert!(!world.is_on().await, "what was lifted stays lifted");
    let pulled = world.brake().pull("eve", "stop", json!({})).await.unwrap();
    assert!(pulled.changed && pulled.state.on && pulled.state.line == 1, "{pulled:?}");
    assert!(world.is_on().await);
}

#[tokio::test]
async fn a_pull_while_redis_was_away_holds_also_where_the_log_counts_from_an_older_copy() {
    let world = World::start().await;
    let mut own = OwnRedis::start().await;
    let door = || Redis::new(&SecretString::from(own.url()), &redis_settings()).unwrap();
    let brake = Brake::new(door(), world.database.store(Environment::Staging));
    for _ in 0..2 {
        brake.pull("ann", "drill", json!({})).await.unwrap();
        brake.lift("ann", "over", json!({})).await.unwrap();
    }
    restored(&world.database, 1).await;
    sqlx::query("update audit_log set action = 'brake.off'").execute(&world.database.raw()).await.unwrap();
    own.kill();
    brake.pull("eve", "stop", json!({})).await.expect_err("Redis does not answer");
    own.restart().await;
    assert!(matches!(brake.look().await.unwrap(), BrakeCheck::Braked(state) if state.by.as_deref() == Some("eve")));
    assert!(matches!(brake.look_again().await.unwrap(), Some(BrakeCheck::Braked(_))), "Redis was told");
}

#[tokio::test]
async fn a_clock_that_goes_back_does_not_let_an_earlier_word_win() {
    let world = World::start().await;
    world.brake().pull("ann", "wrong odds", json!({})).await.unwrap();
    world.brake().lift("ann", "right", json!({})).await.unwrap();
    // As written by a server whose clock was an hour ahead.
    let ahead = "update audit_log set at = at + interval '1 hour'";
    sqlx::query(ahead).execute(&world.database.raw()).await.unwrap();
    assert!(!world.is_on().await);
    let pulled = world.brake().pull("eve", "stop", json!({})).await.unwrap();
    assert!(pulled.state.on && world.is_on().await, "{pulled:?}");
    assert!(!world.brake().lift("bob", "go on", json!({})).await.unwrap().state.on);
    assert!(!world.is_on().await);
}

/// An event in the life of a brake, or of all of them.
#[derive(Debug, Clone, Copy)]
enum Event {
    Pulled,
    Lifted,
    PulledWithoutPostgres,
    PulledWithoutRedis,
    Wiped,
    OlderRedis,
    OlderPostgres,
}

/// The brakes that are played on.
const SCOPES: [&str; 3] = ["everything", "account:main", "bot:tips"];

/// The changes that were made to one brake, in order, and which of them Redis knows.
#[derive(Default, Clone)]
struct Model {
    said: Vec<bool>,
    redis: usize,
    /// The numbers of the lines of the log about it, each with the number of its change.
    log: Vec<(i64, usize)>,
}

impl Model {
    /// The last change that either server knows; off before the first.
    fn is_on(&self) -> bool {
        let last = self.redis.max(self.logged());
        last > 0 && self.said[last - 1]
    }

    fn logged(&self) -> usize {
        self.log.last().map_or(0, |(_, change)| *change)
    }
}

const EVENTS: [Event; 9] = [
    Event::Pulled,
    Event::Pulled,
    Event::Lifted,
    Event::Lifted,
    Event::PulledWithoutPostgres,
    Event::PulledWithoutRedis,
    Event::Wiped,
    Event::OlderRedis,
    Event::OlderPostgres,
];

/// Plays events on brakes: after each, the state of each is that of the last change to it that is known to either server, whatever happened
/// to the others.
async fn life(seed: u64) {
    use rand::{RngExt as _, SeedableRng as _};

    let mut dice = rand::rngs::StdRng::seed_from_u64(seed);
    let (world, mut models, mut told) = (World::start().await, vec![Model::default(); SCOPES.len()], Vec::new());
    let mut raw = world.redis.raw().await;
    let mut copies: Vec<Vec<(Vec<u8>, usize)>> = Vec::new();
    let nowhere = SecretString::from(format!("redis://127.0.0.1:{}", perch_testkit::free_port()));
    // The numbers of the lines of the log count on from the last one that is left.
    let mut lines = 0;
    for _ in 0..12 {
        let (event, at) = (EVENTS[dice.random_range(0..EVENTS.len())], dice.random_range(0..SCOPES.len()));
        told.push((event, SCOPES[at]));
        let (brake, model) = (world.of(SCOPES[at]), &mut models[at]);
        match event {
            Event::Pulled => {
                let pulled = brake.pull("ann", "stop", json!({})).await.unwrap();
                assert!(pulled.state.on && pulled.unlogged.is_none(), "{seed}: {told:?}: {pulled:?}");
                lines += 1;
                model.said.push(true);
                model.redis = model.said.len();
                model.log.push((lines, model.said.len()));
            }
            Event::Lifted => {
                let lifted = brake.lift("bob", "go on", json!({})).await.unwrap();
                assert!(!lifted.state.on, "{seed}: {told:?}");
                if lifted.changed {
                    lines += 1;
                    model.said.push(false);
                    model.redis = model.said.len();
                    model.log.push((lines, model.said.len()));
                }
            }
            Event::PulledWithoutPostgres => {
                let store = world.database.store(Environment::Staging);
                store.close().await;
                let brake = Brake::of(world.redis.door(), store, scope_of(SCOPES[at]));
                brake.pull("ann", "stop", json!({})).await.unwrap();
                model.said.push(true);
                model.redis = model.said.len();
            }
            Event::PulledWithoutRedis => {
                let door = Redis::new(&nowhere, &redis_settings()).unwrap();
                let brake = Brake::of(door, world.database.store(Environment::Staging), scope_of(SCOPES[at]));
                brake.pull("ann", "stop", json!({})).await.unwrap_err();
                lines += 1;
                model.said.push(true);
                model.log.push((lines, model.said.len()));
            }
            Event::Wiped => {
                world.redis.wipe().await;
                for model in &mut models {
                    model.redis = 0;
                }
            }
            Event::OlderRedis => {
                if let Some(copy) = copies.get(dice.random_range(0..copies.len().max(1))) {
                    world.redis.wipe().await;
                    for (at, (bytes, known)) in copy.iter().enumerate() {
                        let mut restore = redis::cmd("RESTORE");
                        restore.arg(key(SCOPES[at])).arg(0).arg(bytes.as_slice());
                        restore.exec_async(&mut raw).await.unwrap();
                        models[at].redis = *known;
                    }
                }
            }
            Event::OlderPostgres => {
                lines = dice.random_range(0..=lines);
                restored(&world.database, lines).await;
                for model in &mut models {
                    model.log.retain(|(line, _)| *line <= lines);
                }
            }
        }
        let mut copy = Vec::new();
        let together = world.together(&SCOPES).states().await.unwrap();
        for (at, model) in models.iter_mut().enumerate() {
            let state = world.of(SCOPES[at]).state().await.unwrap();
            assert_eq!(state.on, model.is_on(), "{seed}: {}: {told:?}", SCOPES[at]);
            assert_eq!(together[at], state, "{seed}: {told:?}");
            // That check updated Redis.
            model.redis = model.redis.max(model.logged());
            let bytes = redis::cmd("DUMP").arg(key(SCOPES[at])).query_async(&mut raw).await.unwrap();
            copy.push((bytes, model.redis));
        }
        copies.push(copy);
    }
}

/// The key of the brake of a scope.
fn key(scope: &str) -> String {
    if scope == "everything" { "stg:brake".to_owned() } else { format!("stg:brake:{scope}") }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wiped_or_restored_the_last_word_that_either_server_knows_holds() {
    let lives = (0..10).map(|_| rand::random()).map(life);
    futures::future::join_all(lives).await;
}

#[tokio::test]
async fn of_two_that_pull_and_lift_at_once_the_later_line_of_the_log_holds_for_both() {
    let world = World::start().await;
    for _ in 0..3 {
        world.brake().pull("ann", "stop", json!({})).await.unwrap();
        let (one, two) = (world.brake(), world.brake());
        let (lifted, pulled) = tokio::join!(one.lift("bob", "go", json!({})), two.pull("eve", "stop", json!({})));
        assert!(lifted.is_ok() && pulled.is_ok(), "{lifted:?} {pulled:?}");
        let last = world.audited().await.pop().unwrap();
        assert_eq!(world.is_on().await, last.contains("brake.on"), "{last}");
        let held = world.brake().look_again().await.unwrap();
        assert_eq!(
            matches!(held, Some(BrakeCheck::Braked(_))),
            last.contains("brake.on"),
            "Redis holds the same: {last}"
        );
    }
}

#[tokio::test]
async fn the_brake_of_an_account_or_a_bot_stops_only_what_it_applies_to() {
    let world = World::start().await;
    world.of("account:main").pull("ann", "odd words", json!({})).await.unwrap();
    let of = |scopes: &'static [&'static str]| world.together(scopes);
    let braked_by = |check: BrakeCheck| match check {
        BrakeCheck::Braked(state) => Some(state.scope.to_string()),
        BrakeCheck::Clear(_) => None,
    };
    for (scopes, by) in [
        (&["account:main", "bot:tips"][..], Some("account:main")),
        (&["account:other", "bot:tips"], None),
        (&["bot:main"], None),
        (&[], None),
    ] {
        let looked = of(scopes).look().await.unwrap();
        assert_eq!(braked_by(looked).as_deref(), by, "{scopes:?}");
        let again = of(scopes).look_again().await.unwrap().unwrap();
        assert_eq!(braked_by(again).as_deref(), by, "{scopes:?}");
    }
    world.brake().pull("ann", "stop", json!({})).await.unwrap();
    let widest = of(&["account:main", "bot:tips"]).look().await.unwrap();
    assert_eq!(braked_by(widest).as_deref(), Some("everything"), "the widest is named");
    world.brake().lift("ann", "mended", json!({})).await.unwrap();
    assert!(world.of("account:main").state().await.unwrap().on, "to lift one lifts no other");
}

#[tokio::test]
async fn of_brakes_that_redis_has_lost_none_is_clear_and_one_that_is_on_counts_all_the_same() {
    let world = World::start().await;
    let both = world.together(&["account:main"]);
    both.look().await.unwrap();
    world.redis.wipe().await;
    world.brake().look().await.unwrap();
    assert!(both.look_again().await.unwrap().is_none(), "that of the account is not known");
    world.brake().pull("ann", "stop", json!({})).await.unwrap();
    assert!(matches!(both.look_again().await.unwrap(), Some(BrakeCheck::Braked(_))));
}

#[tokio::test]
async fn a_brake_whose_account_is_gone_from_the_configuration_is_still_listed() {
    let world = World::start().await;
    world.of("account:gone").pull("ann", "odd words", json!({})).await.unwrap();
    let (door, store) = (world.redis.door(), world.database.store(Environment::Staging));
    let all = Brakes::with_pulled(&door, &store, [scope_of("bot:tips")]).await;
    let states: Vec<_> =
        all.states().await.unwrap().into_iter().map(|state| (state.scope.to_string(), state.on)).collect();
    let expected = [("everything", false), ("account:gone", true), ("bot:tips", false)];
    assert_eq!(states, expected.map(|(scope, on)| (scope.to_owned(), on)));
}

#[tokio::test]
async fn whoever_pulls_at_each_reason_writes_one_line_and_only_a_lift_ends_it() {
    let world = World::start().await;
    let brake = world.of("bot:tips");
    assert!(brake.pull_once("tips", "odd words", json!({})).await.unwrap().changed);
    assert!(!brake.pull_once("tips", "odd words again", json!({})).await.unwrap().changed);
    brake.lift("ann", "mended", json!({})).await.unwrap();
    assert!(brake.pull_once("tips", "odd words", json!({})).await.unwrap().state.on);
    let filter = AuditFilter { object: Some("brake:bot:tips".into()), ..AuditFilter::default() };
    let store = world.database.store(Environment::Staging);
    let lines = store.audit().list(&filter, &Paging::default()).await.unwrap().items;
    let lines: Vec<_> = lines.iter().rev().map(|line| format!("{} {}", line.actor, line.action)).collect();
    assert_eq!(lines, ["tips brake.on", "ann brake.off", "tips brake.on"]);
}
