//! The operations of a sequence, and how they are drawn.

use std::time::Duration;

use perch_base::settings::Rate;
use perch_job::Priority;
use perch_queue::OnConflict;
use proptest::prelude::*;

pub const KEYS: [&str; 2] = ["match", "account"];
pub const GROUPS: [&str; 3] = ["ann", "bob", "cid"];
pub const HOLDERS: [&str; 3] = ["one", "two", "three"];

/// Selects the n-th of the existing items, modulo their number.
pub type Pick = u16;

/// Times are in seconds. The lease lasts a minute.
pub type Seconds = u16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Queued,
    Done,
    Window,
}

#[derive(Debug, Clone)]
pub struct Wish {
    pub delay: Seconds,
    pub priority: Priority,
    pub group: Option<&'static str>,
    pub unique: Option<(&'static str, Scope, OnConflict)>,
    pub max: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Done,
    Retry(Seconds),
    RetryAfter(Seconds),
    Snooze(Seconds),
    Dead,
    Cancelled,
    Release,
    /// The worker does not know the kind.
    Unknown,
}

/// The limits of a queue; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub group: usize,
    pub global: usize,
    /// Starts of one group.
    pub group_rate: Option<Rate>,
    /// Starts of the queue.
    pub rate: Option<Rate>,
}

/// No limit at all.
pub const FREE: Limits = Limits { group: 0, global: 0, group_rate: None, rate: None };

/// Starts in so many seconds.
pub const fn rate(count: u32, seconds: u64) -> Rate {
    Rate { count, per: Duration::from_secs(seconds) }
}

/// A job that Redis may have lost, as Postgres knows it.
#[derive(Debug, Clone, Copy)]
pub struct Lost {
    pub attempts: u32,
    /// How long ago it died.
    pub died: Option<Seconds>,
    pub delay: Option<Seconds>,
}

/// A queue as it is configured.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub limits: Limits,
    /// Whether it is a ledger queue, which never accepts an id twice.
    pub ledger: bool,
    /// Most jobs; 0 for no limit.
    pub depth: usize,
}

impl Rules {
    /// A queue with these limits, of any depth, that no ledger keeps.
    pub const fn of(limits: Limits) -> Self {
        Self { limits, ledger: false, depth: 0 }
    }
}

#[derive(Debug, Clone)]
pub enum Op {
    Enqueue(Wish),
    /// The same call as an earlier one, with the same id.
    EnqueueAgain(Pick),
    /// `lost`: the reply never reaches the worker.
    Fetch {
        holder: usize,
        slots: usize,
        reaped: usize,
        lost: bool,
    },
    /// The handler of a lease that a worker believes it holds is about to start.
    Begin(Pick),
    /// For a lease that a worker believes it holds.
    Ack(Pick, Ending),
    /// For any lease that ever existed.
    StaleAck(Pick, Ending),
    Heartbeat {
        holder: usize,
        reaped: usize,
    },
    /// A worker that lost a reply releases the leases that it does not know of.
    Reclaim(usize),
    Pass(Seconds),
    Cancel(Pick),
    RunNow(Pick),
    Discard(Pick),
    Replay {
        pick: Pick,
        edit: Option<u64>,
        delay: Seconds,
    },
    /// From a letter that was read earlier.
    ReplayStale {
        pick: Pick,
        delay: Seconds,
    },
    Pause,
    Resume,
    Purge,
    Prune,
    /// Workers with other limits take over.
    Deploy(Limits),
    /// A copy of Redis is made, as its append-only file is one.
    Copy,
    /// Redis comes back with the last copy that was made, or with nothing.
    ComeBack,
    /// Jobs are restored; existing ones stay unchanged.
    Restore(Vec<(Pick, Lost)>),
    /// Finished jobs are removed.
    Drop(Vec<Pick>),
}

fn seconds() -> impl Strategy<Value = Seconds> {
    prop_oneof![Just(0u16), Just(1), Just(20), Just(61)]
}

fn wish() -> impl Strategy<Value = Wish> {
    let delay = prop_oneof![3 => Just(0u16), 1 => seconds()];
    let priority = prop_oneof![3 => Just(Priority::Normal), 1 => Just(Priority::High), 1 => Just(Priority::Low)];
    let group = prop_oneof![1 => Just(None), 2 => prop::sample::select(&GROUPS[..]).prop_map(Some)];
    let scope = prop::sample::select(vec![Scope::Queued, Scope::Done, Scope::Window]);
    let conflict = prop::sample::select(vec![OnConflict::Reject, OnConflict::Keep, OnConflict::Replace]);
    let key = (prop::sample::select(&KEYS[..]), scope, conflict);
    let unique = prop_oneof![2 => Just(None), 1 => key.prop_map(Some)];
    (delay, priority, group, unique, 1u32..=3).prop_map(|(delay, priority, group, unique, max)| Wish {
        delay,
        priority,
        group,
        unique,
        max,
    })
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        3 => Just(Ending::Done),
        3 => seconds().prop_map(Ending::Retry),
        1 => seconds().prop_map(Ending::RetryAfter),
        1 => seconds().prop_map(Ending::Snooze),
        2 => Just(Ending::Dead),
        1 => Just(Ending::Cancelled),
        1 => Just(Ending::Release),
        1 => Just(Ending::Unknown),
    ]
}

/// One that divides evenly, and one that does not.
fn a_rate() -> impl Strategy<Value = Option<Rate>> {
    prop_oneof![2 => Just(None), 1 => Just(Some(rate(1, 20))), 1 => Just(Some(rate(3, 61)))]
}

fn lost() -> impl Strategy<Value = Lost> {
    let died = prop_oneof![2 => Just(None), 1 => prop::sample::select(vec![0u16, 20, 3_599, 4_000]).prop_map(Some)];
    (0u32..=2, died, prop::option::of(seconds())).prop_map(|(attempts, died, delay)| Lost { attempts, died, delay })
}

fn holder() -> std::ops::Range<usize> {
    0..HOLDERS.len()
}

fn op(deploys: bool) -> impl Strategy<Value = Op> {
    let pick = any::<Pick>;
    let reaped = || prop_oneof![4 => Just(100usize), 1 => Just(0), 1 => Just(1)];
    let limits = (0usize..=2, prop_oneof![Just(0usize), Just(2), Just(4)], a_rate(), a_rate())
        .prop_map(|(group, global, group_rate, rate)| Limits { group, global, group_rate, rate });
    prop_oneof![
        14 => wish().prop_map(Op::Enqueue),
        2 => pick().prop_map(Op::EnqueueAgain),
        10 => (holder(), 1usize..=4, reaped(), prop::bool::weighted(0.1))
            .prop_map(|(holder, slots, reaped, lost)| Op::Fetch { holder, slots, reaped, lost }),
        3 => pick().prop_map(Op::Begin),
        10 => (pick(), ending()).prop_map(|(pick, ending)| Op::Ack(pick, ending)),
        2 => (pick(), ending()).prop_map(|(pick, ending)| Op::StaleAck(pick, ending)),
        2 => (holder(), reaped()).prop_map(|(holder, reaped)| Op::Heartbeat { holder, reaped }),
        1 => holder().prop_map(Op::Reclaim),
        4 => prop_oneof![4 => seconds(), 1 => Just(700u16), 1 => Just(4_000)].prop_map(Op::Pass),
        3 => pick().prop_map(Op::Cancel),
        1 => pick().prop_map(Op::RunNow),
        1 => pick().prop_map(Op::Discard),
        2 => (pick(), prop::option::of(1_000u64..1_005), seconds())
            .prop_map(|(pick, edit, delay)| Op::Replay { pick, edit, delay }),
        1 => (pick(), seconds()).prop_map(|(pick, delay)| Op::ReplayStale { pick, delay }),
        1 => Just(Op::Pause),
        2 => Just(Op::Resume),
        1 => prop::bool::weighted(0.3).prop_map(|all| if all { Op::Purge } else { Op::Prune }),
        1 => limits.prop_map(move |limits| if deploys { Op::Deploy(limits) } else { Op::Resume }),
        1 => prop_oneof![Just(Op::Copy), Just(Op::ComeBack)],
        1 => prop::collection::vec((pick(), lost()), 1..4).prop_map(Op::Restore),
        1 => prop::collection::vec(pick(), 1..4).prop_map(Op::Drop),
    ]
}

/// Sequences of up to 50 operations.
pub fn sequences(deploys: bool) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(deploys), 1..50)
}
