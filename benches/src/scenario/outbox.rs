//! From `perch_enqueue` in Postgres to where a worker sees the job in Redis, at rest, by the relay of a scheduler.

use std::time::{Duration, Instant};

use super::Bench;
use crate::{
    database::Database,
    error::{Outcome, until},
    jobs::{Pool, first, payload},
    numbers::{millis, quantile},
    part::{DeploymentRole, Part, Role},
    report::{Bound, Field, Report, Unit},
    servers::{RedisServer, connect},
};

pub async fn run(bench: &Bench, report: &mut Report) -> Outcome {
    let calls = bench.size(200, 30);
    let redis = RedisServer::start().await?;
    let mut database = Database::empty(bench.database.as_deref()).await?;
    let pool = Pool::default();
    let role =
        Role::Deployment { duty: DeploymentRole::Scheduler, redis: redis.url(), database: database.url.clone(), pool };
    let _scheduler = Part::begun(&role).await?;
    let queue = first(&pool.client(&redis.url())?)?;
    let store = database.store.clone();
    until("the scheduler to register its kinds", Duration::from_secs(30), Duration::from_millis(50), || async {
        let mut conn = <sqlx::PgConnection as sqlx::Connection>::connect(&database.url).await?;
        let there = sqlx::query_scalar("select exists (select 1 from job_kinds where kind = 'idle0')");
        Ok(there.fetch_one(&mut conn).await?)
    })
    .await?;
    store.ping().await?;
    // What an idle worker of the queue does.
    let mut worker = connect(&redis.url()).await?;
    let wake = queue.keys().wake();
    for _ in bench.rounds() {
        let (mut whole, mut committed) = (Vec::new(), Vec::new());
        for _ in 0..calls {
            tokio::time::sleep(Duration::from_millis(rand::random_range(30..70))).await;
            let began = Instant::now();
            sqlx::query("select perch_enqueue('idle0', $1::json)").bind(payload()).execute(&mut database.conn).await?;
            let there = Instant::now();
            let _: (String, String) = redis::cmd("BLPOP").arg(&wake).arg(30).query_async(&mut worker).await?;
            whole.push(millis(began.elapsed()));
            committed.push(millis(there.elapsed()));
        }
        for (name, q) in [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)] {
            report.add(&format!("from call to Redis, {name}"), Unit::Ms, quantile(&whole, q));
        }
        for (name, q) in [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)] {
            report.add(&format!("from commit to Redis, {name}"), Unit::Ms, quantile(&committed, q));
        }
        redis.wipe().await?;
    }
    report.goal("from call to Redis, p99 in ms", "from call to Redis, p99", Field::Value, Bound::AtMost(50.0));
    report.goal("from commit to Redis, p99 in ms", "from commit to Redis, p99", Field::Value, Bound::AtMost(50.0));
    Ok(())
}
