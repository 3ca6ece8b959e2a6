//! Lets a command die halfway, gives it again, and looks into the books of Redis and Postgres.

use std::collections::BTreeSet;

use chrono::{Duration, Utc};
use perch_base::Environment;
use perch_jobs::JobId;
use perch_queue::{
    Envelope, EventKind, Fail, JobState, Lease, LostJob, Queue,
    testing::{self, AttemptEnd},
};
use perch_store::Syncer;
use sqlx::{PgPool, Postgres, postgres::PgArguments, query::QueryScalar};

use crate::{
    operations::{JobPlace, Operation, QUEUE},
    stage::{Stage, comes_true},
};

const ENVELOPE: &str = r#"{"kind":"collect_metrics","max":3,"payload":{"post_ids":["1849212345678901234"]}}"#;
/// Whom the binary takes for its operator.
const OPERATOR: &str = "tester";

/// Lets the operation die at each of its points and runs it again each time.
pub async fn dies_and_is_repeated(operation: &'static Operation) {
    let books = Books::open().await;
    for (point, moved) in operation.deaths {
        books.play(operation, point, *moved).await;
    }
}

/// What Redis and Postgres say of the jobs.
struct Books {
    stage: Stage,
    queue: Queue,
    syncer: Syncer,
    postgres: PgPool,
}

type Held = Vec<(Lease, Envelope)>;

impl Books {
    async fn open() -> Self {
        let stage = Stage::start().await;
        let queues = stage.world.queues();
        let store = stage.world.database.store(Environment::Staging);
        let syncer = Syncer::new(queues.redis().clone(), store, Environment::Staging, &queues.names(), 500);
        let (queue, postgres) = (stage.world.queue(QUEUE), stage.world.database.raw());
        Self { stage, queue, syncer, postgres }
    }

    async fn play(&self, operation: &Operation, point: &str, moved: usize) {
        let what = format!("{:?} {point}", operation.arguments);
        let ids: BTreeSet<JobId> = (0..operation.jobs).map(|_| JobId::at(Utc::now())).collect();
        let held = self.bring_to(operation.from, &ids).await;
        let told = self.told(operation, &ids).await;
        let audited = self.audited(operation).await;
        let named: Vec<String> = ids.iter().filter(|_| operation.names_jobs).map(ToString::to_string).collect();
        let arguments: Vec<&str> =
            operation.arguments.iter().copied().chain(named.iter().map(String::as_str)).collect();

        self.stage.run_with(&arguments, Some(point), operation.settings).dies(point).await;
        let (from, to) = (self.found(operation.from, &ids).await, self.found(operation.to, &ids).await);
        assert_eq!((from.len(), to.len()), (operation.jobs - moved, moved), "{what}: some are moved, some are not");
        assert_eq!(&from | &to, ids, "{what}: each is in one place");
        let written = self.audited(operation).await - audited;
        assert!(written <= moved, "{what}: the audit log tells of nothing that was not done");

        if operation.goes_on() {
            let _goes_on = self.stage.run_with(&arguments, None, operation.settings);
            comes_true(&what, || async { self.found(operation.to, &ids).await == ids }).await;
        } else {
            let left = operation.left(moved);
            let ran = self.stage.world.run(&arguments);
            assert_eq!(ran.code, i32::from(operation.names_jobs && left < operation.jobs), "{what}: {ran:?}");
            let expected = written + if operation.audited.is_some() { left } else { 0 };
            let audited = self.audited(operation).await - audited;
            assert_eq!(audited, expected, "{what}: the audit log has what the second run did, and no more");
        }
        assert_eq!(self.found(operation.to, &ids).await, ids, "{what}: all are moved");
        self.come_to_rest(operation, &ids, held, &what).await;
        let told = self.told(operation, &ids).await - told;
        let once = if operation.told.is_some() { operation.jobs } else { 0 };
        assert_eq!(told, once, "{what}: it is told of each job once");
    }

    /// Whoever runs something gives it back, then all that waits is run.
    async fn come_to_rest(&self, operation: &Operation, ids: &BTreeSet<JobId>, held: Held, what: &str) {
        if operation.to == JobPlace::Paused {
            assert!(self.queue.resume("somebody").await.expect("Redis answers"));
        }
        for holding in &held {
            self.finish(holding, AttemptEnd::Interrupted).await;
        }
        let started = self.fetch().await;
        for holding in &started {
            self.finish(holding, AttemptEnd::Succeeded).await;
        }
        let waited = matches!(operation.to, JobPlace::Waiting | JobPlace::Paused);
        let expected: Vec<JobId> = ids.iter().copied().filter(|_| waited).collect();
        let mut started: Vec<JobId> = started.iter().map(|(lease, _)| lease.id()).collect();
        started.sort();
        assert_eq!(started, expected, "{what}: each that waits starts once, and no other");
        let traces = self.stage.traces(QUEUE).await;
        assert!(traces.is_empty(), "{what}: nothing is left over: {traces:?}");
        self.sync().await;
        let ended = self.ended(ids, operation.ends_as()).await;
        assert_eq!(ended, operation.jobs, "{what}: Postgres knows how they ended");
    }

    async fn put(&self, ids: &BTreeSet<JobId>, run_at: Option<Duration>, died: Option<Duration>) {
        let now = Utc::now();
        let (run_at, died_at) = (run_at.map(|ahead| now + ahead), died.map(|ago| now - ago));
        let job = |id: &JobId| LostJob {
            id: *id,
            envelope: ENVELOPE.to_owned(),
            run_at,
            attempts: u32::from(died_at.is_some()),
            error: died_at.map(|_| "no such post".to_owned()),
            died_at,
            in_doubt: false,
        };
        let (put, _) = self.queue.restore(&ids.iter().map(job).collect::<Vec<_>>()).await.expect("Redis answers");
        assert_eq!(put, ids.len());
    }

    /// Makes jobs and brings them to `place`; answers the leases held.
    async fn bring_to(&self, place: JobPlace, ids: &BTreeSet<JobId>) -> Held {
        match place {
            JobPlace::Delayed => self.put(ids, Some(Duration::hours(1)), None).await,
            JobPlace::Outdated => self.put(ids, None, Some(Duration::days(60))).await,
            _ => self.put(ids, None, None).await,
        }
        match place {
            JobPlace::Waiting | JobPlace::Delayed | JobPlace::Outdated => {}
            JobPlace::Paused => assert!(self.queue.pause("somebody").await.expect("Redis answers")),
            JobPlace::Running => return self.fetch().await,
            JobPlace::Dead => {
                for holding in self.fetch().await {
                    self.finish(&holding, AttemptEnd::Failed(Fail::Dead("no such post".to_owned()))).await;
                }
            }
            JobPlace::Ended => {
                self.sync().await;
                // As if they had been done after the copy of Redis was made.
                let done = "update jobs set state = 'done', version_ms = 9000000000000 where id = any($1)";
                let done = sqlx::query(done).bind(texts(ids)).execute(&self.postgres).await;
                assert_eq!(done.expect("Postgres answers").rows_affected(), ids.len() as u64);
            }
            JobPlace::Lost => {
                self.sync().await;
                self.stage.world.redis.wipe().await;
            }
            JobPlace::Stopping | JobPlace::Gone => unreachable!("no operation begins with jobs that are {place:?}"),
        }
        Vec::new()
    }

    /// The jobs in `place`; of those that are gone, those of `ids`.
    async fn found(&self, place: JobPlace, ids: &BTreeSet<JobId>) -> BTreeSet<JobId> {
        let paused_by = self.queue.stats().await.expect("Redis answers").paused_by;
        let state = match place {
            JobPlace::Waiting | JobPlace::Ended if paused_by.is_none() => JobState::Waiting,
            JobPlace::Paused if paused_by.is_some() => JobState::Waiting,
            JobPlace::Waiting | JobPlace::Ended | JobPlace::Paused => return BTreeSet::new(),
            JobPlace::Delayed => JobState::Delayed,
            JobPlace::Running | JobPlace::Stopping => JobState::Running,
            JobPlace::Dead | JobPlace::Outdated => JobState::Dead,
            JobPlace::Lost | JobPlace::Gone => {
                let ids: Vec<JobId> = ids.iter().copied().collect();
                return self.queue.missing(&ids).await.expect("Redis answers").into_iter().collect();
            }
        };
        let page = self.queue.job_page(state, None, 1_000).await.expect("Redis answers");
        let found = page.jobs.into_iter().map(|(_, job)| job);
        found.filter(|job| job.cancelling == (place == JobPlace::Stopping)).map(|job| job.id).collect()
    }

    async fn fetch(&self) -> Held {
        let fetched = testing::fetch(&self.queue, "somebody", 1_000, 0).await.expect("Redis answers");
        let read = |bytes: Vec<u8>| Envelope::decode(&bytes).expect("readable");
        fetched.jobs.into_iter().map(|(lease, envelope)| (lease, read(envelope))).collect()
    }

    async fn finish(&self, (lease, envelope): &(Lease, Envelope), end: AttemptEnd) {
        assert!(testing::finish(&self.queue, lease, envelope, end).await.expect("Redis answers"), "{lease:?}");
    }

    async fn sync(&self) {
        comes_true("the events are in Postgres", || async { self.syncer.run_once().await.is_ok() }).await;
    }

    /// How often Postgres tells it of these jobs.
    async fn told(&self, operation: &Operation, ids: &BTreeSet<JobId>) -> usize {
        let Some(kind) = operation.told else { return 0 };
        let by_operator =
            operation.to != JobPlace::Stopping && operation.audited.is_some() && kind != EventKind::Enqueued;
        let query = "select count(*) from job_events where kind = $1 and job_id = any($2) and (not $3 or actor = $4)";
        let count = sqlx::query_scalar::<_, i64>(query).bind(kind.as_str()).bind(texts(ids));
        self.number(count.bind(by_operator).bind(OPERATOR)).await
    }

    /// How many jobs the audit log says that it was done to.
    async fn audited(&self, operation: &Operation) -> usize {
        let Some((action, jobs)) = operation.audited else { return 0 };
        let query = "select coalesce(sum((jsonb_path_query_first(details, $1::jsonpath))::bigint), 0)::bigint
                     from audit_log where action = $2 and actor = $3";
        self.number(sqlx::query_scalar(query).bind(jobs).bind(action).bind(OPERATOR)).await
    }

    async fn ended(&self, ids: &BTreeSet<JobId>, state: &str) -> usize {
        let query = "select count(*) from jobs where id = any($1) and state = $2";
        self.number(sqlx::query_scalar(query).bind(texts(ids)).bind(state)).await
    }

    async fn number(&self, query: QueryScalar<'_, Postgres, i64, PgArguments>) -> usize {
        let number = query.fetch_one(&self.postgres).await.expect("Postgres answers");
        usize::try_from(number).expect("a count")
    }
}

fn texts(ids: &BTreeSet<JobId>) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}
