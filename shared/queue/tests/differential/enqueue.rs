use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use perch_base::settings::History;
use perch_job::JobId;
use perch_queue::{
    Acceptance, Client, EnqueueError, Enqueued, Envelope, Fail, JobRequest, LedgerJob, LedgerState, NewJob,
    RetryRequest, UniqueRequest,
    testing::{self, AttemptEnd},
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    Ground,
    contents::{Contents, contents, rename, renamed},
    for_all, raw, start,
    support::{SilentLedger, World, queue_settings},
    wish::{When, Wish, given, plain, wish},
};

/// The ways to enqueue. All are compared with the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One after the other.
    Single,
    Bulk,
    /// Concurrent single enqueues, which share calls if they have no options.
    Coalesced,
    /// Through a ledger, one after the other.
    Ledger,
    LedgerInBulk,
    /// Like the relay of an outbox.
    Relay,
    /// Lines of NDJSON.
    Requests,
    /// A foreign client.
    Raw,
    RawInBulk,
}

const WAYS: [Way; 9] = [
    Way::Single,
    Way::Bulk,
    Way::Coalesced,
    Way::Ledger,
    Way::LedgerInBulk,
    Way::Relay,
    Way::Requests,
    Way::Raw,
    Way::RawInBulk,
];

impl Way {
    fn has_ledger(self) -> bool {
        matches!(self, Self::Ledger | Self::LedgerInBulk)
    }

    /// The id of the job is remembered in the intake, so that it does not run again if it is handed over once more.
    fn remembers(self) -> bool {
        self.has_ledger() || self == Self::Relay
    }

    /// A delay becomes a time of day, which stays if the clock of Redis goes back. So its due time does not differ from that in
    /// the envelope by the millisecond that marks a delay.
    fn forgets_delays(self) -> bool {
        matches!(self, Self::Relay | Self::Requests)
    }
}

#[derive(Debug, Clone)]
struct Case {
    history: History,
    depth: usize,
    /// Jobs that are there before, under the first ids that callers give. Of them this many run, and of those so many are dead.
    before: Vec<Wish>,
    running: usize,
    dead: usize,
    /// One of them to cancel.
    cancelled: Option<u8>,
    wishes: Vec<Wish>,
}

fn cases() -> impl Strategy<Value = Case> {
    let settings = (select(vec![History::Failures, History::Full]), select(vec![0, 2, 5]));
    let before = (vec(wish(), 0..5), 0..3usize, 0..2usize, prop::option::of(0..4u8));
    let wishes = (prop_oneof![vec(plain(), 1..7), vec(wish(), 1..7)], any::<bool>());
    (settings, before, wishes).prop_map(
        |((history, depth), (before, running, dead, cancelled), (mut wishes, have_ids))| {
            without_ids_used_again(&mut wishes, have_ids);
            Case { history, depth, before, running, dead, cancelled, wishes }
        },
    )
}

/// Takes the ids away, or only those of a job that another of the same call may have replaced: to a ledger such an id is known,
/// elsewhere it is free again.
fn without_ids_used_again(wishes: &mut [Wish], have_ids: bool) {
    let mut replaceable = Vec::new();
    for wish in wishes {
        wish.details.id = wish.details.id.filter(|id| have_ids && !replaceable.contains(id));
        replaceable.extend(wish.details.id.filter(|_| !wish.is_plain()));
    }
}

/// The result of a case by one way.
#[derive(Debug, PartialEq, Eq)]
struct Played {
    answers: Vec<String>,
    contents: Contents,
}

impl Case {
    async fn play(&self, ground: &Ground, way: Way) -> Played {
        let mut settings = queue_settings();
        (settings.history, settings.max_depth, settings.ledger) = (self.history, self.depth, way.has_ledger());
        let world = ground.empty(settings).await;
        self.prepare(&world).await;
        let answers = self.enqueue(&world, way).await;
        self.read(&world, way, &answers).await
    }

    async fn prepare(&self, world: &World) {
        let numbered = self.before.iter().zip(0..).map(|(wish, n)| {
            let mut job = wish.job();
            job.options.id = Some(given(n));
            // Not when another job is due, because the order of the two would decide whether a worker is woken.
            job.options.delay = job.options.delay.map(|delay| delay + Duration::from_millis(500));
            job
        });
        world.client.submit_all(numbered.collect()).await;
        let fetched = testing::fetch(&world.queue, "other", self.running, 0).await.expect("Redis").jobs;
        for (lease, envelope) in fetched.iter().take(self.dead) {
            let envelope = Envelope::decode(envelope).expect("readable");
            let end = AttemptEnd::Failed(Fail::Dead("it can never work".into()));
            assert!(testing::finish(&world.queue, lease, &envelope, end).await.expect("Redis"));
        }
        if let Some(n) = self.cancelled {
            world.queue.cancel(given(n), "ann", "not wanted").await.expect("Redis");
        }
        // An idle worker has taken the token.
        redis::cmd("DEL").arg(world.queue.keys().wake()).exec_async(&mut world.redis.raw().await).await.expect("Redis");
    }

    async fn enqueue(&self, world: &World, way: Way) -> Vec<Result<Enqueued, EnqueueError>> {
        let jobs: Vec<NewJob> = self.wishes.iter().map(Wish::job).collect();
        let kept = Client::new(world.queues.with_ledger(Arc::new(SilentLedger(LedgerState::New))));
        match way {
            Way::Single => one_by_one(&world.client, jobs).await,
            Way::Bulk => world.client.submit_all(jobs).await,
            Way::Coalesced => at_the_same_time(&world.client, &self.wishes).await,
            Way::Ledger => one_by_one(&kept, jobs).await,
            Way::LedgerInBulk => kept.submit_all(jobs).await,
            Way::Relay => {
                let admitted = |job: NewJob| {
                    let id = job.options.id.unwrap_or_else(|| JobId::at(start()));
                    world.client.admit(id, job).expect("a job that can be")
                };
                let rows: Vec<LedgerJob> = jobs.into_iter().map(admitted).collect();
                world.client.hand_over(&world.queue, &rows).await
            }
            Way::Requests => {
                let read = |job: &NewJob| from_line(&line(job), job, world);
                world.client.submit_all(jobs.iter().map(read).collect()).await
            }
            Way::Raw | Way::RawInBulk => {
                let conn = &mut world.redis.raw().await;
                raw::enqueue(conn, &world.queue, world.queues.types(), &jobs, way == Way::RawInBulk).await
            }
        }
    }

    /// Results and contents, with generated ids replaced by the positions of their jobs, and without the intended differences of
    /// this way.
    async fn read(&self, world: &World, way: Way, answers: &[Result<Enqueued, EnqueueError>]) -> Played {
        let mut contents = contents(&mut world.redis.raw().await).await;
        let mut names = Vec::new();
        let accepted = |answer: &Result<Enqueued, EnqueueError>| match answer {
            Ok(enqueued) if matches!(enqueued.acceptance, Acceptance::Accepted | Acceptance::Replaced) => {
                Some(enqueued.id.to_string())
            }
            _ => None,
        };
        for ((wish, answer), place) in self.wishes.iter().zip(answers).zip(1..) {
            let Some(id) = accepted(answer) else { continue };
            if way.remembers() {
                let remembered = contents.get(&world.queue.keys().intake()).expect("it remembers");
                assert!(remembered.iter().any(|row| row.starts_with(&id)), "{way:?} forgets job {place}");
            }
            if way.forgets_delays() && matches!(wish.when, When::After(_)) {
                one_millisecond_later(contents.get_mut(&world.queue.keys().delayed()), &id);
            }
            if wish.details.id.is_none() {
                names.push((id, format!("job {place}")));
            }
        }
        if way.remembers() {
            contents.remove(&world.queue.keys().intake());
        }
        let answers = answers.iter().map(|answer| rename(format!("{answer:?}"), &names)).collect();
        Played { answers, contents: renamed(contents, &names) }
    }
}

fn one_millisecond_later(delayed: Option<&mut Vec<String>>, id: &str) {
    for row in delayed.into_iter().flatten() {
        if let Some(due) = row.strip_prefix(id) {
            let due: i64 = due.trim().parse().expect("milliseconds");
            *row = format!("{id} {}", due + 1);
        }
    }
}

async fn one_by_one(client: &Client, jobs: Vec<NewJob>) -> Vec<Result<Enqueued, EnqueueError>> {
    let mut answers = Vec::new();
    for job in jobs {
        answers.push(client.submit(job).await);
    }
    answers
}

/// Consecutive jobs without options are sent concurrently; the others keep their positions.
async fn at_the_same_time(client: &Client, wishes: &[Wish]) -> Vec<Result<Enqueued, EnqueueError>> {
    let mut answers = Vec::new();
    for some in wishes.chunk_by(|one, next| one.is_plain() && next.is_plain()) {
        answers.extend(join_all(some.iter().map(|wish| client.submit(wish.job()))).await);
    }
    answers
}

/// A job as a producer writes it. Its parent and its trace come from elsewhere.
fn line(job: &NewJob) -> String {
    let options = &job.options;
    let request = JobRequest {
        id: options.id,
        run_at: options.run_at,
        delay_ms: options.delay.map(|delay| delay.as_millis().try_into().expect("it is short")),
        priority: options.priority,
        retry: options.retry.map(|retry| RetryRequest {
            max_attempts: Some(retry.max_attempts),
            base_ms: Some(retry.base_ms),
            cap_ms: Some(retry.cap_ms),
        }),
        timeout_ms: options.timeout.map(|timeout| timeout.as_millis().try_into().expect("it is short")),
        deadline: options.deadline,
        unique: options.unique.clone().map(|unique| UniqueRequest { key: unique.key, scope: unique.scope }),
        on_conflict: Some(options.on_conflict),
        group: options.group.clone(),
        ..JobRequest::new(job.kind.to_string(), job.payload.clone())
    };
    serde_json::to_string(&request).expect("JSON")
}

fn from_line(line: &str, job: &NewJob, world: &World) -> NewJob {
    let request: JobRequest = serde_json::from_str(line).expect("a request");
    let known = world.queues.types().get(&request.kind);
    let mut read = request.into_job(known, world.queue.now(), world.queue.engine().max_schedule_ahead).expect("a job");
    read.options.parent = job.options.parent;
    read.options.traceparent.clone_from(&job.options.traceparent);
    read
}

#[test]
fn a_job_is_answered_and_stored_in_the_same_way_by_every_way_into_a_queue() {
    for_all(100, cases(), &async |ground, case: Case| {
        let [first, others @ ..] = WAYS;
        let expected = case.play(ground, first).await;
        for way in others {
            let played = case.play(ground, way).await;
            assert_eq!(played, expected, "{way:?}, and as expected from {first:?}");
        }
    });
}
