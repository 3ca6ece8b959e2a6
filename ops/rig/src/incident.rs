//! What may befall a run, and when.

use std::time::Duration;

use crate::dice::Dice;

/// What befalls a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Incident {
    /// Redis loses everything, and somebody runs `perch recover`
    LossOfRedis,
    /// A replica of Redis that lags takes the place of the main one, which dies
    FailoverOfRedis,
    /// The same, and the former main one may only be read by those who stay connected to it
    SwitchoverOfRedis,
    /// A standby of Postgres that lags takes the place of the main one, and somebody runs `perch recover`
    FailoverOfPostgres,
    /// An older copy of Postgres takes the place of the newest, and somebody runs `perch recover`
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
    /// What one process sends to a server does not arrive, or what the server answers does not, for up to a minute
    OneWayPartition,
    /// Postgres takes no writes for a while, and sessions that began then never do
    ReadOnlySessions,
}

/// What is played once; everything else is played once in five minutes.
const ONCE: [Incident; 2] = [Incident::LossOfRedis, Incident::RestoreOfPostgres];

/// What is preloaded into processes for these works on Linux alone.
const ON_LINUX: [Incident; 6] = [
    Incident::RedisAhead,
    Incident::RedisBehind,
    Incident::SchedulerClock,
    Incident::WorkerClock,
    Incident::FullRedis,
    Incident::FullPostgres,
];

/// The incidents of a run and their times, as shares of its length, in their order.
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
