//! What a `perch worker` with all its pools costs while there is nothing to do, and how soon it works.

use std::time::{Duration, Instant};

use perch_jobs::SyncHotState;
use perch_queue::{Client, Queues, Redis};
use secrecy::SecretString;

use super::Bench;
use crate::{
    database::Database,
    deployed::Perch,
    error::{BenchError, Outcome, until},
    jobs::{settings, types},
    numbers::{float, millis},
    report::{Bound, Field, Report, Unit},
    servers::RedisServer,
};

const COMMANDS: &str = "Redis commands that an idle worker sends";
const CPU: &str = "CPU of an idle worker";
const RESIDENT: &str = "resident memory of an idle worker";
const FIRST: &str = "from start to first job done";
/// Time to settle after the start.
const SETTLE: Duration = Duration::from_secs(4);

pub async fn run(bench: &Bench, report: &mut Report) -> Outcome {
    let window = if bench.quick { Duration::from_secs(5) } else { Duration::from_secs(30) };
    let database = Database::empty(bench.database.as_deref()).await?;
    for _ in bench.rounds() {
        let redis = RedisServer::start().await?;
        first_job(&redis, &database, report).await?;
        redis.wipe().await?;
        let worker = Perch::worker(&redis.url(), &database.url)?;
        tokio::time::sleep(SETTLE).await;
        let (commands, cpu) = (redis.commands().await?, worker.cpu());
        let sent = float(redis.sent(window).await?);
        // Two questions of this process are commands too.
        let all = redis.commands().await? - commands - 2.0;
        report.add(COMMANDS, Unit::PerSecond, sent / window.as_secs_f64());
        report.add("  and those that its scripts run", Unit::PerSecond, (all - sent) / window.as_secs_f64());
        if let Some((after, before)) = worker.cpu().zip(cpu) {
            report.add(CPU, Unit::Percent, (after - before) / 1e6 / window.as_secs_f64() * 100.0);
        }
        if let Some(resident) = worker.resident() {
            report.add(RESIDENT, Unit::Megabytes, resident);
        }
    }
    report.goal("Redis commands a second", COMMANDS, Field::Value, Bound::AtMost(0.5));
    report.goal("CPU in percent of one processor", CPU, Field::Value, Bound::AtMost(0.1));
    report.goal("resident memory in MB", RESIDENT, Field::Value, Bound::AtMost(30.0));
    report.goal("from start to first job done, in ms", FIRST, Field::Value, Bound::AtMost(300.0));
    Ok(())
}

/// A job of the shipped configuration waits, and a worker is started.
async fn first_job(redis: &RedisServer, database: &Database, report: &mut Report) -> Outcome {
    let settings = settings(&[])?;
    let door = Redis::new(&SecretString::from(redis.url()), &settings.redis)?;
    let client = Client::new(Queues::new(door, &settings, types()));
    let accepted = client.enqueue(&SyncHotState {}).await?;
    let queue = client.queues().get(&accepted.queue).ok_or_else(|| BenchError::Setup("there is no queue".into()))?;
    let state = queue.keys().state();
    let began = Instant::now();
    let _worker = Perch::worker(&redis.url(), &database.url)?;
    until("the first job", Duration::from_secs(30), Duration::from_millis(2), || async {
        let done: Option<u64> = redis::cmd("HGET").arg(&state).arg("succeeded").query_async(&mut redis.conn()).await?;
        Ok(done.is_some())
    })
    .await?;
    report.add(FIRST, Unit::Ms, millis(began.elapsed()));
    Ok(())
}
