//! The load of a run: every job, the path by which it is enqueued and its time, decided before anything starts.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use perch_jobs::{Job as _, JobId, JobKind, JobTypes, Priority, PublishPost, RetryPolicy, Unique, UniqueScope};
use perch_queue::{EnqueueOptions, NewJob, OnConflict};
use serde_json::{Value, json, value::RawValue};

use crate::{
    chaos::{ALWAYS, Behaviour, Chaos},
    dice::Dice,
    label::{Expect, Label},
    targets::Targets,
};

/// By which path a job is enqueued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnqueuePath {
    /// The Rust client, in this process.
    Client,
    /// `POST /api/v1/jobs`, or `/api/v1/jobs/batch` with one job a line when there are several.
    Api,
    /// The SQL function `perch_enqueue`, as another service calls it in its own transaction.
    Sql,
}

/// A job to enqueue.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its class.
    pub label: Label,
    /// How it must end.
    pub expect: Expect,
    /// The text of the post that it makes, or the id of the post that it repeats.
    pub effect: Option<String>,
    kind: &'static str,
    payload: Value,
    id_bits: u128,
    retry: RetryPolicy,
    timeout: Option<Duration>,
    delay: Option<Duration>,
    priority: Option<Priority>,
    unique: Option<(Unique, OnConflict)>,
}

/// Jobs to enqueue together.
#[derive(Debug, Clone)]
pub struct Offer {
    /// When, counted from the start of the run.
    pub at: Duration,
    /// By which path.
    pub path: EnqueuePath,
    /// Which.
    pub jobs: Vec<Planned>,
}

/// The accounts that posts are made as.
pub const ACCOUNTS: [&str; 4] = ["main", "second", "third", "fourth"];

/// Enough attempts for any series of faults, and delays short enough for a run of minutes.
const PATIENT: RetryPolicy = RetryPolicy { max_attempts: 80, base_ms: 200, cap_ms: 3_000 };
/// For jobs that must end in the dead letters.
const SHORT: RetryPolicy = RetryPolicy { max_attempts: 3, base_ms: 100, cap_ms: 800 };

const WEIGHTS: [(u64, Label); 20] = [
    (160, Label::Post),
    (80, Label::Reply),
    (20, Label::Repeat),
    (60, Label::Retweet),
    (100, Label::Extract),
    (80, Label::Collect),
    (200, Label::Plain),
    (30, Label::High),
    (30, Label::Low),
    (30, Label::Slow),
    (60, Label::Scheduled),
    (40, Label::Unique),
    (70, Label::Fails),
    (20, Label::FailsAlways),
    (8, Label::Hangs),
    (4, Label::HangsAlways),
    (15, Label::Panics),
    (8, Label::PanicsAlways),
    (1, Label::Poison),
    (1, Label::PoisonAlways),
];

/// Plans a run of about `jobs` jobs over `time`.
pub fn plan(seed: u64, jobs: usize, time: Duration, targets: Targets, types: &JobTypes) -> Vec<Offer> {
    let weights: Vec<_> =
        WEIGHTS.into_iter().filter(|(_, l)| *l != Label::Retweet || types.get("retweet_post").is_some()).collect();
    let mut planner = Planner { dice: Dice::new(seed, "plan"), seed, targets, texts: 0, repeats: Vec::new(), keys: 0 };
    let mut labels: Vec<Label> = weights.iter().map(|(_, label)| *label).collect();
    while labels.len() < jobs {
        let label = planner.dice.weighed(&weights);
        labels.push(label);
    }
    let mut offers = Vec::new();
    let mut rest = labels.as_slice();
    while !rest.is_empty() {
        let size = if planner.dice.chance(0.1) { planner.dice.between(5, 40) } else { 1 };
        let (now, later) = rest.split_at(usize::try_from(size).unwrap_or(1).min(rest.len()));
        rest = later;
        let at = time.mul_f64(planner.dice.share());
        let (chaos, perch): (Vec<Planned>, Vec<Planned>) =
            now.iter().map(|label| planner.job(*label)).partition(|job| job.kind == Chaos::KIND);
        // The other paths know only the kinds of Perch. A producer in SQL never learns that a unique key is taken.
        let may_be_sql = perch.iter().all(|job| job.label != Label::Repeat);
        let path = match planner.dice.weighed(&[(6, EnqueuePath::Api), (3, EnqueuePath::Client), (2, EnqueuePath::Sql)])
        {
            EnqueuePath::Sql if !may_be_sql => EnqueuePath::Client,
            path => path,
        };
        offers.extend(
            [(EnqueuePath::Client, chaos), (path, perch)]
                .into_iter()
                .filter(|(_, jobs)| !jobs.is_empty())
                .map(|(path, jobs)| Offer { at, path, jobs }),
        );
    }
    let repeats = std::mem::take(&mut planner.repeats);
    offers.extend(repeats.into_iter().map(|job| Offer {
        at: time.mul_f64(0.3 + 0.7 * planner.dice.share()),
        path: EnqueuePath::Client,
        jobs: vec![job],
    }));
    offers.sort_by_key(|offer| offer.at);
    offers
}

struct Planner {
    dice: Dice,
    seed: u64,
    targets: Targets,
    texts: u64,
    keys: u64,
    repeats: Vec<Planned>,
}

const WORDS: [&str; 12] =
    ["line", "steam", "price", "edge", "total", "spread", "moneyline", "parlay", "closing", "value", "stake", "unit"];

impl Planner {
    fn job(&mut self, label: Label) -> Planned {
        match label {
            Label::Post => self.post(label, None),
            Label::Reply => {
                let to = self.dice.one_of(&self.targets.posts).clone();
                self.post(label, Some(to))
            }
            Label::Repeat => {
                let first = Planned { expect: Expect::DoneOrReplaced, ..self.post(label, None) };
                let again = Planned { id_bits: self.dice.bits(), ..first.clone() };
                self.repeats.push(again);
                first
            }
            Label::Retweet => match self.targets.retweets.pop() {
                Some(post) => {
                    let account = *self.dice.one_of(&ACCOUNTS);
                    let payload = json!({ "account": account, "post_id": post });
                    Planned { effect: Some(post), ..self.of(label, Expect::Done, "retweet_post", payload) }
                }
                None => self.job(Label::Post),
            },
            Label::Extract => match self.targets.picks.pop() {
                Some((id, author, text)) => {
                    let created_at = Utc::now().to_rfc3339();
                    let post = json!({ "id": id, "author_id": "12", "author": author, "text": text, "created_at": created_at });
                    let payload = json!({ "post": post, "account": ACCOUNTS[0] });
                    self.of(label, Expect::Ended, "extract_post", payload)
                }
                None => self.job(Label::Collect),
            },
            Label::Collect => {
                let posts: Vec<String> =
                    (0..self.dice.between(1, 20)).map(|_| self.dice.one_of(&self.targets.posts).clone()).collect();
                self.of(label, Expect::Done, "collect_metrics", json!({ "post_ids": posts }))
            }
            _ => self.chaos(label),
        }
    }

    fn of(&mut self, label: Label, expect: Expect, kind: &'static str, payload: Value) -> Planned {
        Planned {
            label,
            expect,
            effect: None,
            kind,
            payload,
            id_bits: self.dice.bits(),
            retry: PATIENT,
            timeout: None,
            delay: None,
            priority: None,
            unique: None,
        }
    }

    /// Every text is unique.
    fn post(&mut self, label: Label, reply_to: Option<String>) -> Planned {
        self.texts += 1;
        let (seed, n) = (self.seed, self.texts);
        let words: Vec<&str> = (0..4).map(|_| *self.dice.one_of(&WORDS)).collect();
        let text = format!("Run {seed} no. {n}: {}", words.join(" "));
        let mut payload = json!({ "account": self.dice.one_of(&ACCOUNTS), "text": text });
        if let Some(to) = reply_to {
            payload["reply_to"] = to.into();
        }
        // A repetition needs a key; without one, the id of the job is its key.
        if label == Label::Repeat || self.dice.chance(0.5) {
            payload["effect_key"] = format!("rig:{seed}:{n}").into();
        }
        Planned { effect: Some(text), ..self.of(label, Expect::Done, PublishPost::KIND, payload) }
    }

    fn chaos(&mut self, label: Label) -> Planned {
        let few = u32::try_from(self.dice.between(1, 3)).unwrap_or(1);
        let (does, expect, retry) = match label {
            Label::Slow => (Behaviour::Take(self.dice.between(1_000, 3_000)), Expect::Done, PATIENT),
            Label::Fails => (Behaviour::Fail(few), Expect::Done, PATIENT),
            Label::FailsAlways => (Behaviour::Fail(ALWAYS), Expect::Dead, SHORT),
            Label::Hangs => (Behaviour::Hang(few), Expect::Done, PATIENT),
            Label::HangsAlways => (Behaviour::Hang(ALWAYS), Expect::Dead, SHORT),
            Label::Panics => (Behaviour::Panic(few), Expect::Done, PATIENT),
            Label::PanicsAlways => (Behaviour::Panic(ALWAYS), Expect::Dead, SHORT),
            Label::Poison => (Behaviour::Abort(few), Expect::Done, PATIENT),
            Label::PoisonAlways => (Behaviour::Abort(ALWAYS), Expect::Dead, SHORT),
            _ => (Behaviour::Succeed, Expect::Done, PATIENT),
        };
        let expect = if label == Label::Unique { Expect::DoneOrReplaced } else { expect };
        let payload = json!({ "does": does });
        let mut job = Planned { retry, ..self.of(label, expect, Chaos::KIND, payload) };
        match label {
            Label::Hangs | Label::HangsAlways => job.timeout = Some(Duration::from_millis(400)),
            Label::Scheduled => job.delay = Some(Duration::from_millis(self.dice.between(500, 20_000))),
            Label::High => job.priority = Some(Priority::High),
            Label::Low => job.priority = Some(Priority::Low),
            Label::Unique => job.unique = Some(self.unique()),
            _ => {}
        }
        job
    }

    /// Each key is used about four times.
    fn unique(&mut self) -> (Unique, OnConflict) {
        self.keys += 1;
        let key = format!("rig:{}", self.dice.between(self.keys / 4, self.keys / 4 + 3));
        let scope = if self.dice.chance(0.5) { UniqueScope::Done } else { UniqueScope::Queued };
        let on_conflict =
            self.dice.weighed(&[(6, OnConflict::Keep), (2, OnConflict::Reject), (2, OnConflict::Replace)]);
        (Unique { key, scope }, on_conflict)
    }
}

impl Planned {
    /// Whether its queue is a ledger queue.
    pub fn has_ledger(&self) -> bool {
        self.kind == PublishPost::KIND || self.kind == "retweet_post"
    }

    /// The id that it gets when it is first offered at `now`.
    pub fn id_at(&self, now: DateTime<Utc>) -> JobId {
        JobId::from_parts(now, self.id_bits)
    }

    fn run_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.delay.and_then(|delay| now.checked_add_signed(TimeDelta::from_std(delay).ok()?))
    }

    /// The job for the Rust client. `now` is when it was first offered, also when it is offered again.
    pub fn for_client(&self, now: DateTime<Utc>) -> NewJob {
        let (unique, on_conflict) = self.unique.clone().map_or((None, OnConflict::Keep), |(u, c)| (Some(u), c));
        let options = EnqueueOptions {
            id: Some(self.id_at(now)),
            run_at: self.run_at(now),
            priority: self.priority,
            retry: Some(self.retry),
            timeout: self.timeout,
            unique,
            on_conflict,
            ..EnqueueOptions::default()
        };
        let payload = RawValue::from_string(self.payload.to_string()).expect("a value prints as JSON");
        NewJob { kind: JobKind::from_static(self.kind), payload, options }
    }

    /// For SQL: kind, payload, id, attempts.
    pub fn for_sql(&self, now: DateTime<Utc>) -> (&'static str, String, String, i32) {
        let attempts = i32::try_from(self.retry.max_attempts).unwrap_or(i32::MAX);
        (self.kind, self.payload.to_string(), self.id_at(now).to_string(), attempts)
    }

    /// For the HTTP API.
    pub fn for_api(&self, now: DateTime<Utc>) -> Value {
        let RetryPolicy { max_attempts, base_ms, cap_ms } = self.retry;
        json!({
            "kind": self.kind,
            "payload": self.payload,
            "id": self.id_at(now),
            "retry": { "max_attempts": max_attempts, "base_ms": base_ms, "cap_ms": cap_ms },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::worker::job_types;

    fn targets() -> Targets {
        Targets {
            posts: vec!["1".into(), "2".into()],
            retweets: (10..400).map(|n| n.to_string()).collect(),
            picks: (400..800).map(|n| (n.to_string(), "sally".into(), format!("Lakers -{n}"))).collect(),
        }
    }

    fn planned(seed: u64) -> Vec<Offer> {
        plan(seed, 1_000, Duration::from_secs(60), targets(), &job_types())
    }

    #[test]
    fn the_same_seed_plans_the_same_run_and_another_seed_another() {
        let told = |seed| {
            let at = DateTime::UNIX_EPOCH;
            let jobs = |offer: &Offer| offer.jobs.iter().map(|job| job.id_at(at).to_string()).collect::<Vec<_>>();
            planned(seed).iter().map(|offer| (offer.at, jobs(offer))).collect::<Vec<_>>()
        };
        assert_eq!(told(1), told(1));
        assert_ne!(told(1), told(2));
    }

    #[test]
    fn every_kind_of_trouble_is_in_every_run_and_every_job_fits_its_type() {
        let offers = planned(3);
        let jobs: Vec<&Planned> = offers.iter().flat_map(|offer| &offer.jobs).collect();
        let types = job_types();
        for (_, label) in WEIGHTS.iter().filter(|(_, l)| *l != Label::Retweet || types.get("retweet_post").is_some()) {
            assert!(jobs.iter().any(|job| job.label == *label), "{label:?}");
        }
        for job in jobs {
            let new = job.for_client(Utc::now());
            types.get(new.kind.as_str()).expect("a known kind").check(&new.payload).expect("a fitting payload");
        }
    }

    #[test]
    fn no_two_posts_have_the_same_text_unless_they_are_the_same_effect() {
        let offers = planned(4);
        let jobs = offers.iter().flat_map(|offer| &offer.jobs);
        let effects: Vec<&String> =
            jobs.filter(|j| j.label != Label::Repeat).filter_map(|j| j.effect.as_ref()).collect();
        assert_eq!(effects.iter().collect::<BTreeSet<_>>().len(), effects.len());
    }
}
