//! Random jobs and their options.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use perch_job::{Job, JobId, Priority, RetryPolicy, Unique, UniqueScope};
use perch_queue::{EnqueueOptions, NewJob, OnConflict};
use proptest::{option, prelude::*, sample::select};

use crate::{
    start,
    support::{Chore, OnlyOne},
};

const KEYS: [&str; 2] = ["match", "account"];
const GROUPS: [&str; 3] = ["ann", "bob", "cid"];
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// Longer than any test.
const WINDOW: UniqueScope = UniqueScope::WindowMs(3_600_000);

#[derive(Debug, Clone)]
pub enum Payload {
    Chore(u64),
    /// Its type gives the group.
    OfGroup(u64, &'static str),
    /// Its type gives a unique key.
    OnlyOne(&'static str),
}

/// When a job may start. Different variants never give the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Now,
    /// An even number of seconds after [`start`], or before it.
    At(i8),
    /// An odd number of seconds from now.
    After(u8),
}

/// Options that need no other script than a plain job.
#[derive(Debug, Clone)]
pub struct Details {
    /// One of the ids that callers give; none to generate one.
    pub id: Option<u8>,
    pub max_attempts: Option<u32>,
    pub backoff: Option<(u64, u64)>,
    pub timeout: Option<Duration>,
    pub deadline: Option<DateTime<Utc>>,
    pub traceparent: Option<&'static str>,
    pub parent: Option<JobId>,
}

#[derive(Debug, Clone)]
pub struct Wish {
    pub payload: Payload,
    pub when: When,
    pub priority: Option<Priority>,
    pub unique: Option<(&'static str, UniqueScope, OnConflict)>,
    pub group: Option<&'static str>,
    pub details: Details,
}

/// The id number `n` of those that callers give.
pub fn given(n: u8) -> JobId {
    JobId::from_parts(start(), u128::from(n))
}

impl Wish {
    /// The job as it is handed to the engine.
    pub fn job(&self) -> NewJob {
        let job = match &self.payload {
            Payload::Chore(n) => NewJob::of(&Chore::number(*n)),
            Payload::OfGroup(n, group) => NewJob::of(&Chore::of_group(*n, group)),
            Payload::OnlyOne(key) => NewJob::of(&OnlyOne { key: (*key).to_owned() }),
        };
        job.expect("JSON").with(self.options())
    }

    /// Whether it has no options for a script.
    pub fn is_plain(&self) -> bool {
        let Self { payload, when, priority, unique, group, details: _ } = self;
        matches!(payload, Payload::Chore(_))
            && *when == When::Now
            && priority.is_none_or(|priority| priority.is_normal())
            && unique.is_none()
            && group.is_none()
    }

    fn options(&self) -> EnqueueOptions {
        let rules = if matches!(self.payload, Payload::OnlyOne(_)) { OnlyOne::RETRY } else { Chore::RETRY };
        let Details { id, max_attempts, backoff, timeout, deadline, traceparent, parent } = self.details;
        let (base_ms, cap_ms) = backoff.unwrap_or((rules.base_ms, rules.cap_ms));
        let retry = RetryPolicy { max_attempts: max_attempts.unwrap_or(rules.max_attempts), base_ms, cap_ms };
        let (run_at, delay) = match self.when {
            When::Now => (None, None),
            When::At(seconds) => (Some(start() + TimeDelta::seconds(seconds.into())), None),
            When::After(seconds) => (None, Some(Duration::from_secs(seconds.into()))),
        };
        EnqueueOptions {
            id: id.map(given),
            run_at,
            delay,
            priority: self.priority,
            retry: (max_attempts.is_some() || backoff.is_some()).then_some(retry),
            timeout,
            deadline,
            unique: self.unique.map(|(key, scope, _)| Unique { key: key.to_owned(), scope }),
            on_conflict: self.unique.map(|(.., on_conflict)| on_conflict).unwrap_or_default(),
            group: self.group.map(str::to_owned),
            traceparent: traceparent.map(str::to_owned),
            parent,
        }
    }
}

fn details() -> impl Strategy<Value = Details> {
    let rules = (option::of(1..5u32), option::of(select(vec![(1, 20), (5, 50)])));
    let times = (option::of(Just(Duration::from_secs(7))), option::of(Just(start() + TimeDelta::days(1))));
    let origin = (option::of(Just(TRACE)), option::of(Just(given(99))));
    (option::of(0..6u8), rules, times, origin).prop_map(
        |(id, (max_attempts, backoff), (timeout, deadline), (traceparent, parent))| Details {
            id,
            max_attempts,
            backoff,
            timeout,
            deadline,
            traceparent,
            parent,
        },
    )
}

/// A job without options for a script.
pub fn plain() -> impl Strategy<Value = Wish> {
    (0..99u64, details()).prop_map(|(n, details)| Wish {
        payload: Payload::Chore(n),
        when: When::Now,
        priority: None,
        unique: None,
        group: None,
        details,
    })
}

fn with_options() -> impl Strategy<Value = Wish> {
    let payload = prop_oneof![
        (0..99u64).prop_map(Payload::Chore),
        (0..99u64, select(&GROUPS[..])).prop_map(|(n, group)| Payload::OfGroup(n, group)),
        select(&KEYS[..]).prop_map(Payload::OnlyOne),
    ];
    let when = prop_oneof![
        2 => Just(When::Now),
        1 => (-1..4i8).prop_map(|n| When::At(2 * n)),
        1 => (0..4u8).prop_map(|n| When::After(2 * n + 1)),
    ];
    let priority = option::of(select(vec![Priority::High, Priority::Normal, Priority::Low]));
    let scope = select(vec![UniqueScope::Queued, UniqueScope::Done, WINDOW]);
    let on_conflict = select(vec![OnConflict::Reject, OnConflict::Keep, OnConflict::Replace]);
    let unique = option::of((select(&KEYS[..]), scope, on_conflict));
    (payload, when, priority, unique, option::of(select(&GROUPS[..])), details()).prop_map(
        |(payload, when, priority, unique, group, details)| Wish { payload, when, priority, unique, group, details },
    )
}

/// Any job; half of them are plain, as most jobs are.
pub fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![plain(), with_options()]
}
