//! The cost of a span that logs nothing, which every job and every request opens. It is measured in counts, which do not vary.

use std::alloc::System;

use perch_base::{
    settings::{LogFormat, TelemetrySettings},
    telemetry,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tracing::field::Empty;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn spans(n: usize) {
    for _ in 0..n {
        let span = tracing::error_span!(
            "job",
            job = "01KAJ3Z8Q0V5N6T7R8S9W0X1Y2",
            queue = "extraction",
            kind = "extract_picks",
            attempt = 1_i64,
            status = Empty,
        );
        span.record("status", 201_i64);
        assert!(telemetry::trace_id_of(&span).is_some());
    }
}

#[test]
fn a_span_of_four_fields_takes_few_allocations_where_no_traces_are_exported() {
    const SPANS: usize = 1_000;
    let settings = TelemetrySettings {
        log_format: LogFormat::Json,
        log_filter: "info".into(),
        otlp_endpoint: String::new(),
        trace_ratio: 1.0,
    };
    let _guard = telemetry::init_to("perch-test", &settings, BoxMakeWriter::new(std::io::sink)).expect("started once");
    // One-time allocations, such as the buffers of the thread, happen before the count starts.
    spans(SPANS);
    let before = ALLOCATOR.stats();
    spans(SPANS);
    let after = ALLOCATOR.stats();
    let made = after.allocations + after.reallocations - before.allocations - before.reallocations;
    let each = made.div_ceil(SPANS);
    println!("{each} allocations a span");
    assert!(each <= 6, "{each} allocations and reallocations a span");
}
