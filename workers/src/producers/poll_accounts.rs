use perch_jobs::{PollAccount, PollAccounts};
use perch_queue::{
    Acceptance, EnqueueOptions, NewJob,
    worker::{Data, HandlerResult, JobContext},
};
use serde::Serialize;

use crate::{Services, follow_up::job_id};

/// What one round of polling started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Started {
    /// Polls that were enqueued.
    pub enqueued: usize,
    /// Accounts whose poll before this one is not finished; it stands for this one.
    pub unfinished: usize,
}

/// Starts one `poll_account` for each watched account.
pub async fn poll_accounts(_: PollAccounts, cx: JobContext, services: Data<Services>) -> HandlerResult<Started> {
    let poll = |username: &String| {
        let id = job_id(cx.enqueued_at(), &format!("poll:{}", username.to_lowercase()));
        let options = EnqueueOptions { id: Some(id), parent: Some(cx.id()), ..EnqueueOptions::default() };
        Ok(NewJob::of(&PollAccount { username: username.clone() })?.with(options))
    };
    let polls =
        services.settings.picks.watch.iter().map(poll).collect::<Result<Vec<_>, perch_queue::EnqueueError>>()?;
    let mut started = Started::default();
    for answer in cx.client().submit_all(polls).await {
        match answer?.acceptance {
            Acceptance::Kept => started.unfinished += 1,
            Acceptance::Accepted | Acceptance::Duplicate | Acceptance::Replaced | Acceptance::Deferred => {
                started.enqueued += 1;
            }
        }
    }
    Ok(started)
}
