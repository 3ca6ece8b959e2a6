//! The body of a request that changes something: it is sent only while the permit holds.
//!
//! Between the decision to call and the first byte on the wire, the client checks limits, connects and shakes hands. A process that is
//! frozen there for longer than its lease must not continue. So the permit is checked again when the connection takes the body; the
//! server ignores a request whose body is withheld.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::EffectPermit;

/// Whether the body of a request was withheld.
#[derive(Debug, Clone, Default)]
pub(crate) struct WithheldFlag(Arc<AtomicBool>);

impl WithheldFlag {
    /// True once the permit was lost; then nothing was sent that a server could act on.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The error of a body that was withheld.
#[derive(Debug)]
struct PermitLost;

impl fmt::Display for PermitLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the permit was lost before the request was sent")
    }
}

impl std::error::Error for PermitLost {}

struct GuardedBody {
    bytes: Option<Bytes>,
    permit: Arc<dyn EffectPermit>,
    withheld: WithheldFlag,
}

impl Body for GuardedBody {
    type Data = Bytes;
    type Error = PermitLost;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, PermitLost>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        Poll::Ready(Some(if self.permit.holds() {
            Ok(Frame::data(bytes))
        } else {
            self.withheld.0.store(true, Ordering::Release);
            Err(PermitLost)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// A body guarded by `permit`, and the flag that tells whether it was withheld.
pub(crate) fn guarded(bytes: Bytes, permit: Arc<dyn EffectPermit>) -> (reqwest::Body, WithheldFlag) {
    let withheld = WithheldFlag::default();
    let body = GuardedBody { bytes: Some(bytes), permit, withheld: withheld.clone() };
    (reqwest::Body::wrap(body), withheld)
}
