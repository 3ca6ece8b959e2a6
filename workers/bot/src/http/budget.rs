//! Limits the memory for the bodies of all requests together (`http.bytes_under_way`).

use std::{ops::Deref, sync::Arc};

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{ApiResult, Cause, Problem};

/// Seconds after which a request that was refused for lack of memory may be sent again.
const SOON: u64 = 1;

/// The memory for request bodies. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BodyBudget {
    room: Arc<Semaphore>,
    all: usize,
}

impl BodyBudget {
    /// A budget of this many bytes.
    pub fn new(bytes: usize) -> Self {
        let all = bytes.min(Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(all)), all }
    }

    /// Bytes in use now.
    pub fn held(&self) -> usize {
        self.all - self.room.available_permits()
    }

    /// A body of which nothing was received yet.
    pub fn body(&self) -> PartialBody {
        PartialBody { budget: self.clone(), bytes: BytesMut::new(), held: None }
    }

    fn take(&self, bytes: usize) -> ApiResult<OwnedSemaphorePermit> {
        let taken = u32::try_from(bytes).ok().and_then(|bytes| self.room.clone().try_acquire_many_owned(bytes).ok());
        taken.ok_or_else(|| {
            metrics::counter!("perch_http_bodies_refused_total").increment(1);
            let all = self.all;
            let detail = format!(
                "The bodies of all requests under way have {all} bytes, as many as they may (http.bytes_under_way). \
                 Send it again, or in smaller parts."
            );
            Problem::new(Cause::Overloaded, detail).retry_after(SOON)
        })
    }
}

/// A body that is being received. It takes memory for the bytes received, not for the announced length, so that slow clients do not
/// keep others out.
#[derive(Debug)]
pub struct PartialBody {
    budget: BodyBudget,
    bytes: BytesMut,
    held: Option<OwnedSemaphorePermit>,
}

impl PartialBody {
    /// Bytes received so far.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a part; fails when the budget is used up.
    pub fn add(&mut self, part: &[u8]) -> ApiResult<()> {
        let more = self.budget.take(part.len())?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    /// The whole body.
    pub fn whole(self) -> FullBody {
        FullBody { bytes: self.bytes.freeze(), _held: self.held }
    }
}

/// The whole body of a request. Its bytes return to the budget when it is dropped.
#[derive(Debug)]
pub struct FullBody {
    bytes: Bytes,
    _held: Option<OwnedSemaphorePermit>,
}

impl Deref for FullBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_hold_room_for_what_has_come_and_give_it_back() {
        let budget = BodyBudget::new(10);
        let (mut first, mut second) = (budget.body(), budget.body());
        first.add(b"12345678").expect("there is room");
        let problem = second.add(b"123").expect_err("there is none");
        assert_eq!(problem.cause(), Cause::Overloaded);
        second.add(b"12").expect("there is room for two");
        assert_eq!(budget.held(), 10);
        let first = first.whole();
        assert_eq!((&*first, budget.held()), (b"12345678".as_slice(), 10));
        drop((first, second));
        assert_eq!(budget.held(), 0);
    }
}
