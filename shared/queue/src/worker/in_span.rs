//! A future that runs within a span.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tracing::Span;

pin_project! {
    /// As `Instrument` of the crate `tracing`: each poll of the future, and its end, are within the span. A future that has ended
    /// is dropped in the step in which it did, in place of a step of its own, which nearly every job would pay for.
    pub(super) struct InSpan<F> {
        #[pin]
        inner: Option<F>,
        span: Span,
    }

    impl<F> PinnedDrop for InSpan<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_some() {
                let _entered = this.span.enter();
                this.inner.set(None);
            }
        }
    }
}

impl<F> InSpan<F> {
    pub fn new(inner: F, span: Span) -> Self {
        Self { inner: Some(inner), span }
    }
}

impl<F: Future> Future for InSpan<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let _entered = this.span.enter();
        // After its end it is not polled by a runtime; were it, it would wait without end instead of panicking.
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Pending };
        let polled = inner.poll(cx);
        if polled.is_ready() {
            this.inner.set(None);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Notes the span it is dropped in.
    struct Noted(Arc<Mutex<Vec<Option<&'static str>>>>);

    impl Drop for Noted {
        fn drop(&mut self) {
            let name = Span::current().metadata().map(tracing::Metadata::name);
            self.0.lock().expect("no test panics in here").push(name);
        }
    }

    #[tokio::test]
    async fn a_future_runs_and_ends_within_its_span_whether_it_came_to_its_end_or_was_dropped() {
        let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Noted(seen.clone());
        let ran = InSpan::new(
            async move {
                let _kept = noted;
                tokio::task::yield_now().await;
                Span::current().metadata().map(tracing::Metadata::name)
            },
            tracing::error_span!("ran"),
        );
        assert_eq!(ran.await, Some("ran"));
        let noted = Noted(seen.clone());
        drop(InSpan::new(async move { drop(noted) }, tracing::error_span!("dropped")));
        assert_eq!(*seen.lock().expect("no test panics in here"), [Some("ran"), Some("dropped")]);
    }
}
