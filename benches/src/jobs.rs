//! The job of all scenarios: 200 bytes that say when they were sent, in six kinds for six queues.

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime},
};

use perch_base::{
    Clock, Environment, Settings,
    settings::{EngineSettings, History, QueueSettings},
};
use perch_jobs::{Job, JobTypes, QueueName};
use perch_queue::{Client, NewJob, Queue, Queues, Redis};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::error::{BenchError, Outcome};

/// Bytes of a payload.
pub const PAYLOAD: usize = 200;

/// The queues that there are.
pub const QUEUES: [&str; 6] = ["bench0", "bench1", "bench2", "bench3", "bench4", "bench5"];
const KINDS: [&str; 6] = ["idle0", "idle1", "idle2", "idle3", "idle4", "idle5"];

/// A job of the queue `N`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Idle<const N: usize> {
    /// When it was sent, in microseconds since 1970.
    pub sent: u64,
    /// Pads the payload to its length.
    pub filler: String,
}

impl<const N: usize> Job for Idle<N> {
    const KIND: &'static str = KINDS[N];
    const QUEUE: &'static str = QUEUES[N];
    /// Longer than any scenario.
    const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3_600);
}

/// Microseconds since 1970.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A payload as JSON, of [`PAYLOAD`] bytes.
pub fn payload() -> String {
    let head = format!(r#"{{"sent":{},"filler":""#, now_us());
    format!(r#"{head}{}"}}"#, "x".repeat(PAYLOAD - head.len() - 2))
}

/// A job of the queue `n`.
pub fn job(n: usize) -> Outcome<NewJob> {
    let payload = serde_json::value::RawValue::from_string(payload())?;
    Ok(NewJob {
        kind: perch_jobs::JobKind::from_static(KINDS[n]),
        payload,
        options: perch_queue::EnqueueOptions::default(),
    })
}

/// All types of Perch, and those here.
pub fn types() -> JobTypes {
    perch_jobs::types()
        .with::<Idle<0>>()
        .with::<Idle<1>>()
        .with::<Idle<2>>()
        .with::<Idle<3>>()
        .with::<Idle<4>>()
        .with::<Idle<5>>()
}

/// How a pool of a scenario works.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Pool {
    /// Queues that are used.
    pub queues: usize,
    /// Jobs that one process runs at once.
    pub concurrency: usize,
    /// Jobs leased beyond those.
    pub prefetch: usize,
    /// Whether every transition is recorded.
    pub full_history: bool,
}

impl Default for Pool {
    /// As for jobs of a few microseconds.
    fn default() -> Self {
        Self { queues: 1, concurrency: 200, prefetch: 200, full_history: false }
    }
}

impl Pool {
    /// Its block of the configuration.
    pub fn block(&self) -> QueueSettings {
        QueueSettings {
            concurrency: self.concurrency,
            prefetch: self.prefetch,
            global_concurrency: 0,
            group_concurrency: 0,
            group_rate: None,
            rate: None,
            intake_kind: None,
            ledger: false,
            history: if self.full_history { History::Full } else { History::Failures },
            events_kept: 10_000_000,
            events_max_bytes: 16 * 1024 * 1024 * 1024,
            max_depth: 0,
            dead_retention: std::time::Duration::from_secs(86_400),
            dead_kept: 10_000_000,
        }
    }

    /// Its queues at the Redis of `url`, with the limits and timings of the configuration as it is shipped.
    pub fn queues(&self, url: &str, settings: &Settings) -> Outcome<Queues> {
        let engine: &EngineSettings = &settings.engine;
        let mut redis = settings.redis.clone();
        // A queue of a million jobs is made in calls that take longer than a worker would wait.
        redis.command_timeout = std::time::Duration::from_secs(30);
        let door = Redis::new(&SecretString::from(url), &redis)?;
        let names = QUEUES.iter().take(self.queues).map(|&name| QueueName::from_static(name));
        let blocks: BTreeMap<QueueName, QueueSettings> = names.map(|name| (name, self.block())).collect();
        Ok(Queues::of(door, Environment::Staging, &blocks, engine, types(), &Clock::system()))
    }

    /// A client for them.
    pub fn client(&self, url: &str) -> Outcome<Client> {
        Ok(Client::new(self.queues(url, &settings(&[])?)?))
    }
}

/// The first queue of a client.
pub fn first(client: &Client) -> Outcome<Queue> {
    client.queues().iter().next().cloned().ok_or_else(|| BenchError::Setup("there is no queue".into()))
}

/// The configuration as it is shipped, with these variables.
pub fn settings(variables: &[(&str, &str)]) -> Outcome<Settings> {
    let given = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
    let variables = std::iter::once(("APP_ENV".to_owned(), "staging".to_owned())).chain(given);
    Settings::load_from(&perch_base::config_dir(), perch_workers::bots().config_schema(), variables)
        .map_err(BenchError::setup)
}

/// Enqueues `n` jobs in bulk, spread over the queues of `pool`. Answers the seconds that the calls took.
pub async fn fill(client: &Client, pool: &Pool, n: usize) -> Outcome<f64> {
    const AT_ONCE: usize = 10_000;
    let mut seconds = 0.0;
    for start in (0..n).step_by(AT_ONCE) {
        let jobs = (start..n.min(start + AT_ONCE)).map(|i| job(i % pool.queues)).collect::<Outcome<Vec<_>>>()?;
        let began = Instant::now();
        let answers = client.submit_all(jobs).await;
        seconds += began.elapsed().as_secs_f64();
        for answer in answers {
            answer?;
        }
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_the_size_that_all_figures_are_for() {
        assert_eq!(payload().len(), PAYLOAD);
        let read: Idle<0> = serde_json::from_str(&payload()).expect("a job");
        assert!(read.sent > 0);
    }
}
