//! The engine under test: its operations, and its data, read directly from Redis.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc, time::Duration};

use perch_base::{Clock, Environment};
use perch_job::{JobId, JobTypes, Priority, QueueName, RetryPolicy, Unique, UniqueScope};
use perch_queue::{
    Client, DeadLetter, EnqueueError, EnqueueOptions, Enqueued, EntryId, Envelope, EventKind, Fail, Lease, LedgerState,
    NewJob, Queue, Queues, Redis, Replay,
    testing::{self, AttemptEnd},
};
use redis::{FromRedisValue, Pipeline, Value};
use serde_json::value::RawValue;

use crate::{
    model::{DEAD_KEPT, DEAD_RETENTION_MS, ERRORS_KEPT, LEASE_MS, UNKNOWN_KIND_WAIT_MS, WINDOW_MS},
    ops::{Ending, GROUPS, HOLDERS, KEYS, Rules, Scope, Seconds, Wish},
    rates,
    state::{Answer, Lists, State, Stored},
    support::{Chore, QUEUE, SilentLedger, engine, queue_settings},
};

const LIMITERS: [&str; GROUPS.len() + 1] = [GROUPS[0], GROUPS[1], GROUPS[2], rates::QUEUE];

/// A lease as a worker holds it, with the envelope that came along.
pub type Holding = (Lease, Envelope);

pub struct Engine {
    door: Redis,
    types: JobTypes,
    clock: Clock,
    client: Client,
    pub queue: Queue,
    /// The last seen version of every envelope, which Postgres would have.
    envelopes: RefCell<BTreeMap<JobId, String>>,
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).expect("times are positive"))
}

fn seconds(s: Seconds) -> Duration {
    Duration::from_secs(s.into())
}

fn queues(door: &Redis, types: &JobTypes, clock: &Clock, Rules { limits, ledger, depth }: Rules) -> Queues {
    let mut settings = queue_settings();
    settings.ledger = ledger;
    settings.group_concurrency = limits.group;
    settings.global_concurrency = limits.global;
    settings.group_rate = limits.group_rate;
    settings.rate = limits.rate;
    settings.dead_retention = millis(DEAD_RETENTION_MS);
    settings.dead_kept = DEAD_KEPT;
    settings.max_depth = depth;
    let mut engine = engine();
    engine.lease = millis(LEASE_MS);
    engine.errors_kept = ERRORS_KEPT;
    engine.unknown_kind_wait = millis(UNKNOWN_KIND_WAIT_MS);
    let blocks = BTreeMap::from([(QueueName::from_static(QUEUE), settings)]);
    Queues::of(door.clone(), Environment::Staging, &blocks, &engine, types.clone(), clock)
        .with_ledger(Arc::new(SilentLedger(LedgerState::Waiting)))
}

impl Engine {
    /// An empty queue.
    pub async fn start(door: &Redis, types: &JobTypes, clock: Clock, rules: Rules) -> Self {
        door.cmd::<()>("empty the database", &redis::cmd("FLUSHDB")).await.expect("Redis answers");
        let queues = queues(door, types, &clock, rules);
        let queue = queues.get(&QueueName::from_static(QUEUE)).expect("it is configured").clone();
        let client = Client::new(queues);
        Self { door: door.clone(), types: types.clone(), clock, client, queue, envelopes: RefCell::default() }
    }

    pub fn deploy(&mut self, rules: Rules) {
        let queues = queues(&self.door, &self.types, &self.clock, rules);
        self.queue = queues.get(&QueueName::from_static(QUEUE)).expect("it is configured").clone();
        self.client = Client::new(queues);
    }

    /// Lets time pass. The windows of unique keys end by the clock of Redis, which is not injected: so they are ended here.
    pub async fn pass(&self, time: Seconds, ended: &[&str]) {
        self.clock.advance(seconds(time));
        for key in ended {
            let name = format!("{}{key}", self.queue.keys().unique());
            self.command("DEL", &name).await;
        }
    }

    async fn command(&self, verb: &str, key: &str) {
        let mut cmd = redis::cmd(verb);
        cmd.arg(key);
        self.door.cmd::<Value>("reach behind the engine", &cmd).await.expect("Redis answers");
    }

    pub async fn enqueue(&self, id: JobId, n: u64, wish: &Wish) -> Answer {
        let unique = wish.unique.map(|(key, scope, _)| Unique {
            key: key.to_owned(),
            scope: match scope {
                Scope::Queued => UniqueScope::Queued,
                Scope::Done => UniqueScope::Done,
                Scope::Window => UniqueScope::WindowMs(WINDOW_MS.unsigned_abs()),
            },
        });
        let options = EnqueueOptions {
            id: Some(id),
            run_at: (wish.delay > 0).then(|| self.clock.now() + seconds(wish.delay)),
            priority: Some(wish.priority),
            retry: Some(RetryPolicy { max_attempts: wish.max, base_ms: 1, cap_ms: 1 }),
            unique,
            on_conflict: wish.unique.map(|(_, _, on_conflict)| on_conflict).unwrap_or_default(),
            group: wish.group.map(str::to_owned),
            ..EnqueueOptions::default()
        };
        let job = NewJob::of(&Chore::number(n)).expect("a chore is JSON").with(options);
        match self.client.submit(job).await {
            Ok(Enqueued { id, acceptance, replaced, .. }) => Answer::Enqueued { id, acceptance, replaced },
            Err(EnqueueError::Conflict { holder, .. }) => Answer::Conflict { holder },
            Err(EnqueueError::Full { .. }) => Answer::Full,
            Err(error) => panic!("{error}"),
        }
    }

    /// A worker that was woken fetches: it takes the token first.
    pub async fn fetch(&self, holder: usize, slots: usize, reaped: usize) -> (Answer, Vec<Holding>) {
        self.command("LPOP", &self.queue.keys().wake()).await;
        let settings = self.queue.settings();
        let rates = settings.group_rate.is_some() || settings.rate.is_some();
        let fetched = if rates || settings.group_concurrency > 0 || settings.global_concurrency > 0 {
            testing::fetch(&self.queue, HOLDERS[holder], slots, reaped).await
        } else {
            testing::fetch_woken(&self.queue, HOLDERS[holder], slots, reaped).await
        };
        let fetched = fetched.expect("Redis answers");
        let leases = fetched.jobs.iter().map(|(lease, _)| lease.member().to_owned()).collect();
        let next = fetched.next.map(|next| next.as_millis());
        let read = |(lease, envelope): (Lease, Vec<u8>)| (lease, Envelope::decode(&envelope).expect("readable"));
        (Answer::Fetched { leases, paused: fetched.paused, next }, fetched.jobs.into_iter().map(read).collect())
    }

    pub async fn finish(&self, (lease, envelope): &Holding, ending: Ending) -> Answer {
        let why = || "for a reason".to_owned();
        let (end, backoff) = match ending {
            Ending::Done => (AttemptEnd::Succeeded, 0),
            Ending::Retry(after) => (AttemptEnd::Failed(Fail::Retry(why())), after),
            Ending::RetryAfter(after) => (AttemptEnd::Failed(Fail::RetryAfter(seconds(after), why())), 0),
            Ending::Snooze(delay) => (AttemptEnd::Failed(Fail::Snooze(seconds(delay), why())), 0),
            Ending::Dead => (AttemptEnd::Failed(Fail::Dead(why())), 0),
            Ending::Cancelled => (AttemptEnd::Failed(Fail::Cancelled(why())), 0),
            Ending::Release => (AttemptEnd::Interrupted, 0),
            Ending::Unknown => (AttemptEnd::Unknown, 0),
        };
        let mut envelope = envelope.clone();
        let backoff_ms = seconds(backoff).as_millis().try_into().expect("seconds are few");
        envelope.backoff = Some((backoff_ms, backoff_ms));
        Answer::Held(testing::finish(&self.queue, lease, &envelope, end).await.expect("Redis answers"))
    }

    pub async fn begin(&self, lease: &Lease) -> Answer {
        Answer::Count(testing::begin(&self.queue, std::slice::from_ref(lease)).await.expect("Redis answers"))
    }

    pub async fn heartbeat(&self, holder: usize, held: &[Lease], reaped: usize) -> Answer {
        let (lost, stop) = testing::renew(&self.queue, HOLDERS[holder], held, reaped).await.expect("Redis answers");
        Answer::Pulse { lost, stop }
    }

    pub async fn reclaim(&self, holder: usize, known: &[Lease]) -> Answer {
        Answer::Count(testing::reclaim(&self.queue, HOLDERS[holder], known).await.expect("Redis answers"))
    }

    pub async fn cancel(&self, id: JobId) -> Answer {
        Answer::Cancellation(self.queue.cancel(id, "ann", "not wanted").await.expect("Redis answers"))
    }

    pub async fn run_now(&self, id: JobId) -> Answer {
        Answer::Changed(self.queue.run_now(id).await.expect("Redis answers"))
    }

    pub async fn pause(&self, paused: bool) -> Answer {
        let changed = if paused { self.queue.pause("ann").await } else { self.queue.resume("ann").await };
        Answer::Changed(changed.expect("Redis answers"))
    }

    pub async fn purge(&self) -> Answer {
        Answer::Count(self.queue.purge_some("ann").await.expect("Redis answers"))
    }

    pub async fn prune(&self) -> Answer {
        Answer::Count(self.queue.prune_some().await.expect("Redis answers"))
    }

    pub async fn discard(&self, id: JobId) -> Answer {
        Answer::Count(self.queue.discard(&[id], "ann").await.expect("Redis answers"))
    }

    pub async fn letter(&self, id: JobId) -> Option<DeadLetter> {
        self.queue.dead_letter(id).await.expect("Redis answers")
    }

    pub async fn replay(&self, letter: &DeadLetter, edit: Option<u64>, delay: Seconds) -> Answer {
        let payload = edit.map(|n| RawValue::from_string(format!(r#"{{"n":{n}}}"#)).expect("JSON"));
        let replay = Replay { letter: letter.clone(), payload };
        let answers = self.queue.replay(&[replay], seconds(delay), "ann").await.expect("Redis answers");
        Answer::Replayed(answers[0].1)
    }

    /// The events of each job in the stream, in order.
    pub async fn history(&self) -> BTreeMap<JobId, Vec<EventKind>> {
        let entries = self.queue.events_after(EntryId::default(), 10_000).await.expect("Redis answers");
        let mut history: BTreeMap<JobId, Vec<EventKind>> = BTreeMap::new();
        for event in entries.into_iter().flat_map(|(_, events)| events) {
            history.entry(event.job).or_default().push(event.kind);
        }
        history
    }

    /// The names of all keys in the database.
    pub async fn keys(&self) -> Vec<String> {
        let mut cmd = redis::cmd("KEYS");
        cmd.arg("*");
        self.door.cmd("list keys", &cmd).await.expect("Redis answers")
    }

    /// Keys without a TTL, unlike windows and limiters.
    pub async fn lasting_keys(&self) -> Vec<String> {
        let keys = self.keys().await;
        let mut pipe = redis::pipe();
        for key in &keys {
            pipe.pttl(key);
        }
        let left: Vec<i64> = self.pipe(pipe).await;
        keys.into_iter().zip(left).filter(|(_, left)| *left < 0).map(|(key, _)| key).collect()
    }

    /// All data of the queue, its lists, and whether there is a token to wake a worker.
    pub async fn state(&self) -> (State, Lists, bool) {
        let mut rows = Rows(self.pipe::<Vec<Value>>(self.everything()).await.into_iter());
        let now = self.clock.now().timestamp_millis();
        let envelopes = rows.by_id(|envelope: String| envelope);
        let lists = Lists {
            ready: [rows.ids(), rows.ids(), rows.ids()],
            parked: [rows.parked(), rows.parked(), rows.parked()],
            parked_groups: rows.read::<Vec<String>>().into_iter().collect(),
            cancelled: rows.ids().into_iter().collect(),
        };
        let state = State {
            jobs: envelopes.iter().map(|(id, envelope)| (*id, stored(envelope))).collect(),
            delayed: rows.by_id(|due: i64| due),
            dead: rows.by_id(|died: i64| died),
            leases: rows.read(),
            attempts: rows.by_id(|n: u32| n),
            dead_attempts: rows.by_id(|n: u32| n),
            running: rows.read(),
            errors: rows.by_id(|lines: String| lines.lines().count()),
            priority: rows.by_id(|priority: String| priority),
            group: rows.by_id(|group: String| group),
            cancelling: rows.by_id(|_: String| ()).into_keys().collect(),
            held_until_start: rows.by_id(|key: String| key),
            held_until_done: rows.by_id(|key: String| key),
            unknown_since: rows.by_id(|since: i64| since),
            remembered: rows.ids().into_iter().collect(),
            locks: rows.locks(),
            arrivals: rates::ahead(rows.limiters(), now),
            paused: rows.read::<Option<u8>>() == Some(1),
            succeeded: rows.read::<Option<u64>>().unwrap_or(0),
        };
        self.envelopes.borrow_mut().extend(envelopes);
        (state, lists, rows.read::<usize>() > 0)
    }

    /// The last envelope of a job that existed at some time.
    pub fn envelope(&self, id: JobId) -> String {
        self.envelopes.borrow()[&id].clone()
    }

    pub async fn pipe<T: FromRedisValue + Send>(&self, pipe: Pipeline) -> T {
        let asked =
            self.door.call("reach behind the engine", |mut conn| async move { pipe.query_async(&mut conn).await });
        asked.await.expect("Redis answers")
    }

    /// In the order in which [`Engine::state`] reads the replies.
    fn everything(&self) -> Pipeline {
        const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];
        let keys = self.queue.keys();
        let mut pipe = redis::pipe();
        pipe.hgetall(keys.jobs());
        for priority in PRIORITIES {
            pipe.lrange(keys.ready(priority), 0, -1);
        }
        for (priority, group) in PRIORITIES.iter().flat_map(|p| GROUPS.map(|group| (p, group))) {
            pipe.lrange(keys.parked_in(*priority, group), 0, -1);
        }
        pipe.zrange(keys.parked_groups(), 0, -1);
        pipe.smembers(keys.cancelled());
        for set in [keys.delayed(), keys.dead(), keys.leases()] {
            pipe.zrange_withscores(set, 0, -1);
        }
        for hash in [keys.attempts(), keys.dead_attempts(), keys.running(), keys.errors(), keys.priority()] {
            pipe.hgetall(hash);
        }
        let of_some = [keys.group(), keys.cancelling(), keys.unique_queued(), keys.unique_done(), keys.unknown_kind()];
        for hash in of_some {
            pipe.hgetall(hash);
        }
        pipe.zrange(keys.intake(), 0, -1);
        for key in KEYS {
            pipe.get(format!("{}{key}", keys.unique()));
        }
        pipe.mget(LIMITERS.map(|limiter| format!("{}{limiter}", keys.rate())).as_slice());
        pipe.hget(keys.state(), "paused").hget(keys.state(), "succeeded").llen(keys.wake());
        pipe
    }
}

/// The replies of a pipeline, one after the other.
struct Rows(std::vec::IntoIter<Value>);

impl Rows {
    fn read<T: FromRedisValue>(&mut self) -> T {
        T::from_redis_value(self.0.next().expect("an answer to each command")).expect("of the expected type")
    }

    fn ids(&mut self) -> Vec<JobId> {
        self.read::<Vec<String>>().iter().map(|text| job_id(text)).collect()
    }

    fn by_id<T: FromRedisValue, U>(&mut self, read: impl Fn(T) -> U) -> BTreeMap<JobId, U> {
        self.read::<Vec<(String, T)>>().into_iter().map(|(id, value)| (job_id(&id), read(value))).collect()
    }

    fn locks(&mut self) -> BTreeMap<String, JobId> {
        let holders = KEYS.map(|key| (key.to_owned(), self.read::<Option<String>>()));
        holders.into_iter().filter_map(|(key, holder)| Some((key, job_id(&holder?)))).collect()
    }

    fn limiters(&mut self) -> impl Iterator<Item = (&'static str, f64)> {
        let values: Vec<Option<f64>> = self.read();
        LIMITERS.into_iter().zip(values).filter_map(|(limiter, at)| Some((limiter, at?)))
    }

    fn parked(&mut self) -> BTreeMap<String, Vec<JobId>> {
        let lists = GROUPS.map(|group| (group.to_owned(), self.ids()));
        lists.into_iter().filter(|(_, ids)| !ids.is_empty()).collect()
    }
}

pub fn job_id(text: &str) -> JobId {
    text.parse().expect("a job id")
}

fn stored(envelope: &str) -> Stored {
    let envelope = Envelope::decode(envelope.as_bytes()).expect("readable");
    let chore: Chore = serde_json::from_str(envelope.payload.get()).expect("a chore");
    Stored {
        max: envelope.max_attempts,
        replays: envelope.replays,
        n: chore.n,
        recovered: envelope.recovered.map(|at| at.timestamp_millis()),
    }
}
