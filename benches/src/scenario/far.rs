//! Distant servers: an enqueue into a ledger queue, a post and a drain when each round trip to Redis and Postgres takes long.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use perch_base::{Environment, Settings};
use perch_jobs::{PublishPost, QueueName};
use perch_queue::{
    Client, Queues, Redis,
    worker::{Deps, HandlerResult, Handlers, Runtime},
};
use perch_sandbox::{Sandbox, SandboxOptions};
use perch_store::Store;
use perch_testkit::Gate;
use perch_workers::bots;
use secrecy::SecretString;
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Bench;
use crate::{
    database::Database,
    error::{BenchError, Outcome, until},
    jobs::{Idle, Pool, fill, settings},
    numbers::{float, median, millis, rate},
    report::{Bound, Report, Unit},
    servers::{RedisServer, connect},
};

/// Round-trip times to the servers, in milliseconds.
const AWAY: [u64; 3] = [1, 5, 50];
const ACCOUNT: &str = "main";

pub async fn run(bench: &Bench, report: &mut Report) -> Outcome {
    let scene = DistantServers::set(bench).await?;
    for ms in AWAY {
        let away = Duration::from_millis(ms);
        for _ in bench.rounds() {
            scene.set_away(Duration::ZERO);
            scene.posts(report, ms, away, bench.size(40, 5)).await?;
            scene.set_away(away);
            scene.enqueues(report, ms, bench.size(40, 5)).await?;
            scene.drain(report, ms, bench.size(20_000, 1_000)).await?;
        }
        // Below that, the work of the process itself matters as much.
        if ms < 5 {
            continue;
        }
        let named = |what: &str| format!("{what}, {ms} ms away");
        let bare = named("two questions to Postgres and one to Redis");
        let says = format!("an enqueue, of two questions to Postgres and one to Redis {ms} ms away");
        report.goal_ratio(&says, &named("enqueue into a ledger queue"), &bare, Bound::AtMost(1.25));
    }
    for ms in AWAY {
        let asked = format!("questions to Postgres a post, {ms} ms away");
        report.goal(&format!("{asked}, at most"), &asked, crate::report::Field::Value, Bound::AtMost(6.0));
    }
    report
        .remark("a post is enqueued next to the servers and made by a worker that is far from them; X answers at once");
    Ok(())
}

/// Servers behind delaying proxies, and a client and a worker that reach them through those.
struct DistantServers {
    redis: RedisServer,
    near: Client,
    far: Client,
    store: Store,
    settings: Settings,
    to_redis: Gate,
    to_postgres: Gate,
    postgres_url: String,
    _sandbox: Sandbox,
}

fn port(url: &str) -> Outcome<u16> {
    url::Url::parse(url)
        .ok()
        .and_then(|url| url.port())
        .ok_or_else(|| BenchError::Setup("the URL of a server names no port".into()))
}

fn by_way_of(url: &str, gate: &Gate) -> Outcome<String> {
    let mut url = url::Url::parse(url).map_err(BenchError::setup)?;
    url.set_port(Some(gate.port())).map_err(|()| BenchError::Setup("the URL of a server takes no port".into()))?;
    Ok(url.to_string())
}

impl DistantServers {
    async fn set(bench: &Bench) -> Outcome<Self> {
        let redis = RedisServer::start().await?;
        let database = Database::empty(bench.database.as_deref()).await?;
        let to_redis = Gate::before(port(&redis.url())?).await;
        let to_postgres = Gate::before(port(&database.url)?).await;
        let options =
            SandboxOptions { bot_accounts: vec!["perch_bot".into()], rate_limits: false, ..SandboxOptions::default() };
        let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into(), options).await.map_err(BenchError::setup)?;
        let base = sandbox.base_url();
        let settings = settings(&[
            ("X_API_KEY", "sandbox-key"),
            ("X_API_SECRET", perch_sandbox::CONSUMER_SECRET),
            ("X_MAIN_ACCESS_TOKEN", "sandbox-perch_bot-token"),
            ("X_MAIN_ACCESS_SECRET", "sandbox-perch_bot-secret"),
            ("PERCH__X__BASE_URL", &base),
        ])?;
        let postgres_url = by_way_of(&database.url, &to_postgres)?;
        let connected = |url: &str| {
            Store::connect_lazy(&SecretString::from(url), Environment::Staging, &settings.postgres)
                .map_err(BenchError::from)
        };
        let client = |url: String, store: &Store| -> Outcome<Client> {
            let door = Redis::new(&SecretString::from(url), &settings.redis)?;
            let queues = Queues::new(door, &settings, perch_jobs::types()).with_ledger(Arc::new(store.clone()));
            Ok(Client::new(queues))
        };
        let store = connected(&postgres_url)?;
        let near = client(redis.url(), &connected(&database.url)?)?;
        let far = client(by_way_of(&redis.url(), &to_redis)?, &store)?;
        Ok(Self {
            near,
            far,
            store,
            settings: settings.clone(),
            to_redis,
            to_postgres,
            postgres_url,
            redis,
            _sandbox: sandbox,
        })
    }

    fn set_away(&self, away: Duration) {
        self.to_redis.set_delay(away);
        self.to_postgres.set_delay(away);
    }

    /// Enqueues one after the other, compared with the fewest round trips they need.
    async fn enqueues(&self, report: &mut Report, ms: u64, n: usize) -> Outcome {
        let mut redis = connect(&by_way_of(&self.redis.url(), &self.to_redis)?).await?;
        let mut postgres = PgConnection::connect(&self.postgres_url).await?;
        let (mut bare, mut whole) = (Vec::new(), Vec::new());
        for n in 0..n + 3 {
            let began = Instant::now();
            for _ in 0..2 {
                sqlx::query("select 1").execute(&mut postgres).await?;
            }
            redis::cmd("PING").exec_async(&mut redis).await?;
            let of_bare = millis(began.elapsed());
            let began = Instant::now();
            self.far.enqueue(&post(&format!("{ms} ms away, enqueued only: {n}"))).await?;
            // Skips the first ones, in which the drivers prepare statements.
            if n >= 3 {
                bare.push(of_bare);
                whole.push(millis(began.elapsed()));
            }
        }
        report.add(&format!("two questions to Postgres and one to Redis, {ms} ms away"), Unit::Ms, median(&bare));
        report.add(&format!("enqueue into a ledger queue, {ms} ms away"), Unit::Ms, median(&whole));
        Ok(())
    }

    /// Posts one after the other, from the enqueue to the end of the job.
    async fn posts(&self, report: &mut Report, ms: u64, away: Duration, n: usize) -> Outcome {
        self.redis.wipe().await?;
        let runtime = bots().worker(&self.settings, &self.store, &self.far).map_err(BenchError::setup)?;
        let name = QueueName::from_static("pending_posts");
        let working = RunningWorker::start(runtime, name.clone());
        let queue =
            self.near.queues().get(&name).cloned().ok_or_else(|| BenchError::Setup("no queue of posts".into()))?;
        let (mut times, mut before) = (Vec::new(), 0);
        for n in 0..n + 5 {
            if n == 5 {
                self.set_away(away);
                before = self.to_postgres.trips();
            }
            let began = Instant::now();
            let text = format!("{ms} ms away, round of {:?}: {n}", Instant::now());
            let id = self.near.enqueue(&post(&text)).await?.id;
            until("a post", Duration::from_secs(60), Duration::from_millis(1), || async {
                Ok(queue.job(id).await?.is_none())
            })
            .await?;
            if n >= 5 {
                times.push(millis(began.elapsed()));
            }
        }
        let asked = usize::try_from(self.to_postgres.trips() - before).unwrap_or(usize::MAX);
        working.stop().await?;
        report.add(&format!("a post, {ms} ms away"), Unit::Ms, median(&times));
        report.add(&format!("questions to Postgres a post, {ms} ms away"), Unit::Count, float(asked) / float(n));
        Ok(())
    }

    /// Drains jobs that do nothing.
    async fn drain(&self, report: &mut Report, ms: u64, jobs: usize) -> Outcome {
        self.redis.wipe().await?;
        let pool = Pool::default();
        let near = pool.client(&self.redis.url())?;
        fill(&near, &pool, jobs).await?;
        let far = pool.client(&by_way_of(&self.redis.url(), &self.to_redis)?)?;
        let runtime =
            Runtime::new(far, Handlers::new().on(|_: Idle<0>| async { HandlerResult::Ok(()) }), Deps::default())
                .map_err(BenchError::setup)?;
        let queue = crate::jobs::first(&near)?;
        let (began, asked) = (Instant::now(), self.to_redis.trips());
        let working = RunningWorker::start(runtime, queue.name().clone());
        until("the queue to be empty", Duration::from_secs(300), Duration::from_millis(2), || async {
            let stats = queue.stats().await?;
            Ok(stats.waiting() + stats.running == 0)
        })
        .await?;
        report.add(&format!("a drain, {ms} ms away"), Unit::PerSecond, rate(jobs, began));
        let asked = usize::try_from(self.to_redis.trips() - asked).unwrap_or(usize::MAX);
        report.add(
            &format!("jobs of a drain for each question to Redis, {ms} ms away"),
            Unit::Count,
            float(jobs) / float(asked),
        );
        working.stop().await
    }
}

fn post(text: &str) -> PublishPost {
    PublishPost::new(perch_jobs::AccountId::from_static(ACCOUNT), text)
}

/// A worker of this process.
struct RunningWorker {
    task: JoinHandle<Outcome>,
    stop: CancellationToken,
}

impl RunningWorker {
    fn start(runtime: Runtime, queue: QueueName) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move { runtime.run(&[queue], stopped).await.map_err(BenchError::setup) });
        Self { task, stop }
    }

    async fn stop(self) -> Outcome {
        self.stop.cancel();
        self.task.await.map_err(BenchError::setup)?
    }
}
