//! The incidents of a run, and when they happen.

use std::time::Duration;

use crate::dice::Dice;

/// An incident of a server, a clock or the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Incident {
    /// Redis loses everything, and somebody runs `perch recover`
    LossOfRedis,
    /// A replica of Redis that lags is promoted, and the primary dies
    FailoverOfRedis,
    /// The same, and the former primary goes on as a replica, read-only for clients that stay connected to it
    SwitchoverOfRedis,
    /// A standby of Postgres that lags is promoted, and somebody runs `perch recover`
    FailoverOfPostgres,
    /// Postgres is restored from an older copy, and somebody runs `perch recover`
    RestoreOfPostgres,
    /// The clock of Redis is an hour ahead for a while
    RedisAhead,
    /// The clock of Redis is an hour behind for a while
    RedisBehind,
    /// The clock of the scheduler is an hour ahead or behind for a while
    SchedulerClock,
    /// The clock of a worker is an hour ahead or behind for a while
    WorkerClock,
    /// The disk of Redis is full for a while
    FullRedis,
    /// The disk of Postgres is full for a while
    FullPostgres,
    /// Redis accepts connections and answers nothing for a while
    FrozenRedis,
    /// Postgres accepts connections and answers nothing for a while
    FrozenPostgres,
    /// Requests of one process to a server are lost, or the answers are, for up to a minute
    OneWayPartition,
    /// Postgres is read-only for a while, and sessions that began then stay read-only
    ReadOnlySessions,
}

/// Incidents that are played once in a run; the others are played once every five minutes.
const ONCE: [Incident; 2] = [Incident::LossOfRedis, Incident::RestoreOfPostgres];

/// Incidents that preload a library into processes, which works on Linux alone.
const ON_LINUX: [Incident; 6] = [
    Incident::RedisAhead,
    Incident::RedisBehind,
    Incident::SchedulerClock,
    Incident::WorkerClock,
    Incident::FullRedis,
    Incident::FullPostgres,
];

/// The incidents of a run in order, with their times as shares of its length.
pub fn schedule(dice: &mut Dice, time: Duration, among: &[Incident]) -> Vec<(f64, Incident)> {
    let rounds = (time.as_secs() / 300).max(1);
    let playable = |incident: &&Incident| cfg!(target_os = "linux") || !ON_LINUX.contains(incident);
    let mut all = Vec::new();
    for round in 0..rounds {
        all.extend(among.iter().filter(playable).filter(|incident| round == 0 || !ONCE.contains(incident)).copied());
    }
    dice.shuffle(&mut all);
    let last = f64::from(u32::try_from(all.len()).unwrap_or(u32::MAX));
    (0_u32..).zip(all).map(|(place, incident)| (0.05 + 0.88 * f64::from(place) / last, incident)).collect()
}
