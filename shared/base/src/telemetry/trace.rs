use std::collections::HashMap;

use opentelemetry::{
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The `traceparent` of the current span (W3C Trace Context, version 00); none outside a span or before
/// [`init`](super::init).
pub fn current_traceparent() -> Option<String> {
    context_of(&Span::current()).map(|at| {
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        push_hex(&mut text, &at.trace_id().to_bytes());
        text.push('-');
        push_hex(&mut text, &at.span_id().to_bytes());
        text.push('-');
        push_hex(&mut text, &[at.trace_flags().to_u8()]);
        text
    })
}

/// The trace id of the current span, 32 hexadecimal digits; none where [`current_traceparent`] has none.
pub fn current_trace_id() -> Option<String> {
    trace_id_of(&Span::current())
}

/// The trace id of a span, 32 hexadecimal digits; none before [`init`](super::init).
pub fn trace_id_of(span: &Span) -> Option<String> {
    context_of(span).map(|at| {
        let mut text = String::with_capacity(32);
        push_hex(&mut text, &at.trace_id().to_bytes());
        text
    })
}

/// Makes `span` part of the trace that `traceparent` names. It must be called before the span is entered for the first
/// time. False when the text is no `traceparent` or the span cannot be linked any more; the span is then as it was.
pub fn set_parent(span: &Span, traceparent: &str) -> bool {
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let parent = TraceContextPropagator::new().extract(&carrier);
    let is_valid = parent.span().span_context().is_valid();
    is_valid && span.set_parent(parent).is_ok()
}

fn context_of(span: &Span) -> Option<SpanContext> {
    let context = span.context();
    let at = context.span().span_context().clone();
    at.is_valid().then_some(at)
}

// What formats numbers takes ten times as long, once for each request and each job.
fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        text.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}
