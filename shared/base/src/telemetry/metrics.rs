use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::TelemetryError;

/// Bounds of the histograms of durations, in seconds: from a Redis call to the longest job.
const SECONDS: [f64; 17] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];

const UPKEEP: Duration = Duration::from_secs(5);

static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// The metrics of this process; the first call installs their recorder. `render()` returns them in the text format of Prometheus.
/// A histogram whose name ends in `_seconds` has buckets from 1 ms to 15 minutes.
pub fn metrics() -> Result<PrometheusHandle, TelemetryError> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|_| TelemetryError::Recorder)?;
    keep_bounded(handle.clone());
    *installed = Some(handle.clone());
    Ok(handle)
}

/// Without this upkeep, samples collect in memory until the metrics are read, and only then go into buckets.
fn keep_bounded(handle: PrometheusHandle) {
    let spawned = thread::Builder::new().name("metrics-upkeep".into()).spawn(move || {
        loop {
            thread::sleep(UPKEEP);
            handle.run_upkeep();
        }
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "the upkeep of metrics could not start: samples collect in memory until the metrics are read");
    }
}
