//! Enqueuing through the HTTP API, against what the same server answers to an authenticated request with nothing in it.

use std::{fmt::Write as _, time::Instant};

use futures::future::try_join_all;
use perch_store::Scope;
use secrecy::ExposeSecret as _;

use super::Bench;
use crate::{
    database::Database,
    error::{BenchError, Outcome},
    http::Http,
    jobs::{Pool, fill, payload},
    numbers::{float, rate},
    part::{DeploymentRole, Part, Role},
    report::{Bound, Cost, Report, Unit},
    servers::RedisServer,
};

const EMPTY: &str = "an empty authenticated request";
const SINGLE: &str = "one job a request";
const LIBRARY: &str = "bulk through the library";
const BULK: &str = "bulk as NDJSON";
/// Connections that send one request after the other.
const CONNECTIONS: usize = 16;
/// Jobs in one NDJSON request.
const LINES: usize = 5_000;

pub async fn run(bench: &Bench, report: &mut Report) -> Outcome {
    let (requests, jobs) = (bench.size(32_000, 1_600), bench.size(100_000, 5_000));
    let redis = RedisServer::start().await?;
    let database = Database::empty(bench.database.as_deref()).await?;
    let created = database.store.api_keys().create("bench", &[Scope::Enqueue]).await?;
    let token = created.token.expose_secret().to_owned();
    let pool = Pool::default();
    let role = Role::Deployment { duty: DeploymentRole::Api, redis: redis.url(), database: database.url.clone(), pool };
    let mut api = Part::begun(&role).await?;
    let address = api.line().await?;
    let client = pool.client(&redis.url())?;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Http::connect(&address, &token).await?);
    }
    for _ in bench.rounds() {
        redis.wipe().await?;
        let cpu = (api.cpu(), redis.cpu().await?);
        let began = Instant::now();
        let nothing = || "[]".to_owned();
        send(&mut connections, requests, "/api/v1/jobs/batch", 200, nothing).await?;
        let speed = rate(requests, began);
        report.add_with(EMPTY, Unit::PerSecond, speed, cost(&api, &redis, cpu, requests).await?);

        let cpu = (api.cpu(), redis.cpu().await?);
        let began = Instant::now();
        let one = || format!(r#"{{"kind":"idle0","payload":{}}}"#, payload());
        send(&mut connections, requests, "/api/v1/jobs", 201, one).await?;
        let speed = rate(requests, began);
        report.add_with(SINGLE, Unit::PerSecond, speed, cost(&api, &redis, cpu, requests).await?);

        redis.wipe().await?;
        let seconds = fill(&client, &pool, jobs).await?;
        report.add(LIBRARY, Unit::PerSecond, float(jobs) / seconds);

        redis.wipe().await?;
        let bodies: Vec<String> = (0..jobs / LINES).map(|_| lines()).collect();
        let cpu = (api.cpu(), redis.cpu().await?);
        let began = Instant::now();
        for body in &bodies {
            let status = connections[0].post("/api/v1/jobs/batch", "application/x-ndjson", body).await?;
            refuse_unless(status, 200)?;
        }
        let speed = rate(jobs, began);
        report.add_with(BULK, Unit::PerSecond, speed, cost(&api, &redis, cpu, jobs).await?);
    }
    report.remark(format!(
        "{CONNECTIONS} connections, one request at a time on each; NDJSON is {LINES} jobs a request on one connection; \
         the worker's column is the CPU of the API"
    ));
    report.goal_ratio("one job a request, of empty requests", SINGLE, EMPTY, Bound::AtLeast(0.5));
    report.goal_ratio("NDJSON, of the library in bulk", BULK, LIBRARY, Bound::AtLeast(0.5));
    Ok(())
}

async fn send(
    connections: &mut [Http],
    requests: usize,
    path: &str,
    expected: u16,
    body: impl Fn() -> String,
) -> Outcome {
    let each = requests / connections.len();
    let body = &body;
    let sending = connections.iter_mut().map(|connection| async move {
        for _ in 0..each {
            refuse_unless(connection.post(path, "application/json", &body()).await?, expected)?;
        }
        Ok::<(), BenchError>(())
    });
    try_join_all(sending).await.map(drop)
}

fn lines() -> String {
    let mut body = String::new();
    for _ in 0..LINES {
        // Writing to a string does not fail.
        let _ = writeln!(body, r#"{{"kind":"idle0","payload":{}}}"#, payload());
    }
    body
}

fn refuse_unless(status: u16, expected: u16) -> Outcome {
    if status == expected {
        return Ok(());
    }
    Err(BenchError::Setup(format!("the API answered {status} in place of {expected}")))
}

async fn cost(api: &Part, redis: &RedisServer, before: (Option<f64>, f64), jobs: usize) -> Outcome<Cost> {
    Ok(Cost {
        worker: api.cpu().zip(before.0).map(|(after, before)| (after - before) / float(jobs)),
        redis: Some((redis.cpu().await? - before.1) / float(jobs)),
    })
}
