//! Reads and drops the unread rest of a request body before the answer goes out.
//!
//! Closing a connection while the client still writes resets it, and the client never sees the answer: Python's
//! `urllib` reports a broken pipe instead of a 413. Dropped bytes are not kept in memory.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::header,
    middleware::Next,
    response::Response,
};
use http_body::{Body as _, Frame, SizeHint};

/// Most bytes that are dropped.
const MOST: u64 = 64 * 1024 * 1024;
/// The longest time that dropping may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The middleware.
pub(crate) async fn drain(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // A client with `Expect` sends its body only once a handler starts to read it.
    let waits = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let lent = SharedBody(Arc::new(Mutex::new(Inner { body, asked: false, over: false })));
    let response = next.run(Request::from_parts(parts, Body::new(lent.clone()))).await;
    let (asked, over) = lent.state();
    if !over && (asked || !waits) {
        // After that the connection is closed.
        let _ = tokio::time::timeout(PATIENCE, lent.drop_rest()).await;
    }
    response
}

/// A request body shared with the handler.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Inner>>);

struct Inner {
    body: Body,
    /// Whether the handler has started to read it.
    asked: bool,
    /// Whether it was read to its end, or failed.
    over: bool,
}

impl SharedBody {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> (bool, bool) {
        let inner = self.inner();
        (inner.asked, inner.over || inner.body.is_end_stream())
    }

    async fn drop_rest(mut self) {
        let mut dropped = 0;
        while dropped <= MOST {
            match std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
                Some(Ok(frame)) => dropped += frame.data_ref().map_or(0, |data| data.len() as u64),
                Some(Err(_)) | None => return,
            }
        }
    }
}

impl http_body::Body for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut inner = self.inner();
        inner.asked = true;
        let polled = Pin::new(&mut inner.body).poll_frame(cx);
        inner.over |= matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner().body.size_hint()
    }
}
