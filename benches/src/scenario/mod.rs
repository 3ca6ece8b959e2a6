//! The scenarios, one or two in a file, with their goals.

mod bots;
mod cost;
mod depth;
mod drain;
mod enqueue;
mod far;
mod http;
mod idle;
mod learning;
mod outbox;
mod peers;
mod pickup;
mod running;
mod sync;
mod takeover;
mod workers;

use std::path::PathBuf;

use clap::ValueEnum;

use crate::{error::Outcome, report::Report};

/// A scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// From the outbox in Postgres to Redis
    Outbox,
    /// Jobs that do nothing, emptied by one worker process
    Drain,
    /// Enqueuing through the library
    Enqueue,
    /// Enqueuing through the HTTP API
    Http,
    /// From the enqueue of a lone job to its start
    Pickup,
    /// A killed worker's job runs again
    Takeover,
    /// A perch worker with nothing to do, and its start
    Idle,
    /// Jobs that take their time
    Running,
    /// One, two and four worker processes
    Workers,
    /// Six queues on one server and on three masters
    Cluster,
    /// Bytes and allocations of a job
    Cost,
    /// Memory of Redis a queued job
    Memory,
    /// The same work beside few and many queued jobs
    Queued,
    /// A drain beside many delayed and dead jobs
    Backlog,
    /// Job events into Postgres beside a bare COPY
    Sync,
    /// How far Postgres is behind at 5,000 events a second
    Lag,
    /// Redis and Postgres 1, 5 and 50 ms away
    Far,
    /// A process with a hundred bots
    Bots,
    /// How well the learning poster learns, with --data DIR
    Learning,
    /// Peers of the Node world with the same work; npm installs them into .data/bench
    Peers,
}

impl Scenario {
    /// Those asked for, in their order; when none is named, all of them, with `peers` also those that npm has to install.
    pub fn chosen(only: &[Self], peers: bool) -> Vec<Self> {
        let mut chosen = only.to_vec();
        if only.is_empty() {
            chosen = Self::value_variants().iter().copied().filter(|scenario| *scenario != Self::Peers).collect();
        }
        if peers && !chosen.contains(&Self::Peers) {
            chosen.push(Self::Peers);
        }
        chosen
    }

    /// As it is named on the command line and in the tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::Drain => "drain",
            Self::Enqueue => "enqueue",
            Self::Http => "http",
            Self::Pickup => "pickup",
            Self::Takeover => "takeover",
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Workers => "workers",
            Self::Cluster => "cluster",
            Self::Cost => "cost",
            Self::Memory => "memory",
            Self::Queued => "queued",
            Self::Backlog => "backlog",
            Self::Sync => "sync",
            Self::Lag => "lag",
            Self::Far => "far",
            Self::Bots => "bots",
            Self::Learning => "learning",
            Self::Peers => "peers",
        }
    }

    /// Runs the scenario.
    pub async fn run(self, bench: &Bench, report: &mut Report) -> Outcome {
        report.begin(self.name());
        eprintln!("{} …", self.name());
        match self {
            Self::Outbox => outbox::run(bench, report).await,
            Self::Drain => drain::run(bench, report).await,
            Self::Enqueue => enqueue::run(bench, report).await,
            Self::Http => http::run(bench, report).await,
            Self::Pickup => pickup::run(bench, report).await,
            Self::Takeover => takeover::run(bench, report).await,
            Self::Idle => idle::run(bench, report).await,
            Self::Running => running::run(bench, report).await,
            Self::Workers => workers::several(bench, report).await,
            Self::Cluster => workers::cluster(bench, report).await,
            Self::Cost => cost::run(report).await,
            Self::Memory => depth::memory(bench, report).await,
            Self::Queued => depth::queued(bench, report).await,
            Self::Backlog => depth::backlog(bench, report).await,
            Self::Sync => sync::rate(bench, report).await,
            Self::Lag => sync::lag(bench, report).await,
            Self::Far => far::run(bench, report).await,
            Self::Bots => bots::run(bench, report).await,
            Self::Learning => learning::run(bench, report).await,
            Self::Peers => peers::run(bench, report).await,
        }
    }
}

/// The options of a run.
#[derive(Debug)]
pub struct Bench {
    /// Small numbers.
    pub quick: bool,
    /// How often.
    pub rounds: usize,
    /// The URL of Postgres.
    pub database: Option<String>,
    /// The folder with data that is not part of the project.
    pub data: Option<PathBuf>,
}

impl Bench {
    /// `full`, or `quick` in a quick run.
    pub fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// The rounds, from 1; each is printed as it begins.
    pub fn rounds(&self) -> impl Iterator<Item = usize> + use<> {
        let rounds = self.rounds;
        (1..=rounds).inspect(move |round| eprintln!("  round {round} of {rounds}"))
    }
}
