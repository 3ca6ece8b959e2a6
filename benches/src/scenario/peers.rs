//! `BullMQ` and graphile-worker with the work of the other scenarios, where npm is at hand, and Sidekiq, where Ruby has it.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use tokio::process::Command;

use super::{
    Bench,
    pickup::{P50, P99, told},
};
use crate::{
    database::Database,
    error::{BenchError, Outcome},
    numbers::{float, quantile},
    part::Part,
    report::{Bound, Cost, Report, Unit},
    servers::RedisServer,
};

/// Where npm puts them, below the folder that this is run in.
const FOLDER: &str = ".data/bench/peers";
const FILES: [(&str, &str); 5] = [
    ("package.json", include_str!("../../peers/package.json")),
    ("common.mjs", include_str!("../../peers/common.mjs")),
    ("bullmq.mjs", include_str!("../../peers/bullmq.mjs")),
    ("graphile.mjs", include_str!("../../peers/graphile.mjs")),
    ("sidekiq.rb", include_str!("../../peers/sidekiq.rb")),
];

pub async fn run(bench: &Bench, report: &mut Report) -> Outcome {
    let folder = match install().await {
        Ok(folder) => folder,
        Err(error) => {
            report.remark(format!("left out: {error}"));
            return Ok(());
        }
    };
    let redis = RedisServer::start().await?;
    let peer = |name, language, script: &str, url| Peer { name, language, script: folder.join(script), url };
    let mut on_redis = vec![peer("BullMQ", "node", "bullmq.mjs", redis.url())];
    if has_sidekiq().await {
        on_redis.push(peer("Sidekiq", "ruby", "sidekiq.rb", redis.url()));
    } else {
        report.remark("Sidekiq is left out: there is no Ruby that has it");
    }
    let database = Database::empty(bench.database.as_deref()).await?;
    let graphile = peer("graphile-worker", "node", "graphile.mjs", database.url.clone());
    for _ in bench.rounds() {
        for peer in &on_redis {
            redis.wipe().await?;
            peer.measure(bench, Some(&redis), report).await?;
        }
        drop(graphile.start("setup", 0).await?);
        graphile.measure(bench, None, report).await?;
    }
    for peer in &on_redis {
        for (what, ours) in [("p50", P50), ("p99", P99)] {
            let says = format!("pickup {what}, of {}", peer.name);
            report.goal_ratio(&says, ours, &format!("{}, pickup {what}", peer.name), Bound::AtMost(1.0));
        }
    }
    report.remark("the worker's column is the CPU of the peer's process; graphile-worker keeps its jobs in Postgres");
    Ok(())
}

async fn has_sidekiq() -> bool {
    let output = Command::new("ruby").args(["-e", "require 'sidekiq/launcher'"]).output().await;
    output.is_ok_and(|output| output.status.success())
}

/// Writes the programs into the folder and has npm fetch what they need.
async fn install() -> Outcome<PathBuf> {
    let folder = Path::new(FOLDER);
    std::fs::create_dir_all(folder).map_err(BenchError::io("make the folder of the peers"))?;
    for (name, text) in FILES {
        std::fs::write(folder.join(name), text).map_err(BenchError::io("write a program of the peers"))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder);
    let output = npm.output().await.map_err(|source| BenchError::Program { program: "npm".into(), source })?;
    if output.status.success() {
        return Ok(folder.to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(BenchError::Setup(format!(
        "npm could not install them: {}",
        said.lines().next().unwrap_or("it does not say why")
    )))
}

/// One of them: a program whose first argument is the role.
struct Peer {
    name: &'static str,
    language: &'static str,
    script: PathBuf,
    url: String,
}

impl Peer {
    async fn start(&self, role: &str, count: usize) -> Outcome<Part> {
        let mut program = Command::new(self.language);
        program.arg(&self.script).args([role, &self.url, &count.to_string()]);
        Part::foreign(program).await
    }

    async fn measure(&self, bench: &Bench, redis: Option<&RedisServer>, report: &mut Report) -> Outcome {
        let (jobs, single, lone) = (bench.size(50_000, 2_000), bench.size(5_000, 500), bench.size(300, 50));
        let before = cpu(redis).await?;
        let enqueued = self.timed("bulk", jobs).await?;
        report.add(&format!("{}, enqueue in bulk", self.name), Unit::PerSecond, enqueued);

        let mut worker = self.start("drain", jobs).await?;
        let own = worker.cpu();
        let began = Instant::now();
        worker.go().await?;
        worker.expect("done").await?;
        let rate = float(jobs) / began.elapsed().as_secs_f64();
        let redis_us = cpu(redis).await?.zip(before).map(|(after, before)| (after - before) / float(jobs));
        let worker_us = worker.cpu().zip(own).map(|(after, before)| (after - before) / float(jobs));
        let cost = Cost { worker: worker_us, redis: redis_us };
        report.add_with(&format!("{}, drain", self.name), Unit::PerSecond, rate, cost);
        worker.kill().await?;

        let mut worker = self.start("tell", 0).await?;
        worker.go().await?;
        let mut producer = self.start("send", lone).await?;
        producer.go().await?;
        let mut latencies = Vec::new();
        for _ in 0..lone {
            latencies.push(told(&mut worker).await?);
        }
        report.add(&format!("{}, pickup p50", self.name), Unit::Ms, quantile(&latencies, 0.5));
        report.add(&format!("{}, pickup p99", self.name), Unit::Ms, quantile(&latencies, 0.99));
        worker.kill().await?;

        let enqueued = self.timed("single", single).await?;
        report.add(&format!("{}, enqueue one by one", self.name), Unit::PerSecond, enqueued);
        Ok(())
    }

    /// Jobs a second of a role that says how many seconds it took.
    async fn timed(&self, role: &str, jobs: usize) -> Outcome<f64> {
        let mut part = self.start(role, jobs).await?;
        part.go().await?;
        let line = part.line().await?;
        let seconds: f64 = line.parse().map_err(|_| BenchError::Setup(format!("{line:?} is no number of seconds")))?;
        Ok(float(jobs) / seconds)
    }
}

async fn cpu(redis: Option<&RedisServer>) -> Outcome<Option<f64>> {
    match redis {
        Some(redis) => redis.cpu().await.map(Some),
        None => Ok(None),
    }
}
