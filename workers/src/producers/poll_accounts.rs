use perch_base::clock;
use perch_jobs::{PollAccount, PollAccounts, PollDueAccounts};
use perch_queue::{
    Acceptance, EnqueueError, EnqueueOptions, Fail, NewJob,
    worker::{Data, HandlerResult, JobContext},
};
use serde::Serialize;

use super::watch_list::{WatchList, Watched};
use crate::{Services, follow_up::job_id};

/// What one round of polling started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Started {
    /// Polls that were enqueued.
    pub enqueued: usize,
    /// Accounts whose poll before this one is not finished; it stands for this one.
    pub unfinished: usize,
    /// Accounts that could not be read lately and are left out this time.
    #[serde(skip_serializing_if = "is_none")]
    pub passed_over: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_none(n: &usize) -> bool {
    *n == 0
}

/// Starts one `poll_account` for each watched account without a schedule of its own.
pub async fn poll_accounts(_: PollAccounts, cx: JobContext, services: Data<Services>) -> HandlerResult<Started> {
    let all = WatchList::new(&services.settings).all(&services.store).await?;
    let accounts: Vec<Watched> =
        all.into_iter().filter(|account| account.watched && account.schedule.is_none()).collect();
    start(&cx, &services, &accounts).await
}

/// Starts one `poll_account` for each watched account that is due by a schedule of its own.
pub async fn poll_due_accounts(_: PollDueAccounts, cx: JobContext, services: Data<Services>) -> HandlerResult<Started> {
    let now = clock::now();
    let all = WatchList::new(&services.settings).all(&services.store).await?;
    let watched = all.into_iter().filter(|account| account.watched);
    let (accounts, ticks): (Vec<Watched>, Vec<_>) =
        watched.filter_map(|account| account.due(now).map(|tick| (account, tick))).unzip();
    let started = start(&cx, &services, &accounts).await?;
    // Last, so that a tick is never done with before its poll is there. A repetition enqueues nothing twice.
    for (account, tick) in accounts.iter().zip(ticks) {
        services.store.accounts().scheduled(&account.username, tick).await?;
    }
    Ok(started)
}

async fn start(cx: &JobContext, services: &Services, accounts: &[Watched]) -> Result<Started, Fail> {
    let (passed_over, polled): (Vec<&Watched>, Vec<&Watched>) =
        accounts.iter().partition(|account| account.passes_over > 0);
    let poll = |account: &&Watched| {
        let id = job_id(cx.enqueued_at(), &format!("poll:{}", account.username));
        let options = EnqueueOptions { id: Some(id), parent: Some(cx.id()), ..EnqueueOptions::default() };
        Ok(NewJob::of(&PollAccount { username: account.handle.clone() })?.with(options))
    };
    let polls = polled.iter().map(poll).collect::<Result<Vec<_>, EnqueueError>>()?;
    let mut started = Started { passed_over: passed_over.len(), ..Started::default() };
    for answer in cx.client().submit_all(polls).await {
        match answer?.acceptance {
            Acceptance::Kept => started.unfinished += 1,
            Acceptance::Accepted | Acceptance::Duplicate | Acceptance::Replaced | Acceptance::Deferred => {
                started.enqueued += 1;
            }
        }
    }
    if !passed_over.is_empty() {
        let names: Vec<String> = passed_over.iter().map(|account| account.username.clone()).collect();
        services.store.accounts().passed_over(&names).await?;
    }
    Ok(started)
}
