//! The way of job events into Postgres: how fast beside a bare COPY of the same rows, and how far behind under load.

use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use perch_base::Environment;
use perch_store::Syncer;
use sqlx::PgConnection;

use super::Bench;
use crate::{
    database::Database,
    drained::drained,
    error::{BenchError, Outcome, until},
    jobs::{Pool, QUEUES, fill, first, job, settings},
    numbers::{float, quantile},
    part::{DeploymentRole, HandlerBehaviour, Part, Role, production_schedule},
    process,
    report::{Bound, Cost, Field, Report, Unit},
    servers::RedisServer,
};

const COPY: &str = "COPY of the same events and jobs";
const COPY_EVENTS: &str = "COPY of the same events alone";
const SYNC: &str = "sync of events";
/// Enqueued, started, succeeded.
const EVENTS_A_JOB: usize = 3;

/// A backlog of events against COPY.
pub async fn rate(bench: &Bench, report: &mut Report) -> Outcome {
    let jobs = bench.size(30_000, 1_500);
    let redis = RedisServer::start().await?;
    let mut database = Database::empty(bench.database.as_deref()).await?;
    let pool = Pool { full_history: true, ..Pool::default() };
    let client = pool.client(&redis.url())?;
    let batch = settings(&[])?.sync.batch;
    // Three for a round: each takes half a second, in which the machine may have another pace than in the next.
    for _ in bench.rounds().flat_map(|round| [round; 3]) {
        redis.wipe().await?;
        database.wipe().await?;
        fill(&client, &pool, jobs).await?;
        drained(&redis, &pool, HandlerBehaviour::Nothing, 1, jobs).await?;
        let door = client.queues().redis().clone();
        let syncer = Syncer::new(door, database.store.clone(), Environment::Staging, &client.queues().names(), batch);
        let own = process::cpu(std::process::id());
        let began = Instant::now();
        let mut moved = 0;
        loop {
            let run = syncer.run_once().await?;
            moved += usize::try_from(run.events).unwrap_or(usize::MAX);
            if run.complete {
                break;
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        if moved != jobs * EVENTS_A_JOB {
            return Err(BenchError::Setup(format!("the sync moved {moved} events of {}", jobs * EVENTS_A_JOB)));
        }
        let own = process::cpu(std::process::id()).zip(own);
        let worker = own.map(|(after, before)| (after - before) / float(moved));
        report.add_with(SYNC, Unit::PerSecond, float(moved) / seconds, Cost { worker, redis: None });

        let conn = &mut database.conn;
        let (events, rows) = (copy_out(conn, "job_events").await?, copy_out(conn, "jobs").await?);
        sqlx::raw_sql("truncate job_events, jobs").execute(&mut *conn).await?;
        let of_events = copy_in(conn, "job_events", &events).await?;
        let of_jobs = copy_in(conn, "jobs", &rows).await?;
        report.add(COPY, Unit::PerSecond, float(moved) / (of_events + of_jobs));
        report.add(COPY_EVENTS, Unit::PerSecond, float(moved) / of_events);
    }
    report.remark("rates are events a second, three events to a job; the worker's column is CPU an event");
    report.goal_ratio("sync, of COPY of the same rows", SYNC, COPY, Bound::AtLeast(0.6));
    Ok(())
}

async fn copy_out(conn: &mut PgConnection, table: &str) -> Outcome<Vec<Vec<u8>>> {
    let statement = format!("copy {table} to stdout");
    let chunks = conn.copy_out_raw(&statement).await?.map_ok(|bytes| bytes.to_vec()).try_collect().await?;
    Ok(chunks)
}

/// Answers the seconds that it took.
async fn copy_in(conn: &mut PgConnection, table: &str, chunks: &[Vec<u8>]) -> Outcome<f64> {
    let text: Vec<u8> = chunks.concat();
    let statement = format!("copy {table} from stdin");
    let began = Instant::now();
    let mut copy = conn.copy_in_raw(&statement).await?;
    for part in text.chunks(1 << 18) {
        copy.send(part).await?;
    }
    copy.finish().await?;
    Ok(began.elapsed().as_secs_f64())
}

const EVENTS_A_SECOND: usize = 5_000;
const MEDIAN_LAG: &str = "lag at 5,000 events/s, p50";
const LONGEST_LAG: &str = "lag at 5,000 events/s, longest";

/// 5,000 events a second through the scheduler and the pools, with the cron entry of production.
pub async fn lag(bench: &Bench, report: &mut Report) -> Outcome {
    let (warm_up, measured) = if bench.quick { (4, 4) } else { (14, 30) };
    let schedule = production_schedule()?;
    let pool = Pool { full_history: true, ..Pool::default() };
    for _ in bench.rounds() {
        let redis = RedisServer::start().await?;
        let mut database = Database::empty(bench.database.as_deref()).await?;
        let mut parts = Vec::new();
        for duty in [DeploymentRole::Scheduler, DeploymentRole::Pools] {
            let role = Role::Deployment { duty, redis: redis.url(), database: database.url.clone(), pool };
            parts.push(Part::begun(&role).await?);
        }
        let client = pool.client(&redis.url())?;
        let events = first(&client)?.keys().events();
        let producer = tokio::spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(30));
            loop {
                pace.tick().await;
                let jobs =
                    (0..EVENTS_A_SECOND * 30 / 1_000 / EVENTS_A_JOB).map(|_| job(0)).collect::<Outcome<Vec<_>>>()?;
                for answer in client.submit_all(jobs).await {
                    answer?;
                }
            }
            #[expect(unreachable_code, reason = "it gives the block its type")]
            Ok::<(), BenchError>(())
        });
        until("the first events", Duration::from_secs(60), Duration::from_millis(50), || async {
            let there: bool = redis::cmd("EXISTS").arg(&events).query_async(&mut redis.conn()).await?;
            Ok(there)
        })
        .await?;
        tokio::time::sleep(Duration::from_secs(warm_up)).await;
        let mut lags = Vec::new();
        let ends = Instant::now() + Duration::from_secs(measured);
        while Instant::now() < ends {
            tokio::time::sleep(Duration::from_millis(100)).await;
            lags.push(behind(&mut database.conn).await?);
        }
        if producer.is_finished() {
            return Err(BenchError::Setup("the producer ended early".into()));
        }
        producer.abort();
        report.add(MEDIAN_LAG, Unit::Seconds, quantile(&lags, 0.5));
        report.add(LONGEST_LAG, Unit::Seconds, quantile(&lags, 1.0));
    }
    report.remark(format!("the sync is fired by the schedule of production, {schedule}"));
    report.goal("longest lag in seconds", LONGEST_LAG, Field::Value, Bound::AtMost(2.0));
    Ok(())
}

/// The age of the newest event that Postgres has, in seconds: events come all the time.
async fn behind(conn: &mut PgConnection) -> Outcome<f64> {
    let newest = "select extract(epoch from clock_timestamp())::float8 - max(ms)::float8 / 1000 from job_events \
                  where environment = 'staging' and queue = $1";
    let age: Option<f64> = sqlx::query_scalar(newest).bind(QUEUES[0]).fetch_one(conn).await?;
    Ok(age.unwrap_or(f64::INFINITY))
}
