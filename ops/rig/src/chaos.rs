//! A job whose payload says how its attempts end.

use std::time::Duration;

use perch_jobs::{Job, RetryPolicy};
use perch_queue::{
    Fail,
    worker::{HandlerResult, JobContext},
};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

/// How the attempts of a job end. The number counts attempts from the first; attempts whose worker was lost count too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Succeeds at once.
    Succeed,
    /// Succeeds after this many milliseconds.
    Take(u64),
    /// The first attempts fail.
    Fail(u32),
    /// The first attempts run into the timeout.
    Hang(u32),
    /// The first attempts panic.
    Panic(u32),
    /// The first attempts abort the whole process.
    Abort(u32),
}

/// Stands for every attempt.
pub const ALWAYS: u32 = u32::MAX;

/// A job whose payload says how its attempts end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chaos {
    /// What it does.
    pub does: Behaviour,
}

impl Job for Chaos {
    const KIND: &'static str = "chaos";
    const QUEUE: &'static str = "analytics_processing";
    const RETRY: RetryPolicy = RetryPolicy::new(60, Duration::from_millis(200), Duration::from_secs(3));
    const TIMEOUT: Duration = Duration::from_secs(20);

    fn schema() -> Schema {
        schema_for!(Self)
    }
}

/// Does what the job says.
pub async fn chaos(job: Chaos, cx: JobContext) -> HandlerResult {
    let attempt = cx.attempt();
    match job.does {
        Behaviour::Take(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Behaviour::Fail(times) if attempt <= times => {
            return Err(Fail::Retry(format!("attempt {attempt} was told to fail")));
        }
        Behaviour::Hang(times) if attempt <= times => std::future::pending().await,
        Behaviour::Panic(times) if attempt <= times => panic!("attempt {attempt} was told to panic"),
        Behaviour::Abort(times) if attempt <= times => std::process::abort(),
        _ => {}
    }
    Ok(())
}
