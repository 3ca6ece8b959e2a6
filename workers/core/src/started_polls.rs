use perch_queue::{Acceptance, Client, EnqueueError, NewJob};
use serde::Serialize;

/// The polls that one round of polling started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StartedPolls {
    /// Polls that were enqueued.
    pub enqueued: usize,
    /// Accounts whose previous poll is not finished, so that no new one was enqueued.
    pub unfinished: usize,
    /// Accounts that could not be read lately and are skipped this time.
    #[serde(skip_serializing_if = "is_none")]
    pub passed_over: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_none(n: &usize) -> bool {
    *n == 0
}

impl StartedPolls {
    /// Enqueues polls; each account has at most one unfinished poll.
    ///
    /// # Errors
    ///
    /// A poll was not accepted; others may have been.
    pub async fn of(client: &Client, polls: Vec<NewJob>) -> Result<Self, EnqueueError> {
        let mut started = Self::default();
        for answer in client.submit_all(polls).await {
            match answer?.acceptance {
                Acceptance::Kept => started.unfinished += 1,
                Acceptance::Accepted | Acceptance::Duplicate | Acceptance::Replaced | Acceptance::Deferred => {
                    started.enqueued += 1;
                }
            }
        }
        Ok(started)
    }
}
