use perch_bot::Platform;
use perch_jobs::Job;
use perch_queue::{
    Fail,
    worker::{Data, JobContext},
};
use serde::{Deserialize, Serialize};

use crate::{settings::HeartbeatSettings, store};

/// The job that the cron entry fires.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {}

impl Job for Heartbeat {
    const KIND: &'static str = "heartbeat";
    const QUEUE: &'static str = "heartbeat";
}

/// Writes a line, and counts it. A job may run more than once; its line is there once.
pub async fn beat(_: Heartbeat, cx: JobContext, platform: Data<Platform>) -> Result<(), Fail> {
    let settings =
        platform.settings.sections.get::<HeartbeatSettings>().map_err(|error| Fail::Dead(error.to_string()))?;
    store::beat(&platform.store, cx.id(), &settings.word).await?;
    metrics::counter!("perch_heartbeats_total").increment(1);
    Ok(())
}
