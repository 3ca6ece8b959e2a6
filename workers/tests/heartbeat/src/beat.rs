use perch_bot::Platform;
use perch_jobs::Job;
use perch_queue::{Fail, worker::Data};
use serde::{Deserialize, Serialize};

use crate::{settings::HeartbeatSettings, store};

/// The job that the cron entry fires.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {}

impl Job for Heartbeat {
    const KIND: &'static str = "heartbeat";
    const QUEUE: &'static str = "sync_to_store";
}

/// Writes a line, and counts it.
pub async fn beat(_: Heartbeat, platform: Data<Platform>) -> Result<(), Fail> {
    let settings =
        platform.settings.sections.get::<HeartbeatSettings>().map_err(|error| Fail::Dead(error.to_string()))?;
    store::beat(&platform.store, &settings.word).await?;
    metrics::counter!("perch_heartbeats_total").increment(1);
    Ok(())
}
