//! Logs, traces and metrics of a process.

use std::{io, io::IsTerminal, time::Duration};

use opentelemetry::{global, trace::TracerProvider};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, filter::Targets, fmt::writer::BoxMakeWriter, layer::SubscriberExt, registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::{
    redact,
    settings::{LogFormat, TelemetrySettings},
    tls,
};

mod fields;
mod metrics;
mod trace;

use fields::{JsonFields, TextFields};
pub use metrics::metrics;
use trace::SpanIds;
pub use trace::{current_trace_id, current_traceparent, set_parent, trace_id_of};

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter cannot be read.
    #[error("the log filter {filter:?} cannot be read: {source}; correct telemetry.log_filter or RUST_LOG")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The exporter of traces cannot be built.
    #[error("cannot export traces to {endpoint}: {reason}; correct telemetry.otlp_endpoint, or leave it empty")]
    Exporter {
        /// Where they should go.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
    /// Telemetry was started before in this process.
    #[error("telemetry was started before in this process; start it once")]
    Started,
    /// Another recorder of metrics is installed.
    #[error("another recorder of metrics is installed in this process; remove it")]
    Recorder,
}

/// How long sending the last traces may take.
const FLUSH: Duration = Duration::from_secs(5);

/// Keeps telemetry running; when dropped, it sends the remaining traces, for at most 5 seconds.
#[must_use = "dropping it ends the export of traces"]
#[derive(Debug)]
pub struct TelemetryGuard(Option<SdkTracerProvider>);

impl TelemetryGuard {
    /// Sends the remaining traces and ends the export, like dropping the guard.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        let ended = self.0.as_ref().map_or(Ok(()), |provider| provider.shutdown_with_timeout(FLUSH));
        if let Err(error) = ended {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Starts logging to standard error and, where configured, the export of traces under `service_name`. Call it once per process.
///
/// Spans get trace ids even without an export, so that the history of a job links its enqueue and its attempts.
pub fn init(service_name: &str, settings: &TelemetrySettings) -> Result<TelemetryGuard, TelemetryError> {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    start(service_name, settings, BoxMakeWriter::new(io::stderr), colour)
}

/// Like [`init`], but logs to `writer` without colour, for a command that uses the terminal itself.
pub fn init_to(
    service_name: &str,
    settings: &TelemetrySettings,
    writer: BoxMakeWriter,
) -> Result<TelemetryGuard, TelemetryError> {
    start(service_name, settings, writer, false)
}

fn start(
    service_name: &str,
    settings: &TelemetrySettings,
    writer: BoxMakeWriter,
    colour: bool,
) -> Result<TelemetryGuard, TelemetryError> {
    let (subscriber, guard) = subscriber(service_name, settings, writer, colour)?;
    global::set_text_map_propagator(TraceContextPropagator::new());
    subscriber.try_init().map_err(|_| TelemetryError::Started)?;
    Ok(guard)
}

fn subscriber(
    service_name: &str,
    settings: &TelemetrySettings,
    writer: BoxMakeWriter,
    colour: bool,
) -> Result<(impl Subscriber + Send + Sync + for<'s> LookupSpan<'s>, TelemetryGuard), TelemetryError> {
    let filter = EnvFilter::builder()
        .parse(&settings.log_filter)
        .map_err(|source| TelemetryError::Filter { filter: settings.log_filter.clone(), source })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colour);
    let lines = match settings.log_format {
        LogFormat::Text => lines.fmt_fields(TextFields).boxed(),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
            lines.fmt_fields(JsonFields).boxed()
        }
    };
    // The exporter must not trace itself.
    let spans = Targets::new().with_default(LevelFilter::INFO).with_targets(
        ["hyper", "hyper_util", "h2", "reqwest", "rustls", "opentelemetry"].map(|t| (t, LevelFilter::OFF)),
    );
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.trace_ratio)));
    let provider = exporter(settings)?.map(|exporter| {
        let resource = Resource::builder().with_service_name(service_name.to_owned()).build();
        let builder = SdkTracerProvider::builder().with_resource(resource).with_sampler(sampler.clone());
        builder.with_batch_exporter(exporter).build()
    });
    // Without an export, one filter serves all layers (see `SpanIds`).
    let (lines, traces) = match &provider {
        // Each of these costs time at every entry and exit of a span. They are not needed: the log has the location of a line,
        // and this code gets the trace from a span (see `trace`), never from the current context of OpenTelemetry.
        Some(provider) => {
            let traces = tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("perch"))
                .with_context_activation(false)
                .with_tracked_inactivity(false)
                .with_threads(false)
                .with_location(false)
                .with_target(false);
            (lines.with_filter(filter).boxed(), traces.with_filter(spans).boxed())
        }
        None => (lines, SpanIds::new(sampler, filter, spans).boxed()),
    };
    let subscriber = tracing_subscriber::registry().with(lines).with(traces);
    Ok((subscriber, TelemetryGuard(provider)))
}

fn exporter(settings: &TelemetrySettings) -> Result<Option<SpanExporter>, TelemetryError> {
    if settings.otlp_endpoint.is_empty() {
        return Ok(None);
    }
    tls::install();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(traces_url(&settings.otlp_endpoint))
        .with_timeout(FLUSH)
        .build()
        .map_err(|error| TelemetryError::Exporter {
            endpoint: redact::scrub_url(&settings.otlp_endpoint),
            reason: redact::scrub_url(&error.to_string()),
        })?;
    Ok(Some(exporter))
}

/// The path for traces under the base URL of a collector (OTLP specification 1.x, "OTLP/HTTP Request").
fn traces_url(base: &str) -> String {
    let base = base.trim_end_matches('/');
    if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") }
}

#[cfg(test)]
mod tests;
