use std::collections::HashMap;

use opentelemetry::{
    propagation::TextMapPropagator,
    trace::{SpanContext, SpanKind, TraceContextExt, TraceFlags},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample},
};
use tracing::{
    Metadata, Span, Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::Targets,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

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

/// Makes `span` part of the trace that `traceparent` names. Call it before the span is entered for the first time and before its
/// trace is read. False, without a change, if the text is not a `traceparent` or the span cannot be linked any more.
pub fn set_parent(span: &Span, traceparent: &str) -> bool {
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let parent = TraceContextPropagator::new().extract(&carrier);
    let at = parent.span().span_context().clone();
    if !at.is_valid() {
        return false;
    }
    let linked = unexported(span, |_, span| {
        let mut known = span.extensions_mut();
        let is_free = known.get_mut::<OwnContext>().is_none();
        if is_free {
            known.replace(ParentContext(at));
        }
        is_free
    });
    linked.unwrap_or_else(|| span.set_parent(parent).is_ok())
}

fn context_of(span: &Span) -> Option<SpanContext> {
    if let Some(known) = unexported(span, SpanIds::of) {
        return Some(known);
    }
    let context = span.context();
    let at = context.span().span_context().clone();
    at.is_valid().then_some(at)
}

/// The result of `with` for a span, in a process that exports no traces.
fn unexported<T>(span: &Span, with: impl FnOnce(&SpanIds, &SpanRef<'_, Registry>) -> T) -> Option<T> {
    span.with_subscriber(|(id, subscriber)| {
        let ids = subscriber.downcast_ref::<SpanIds>()?;
        Some(with(ids, &subscriber.downcast_ref::<Registry>()?.span(id)?))
    })?
}

/// Replaces the layer of OpenTelemetry if no traces are exported. It builds no traces: a span gets its ids when they are first
/// read, which most never are. Building unused traces took a seventh of the time that a worker spent on an empty job.
///
/// It is also the only filter. Per-layer filters look up the span at every entry and exit, and here only one other layer uses
/// spans and events: the log.
#[derive(Debug)]
pub(super) struct SpanIds {
    sampler: Sampler,
    log: EnvFilter,
    spans: Targets,
}

impl<S: Subscriber> Layer<S> for SpanIds {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let logged = Layer::<S>::register_callsite(&self.log, metadata);
        if self.has_ids(metadata) { Interest::always() } else { logged }
    }

    fn enabled(&self, metadata: &Metadata<'_>, at: Context<'_, S>) -> bool {
        self.has_ids(metadata) || Layer::enabled(&self.log, metadata, at)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let logged = Layer::<S>::max_level_hint(&self.log)?;
        Some(logged.max(LevelFilter::INFO))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, at: Context<'_, S>) {
        Layer::on_new_span(&self.log, attributes, id, at);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, at: Context<'_, S>) {
        Layer::on_record(&self.log, id, values, at);
    }

    fn on_enter(&self, id: &Id, at: Context<'_, S>) {
        Layer::on_enter(&self.log, id, at);
    }

    fn on_exit(&self, id: &Id, at: Context<'_, S>) {
        Layer::on_exit(&self.log, id, at);
    }

    fn on_close(&self, id: Id, at: Context<'_, S>) {
        Layer::on_close(&self.log, id, at);
    }
}

/// The ids of a span.
struct OwnContext(SpanContext);

/// The parent of a span, from [`set_parent`].
struct ParentContext(SpanContext);

impl SpanIds {
    /// Enables what `log` enables, and the `spans` that get ids, so that they have ids even if the log is quiet.
    pub(super) fn new(sampler: Sampler, log: EnvFilter, spans: Targets) -> Self {
        Self { sampler, log, spans }
    }

    fn has_ids(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && self.spans.would_enable(metadata.target(), metadata.level())
    }

    /// The ids of a span; they never change.
    fn of(&self, span: &SpanRef<'_, Registry>) -> SpanContext {
        if let Some(known) = span.extensions().get::<OwnContext>() {
            return known.0.clone();
        }
        let given = span.extensions().get::<ParentContext>().map(|parent| parent.0.clone());
        let made = self.child(given.or_else(|| span.parent().map(|parent| self.of(&parent))).as_ref());
        let mut known = span.extensions_mut();
        // Another thread may have asked at the same time.
        if let Some(earlier) = known.get_mut::<OwnContext>() {
            return earlier.0.clone();
        }
        known.insert(OwnContext(made.clone()));
        made
    }

    fn child(&self, parent: Option<&SpanContext>) -> SpanContext {
        let ids = RandomIdGenerator::default();
        let trace = parent.map_or_else(|| ids.new_trace_id(), SpanContext::trace_id);
        let is_sampled = parent.map_or_else(
            || {
                let result = self.sampler.should_sample(None, trace, "", &SpanKind::Internal, &[], &[]);
                result.decision == SamplingDecision::RecordAndSample
            },
            SpanContext::is_sampled,
        );
        let flags = TraceFlags::default().with_sampled(is_sampled);
        let state = parent.map(|parent| parent.trace_state().clone()).unwrap_or_default();
        SpanContext::new(trace, ids.new_span_id(), flags, false, state)
    }
}

// Number formatting would take ten times as long, for each request and each job.
fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        text.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}
