//! Random sequences of engine operations, compared step by step with a model of a queue in memory.
//!
//! `PROPTEST_CASES` says how many sequences each test plays.

#[path = "../support/mod.rs"]
mod support;

mod engine;
mod flow;
mod invariants;
mod model;
mod operate;
mod ops;
mod play;
mod rates;
mod recovery;
mod state;

use ops::{Ending, FREE, Limits, Lost, Op, Rules, Scope, Wish, rate};
use perch_job::{JobTypes, Priority};
use perch_queue::{OnConflict, Redis};
use perch_testkit::TestRedis;
use play::Play;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use support::Chore;

/// The default number for each test.
const CASES: u32 = 500;

struct Ground {
    runtime: tokio::runtime::Runtime,
    door: Redis,
    types: JobTypes,
    /// Keeps the Redis server running while `door` connects to it.
    _redis: TestRedis,
}

impl Ground {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let redis = runtime.block_on(TestRedis::claim());
        Self { runtime, door: redis.door(), types: JobTypes::new().with::<Chore>(), _redis: redis }
    }

    fn play(&self, rules: Rules, ops: &[Op]) -> Result<(), String> {
        self.runtime.block_on(async { Play::start(&self.door, &self.types, rules).await.all(ops).await })
    }
}

/// Plays random sequences on a queue of these rules; shrinks the first for which engine and model differ.
fn agree(rules: Rules, deploys: bool) {
    let ground = Ground::new();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { CASES };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let played = runner.run(&ops::sequences(deploys), |ops| ground.play(rules, &ops).map_err(TestCaseError::fail));
    match played {
        Ok(()) => {}
        Err(TestError::Fail(why, ops)) => panic!("{why}\nafter: {ops:#?}"),
        Err(TestError::Abort(why)) => panic!("given up: {why}"),
    }
}

fn unique(scope: Scope) -> Op {
    let unique = Some(("match", scope, OnConflict::Reject));
    Op::Enqueue(Wish { delay: 0, priority: Priority::Normal, group: None, unique, max: 1 })
}

fn fetch(lost: bool) -> Op {
    Op::Fetch { holder: 0, slots: 1, reaped: 100, lost }
}

#[test]
fn a_window_keeps_its_key_from_other_scopes_though_its_job_is_done() {
    let rules = Rules::of(FREE);
    let done = [unique(Scope::Window), fetch(false), Op::Ack(0, Ending::Done), unique(Scope::Done)];
    assert_eq!(Ground::new().play(rules, &done), Ok(()));
    let dead = [unique(Scope::Done), fetch(false), Op::Ack(0, Ending::Dead)];
    let replayed = [Op::Purge, Op::Replay { pick: 0, edit: None, delay: 0 }];
    let window = [unique(Scope::Window)];
    assert_eq!(Ground::new().play(rules, &[&dead[..], &window, &replayed].concat()), Ok(()));
}

#[test]
fn a_job_cancelled_while_nobody_knew_of_its_lease_does_not_start_again() {
    let ops = [unique(Scope::Done), fetch(true), Op::Cancel(0), Op::Reclaim(0)];
    assert_eq!(Ground::new().play(Rules::of(FREE), &ops), Ok(()));
}

#[test]
fn an_enqueue_that_a_ledger_queue_refused_is_accepted_once_its_key_is_free() {
    let ops = [unique(Scope::Done), unique(Scope::Done), fetch(false), Op::Ack(0, Ending::Done), Op::EnqueueAgain(1)];
    assert_eq!(Ground::new().play(Rules { ledger: true, ..Rules::of(FREE) }, &ops), Ok(()));
}

#[test]
fn a_job_that_a_redis_with_older_data_gives_again_has_another_lease() {
    let ops = [unique(Scope::Done), Op::Copy, fetch(false), Op::ComeBack, fetch(false), Op::StaleAck(0, Ending::Done)];
    assert_eq!(Ground::new().play(Rules::of(FREE), &ops), Ok(()));
}

#[test]
fn a_place_that_a_dropped_job_leaves_is_given_to_the_next() {
    let plain = || Op::Enqueue(Wish { delay: 0, priority: Priority::Normal, group: None, unique: None, max: 1 });
    let ops = [plain(), fetch(false), Op::Pass(1), plain(), fetch(false), Op::Drop(vec![0, 0])];
    let limits = Limits { global: 1, ..FREE };
    assert_eq!(Ground::new().play(Rules::of(limits), &ops), Ok(()));
}

#[test]
fn a_parked_job_whose_group_has_room_is_given_the_place_of_a_job_that_ended() {
    let of = |group, priority| Op::Enqueue(Wish { delay: 0, priority, group, unique: None, max: 1 });
    let (grouped, plain) = (|| of(Some("cid"), Priority::Normal), |priority| of(None, priority));
    let two = Op::Fetch { holder: 0, slots: 2, reaped: 100, lost: false };
    let began = [grouped(), grouped(), plain(Priority::Normal), two, plain(Priority::High)];
    for ending in [Ending::Done, Ending::Dead] {
        let ended = [Op::Ack(0, Ending::Done), fetch(false), Op::Ack(0, ending)];
        let limits = Limits { group: 1, global: 2, ..FREE };
        assert_eq!(Ground::new().play(Rules::of(limits), &[&began[..], &ended].concat()), Ok(()));
    }
}

#[test]
fn a_letter_of_before_is_not_that_of_a_job_that_was_put_back_once_more() {
    let put_back = || {
        let lost = Lost { attempts: 0, died: Some(0), delay: None };
        Op::Restore(vec![(0, lost), (u16::MAX, lost)])
    };
    let replay = Op::Replay { pick: 0, edit: None, delay: 0 };
    let stale = Op::ReplayStale { pick: 0, delay: 0 };
    let (holds_key, done) = (|| unique(Scope::Queued), Op::Ack(0, Ending::Done));
    // Another job holds the key, so that the letter stays as it is.
    let ops = [holds_key(), fetch(false), done, put_back(), holds_key(), replay, Op::ComeBack, put_back(), stale];
    assert_eq!(Ground::new().play(Rules::of(FREE), &ops), Ok(()));
}

#[test]
fn a_queue_without_limits_does_what_its_model_does() {
    agree(Rules::of(FREE), false);
}

#[test]
fn a_queue_with_one_place_for_each_group_does_what_its_model_does() {
    agree(Rules::of(Limits { group: 1, ..FREE }), false);
}

#[test]
fn a_queue_whose_limits_change_under_way_does_what_its_model_does() {
    agree(Rules::of(Limits { group: 1, global: 2, ..FREE }), true);
}

#[test]
fn a_ledger_queue_with_limits_of_both_kinds_does_what_its_model_does() {
    agree(Rules { ledger: true, ..Rules::of(Limits { group: 2, global: 4, ..FREE }) }, false);
}

#[test]
fn a_queue_with_rates_does_what_its_model_does() {
    let limits = Limits { group: 2, global: 0, group_rate: Some(rate(3, 61)), rate: Some(rate(4, 20)) };
    agree(Rules::of(limits), false);
}

#[test]
fn a_queue_of_bounded_depth_does_what_its_model_does() {
    agree(Rules { depth: 5, ..Rules::of(Limits { group: 1, ..FREE }) }, false);
}

#[test]
fn a_ledger_queue_of_bounded_depth_does_what_its_model_does() {
    agree(Rules { ledger: true, depth: 4, ..Rules::of(FREE) }, false);
}
