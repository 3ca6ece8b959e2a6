use perch_base::clock;
use perch_core::{StartedPolls, job_id};
use perch_jobs::{PollAccount, PollAccounts, PollDueAccounts};
use perch_queue::{
    EnqueueError, EnqueueOptions, Fail, NewJob,
    worker::{Data, HandlerResult, JobContext},
};

use super::watch_list::{WatchList, WatchedAccount};
use crate::{Picks, store::PicksStore as _};

/// Starts one `poll_account` for each watched account without a schedule of its own.
pub async fn poll_accounts(_: PollAccounts, cx: JobContext, bot: Data<Picks>) -> HandlerResult<StartedPolls> {
    let all = WatchList::of(bot.settings.clone(), &bot.platform).all(&bot.store).await?;
    let accounts: Vec<WatchedAccount> =
        all.into_iter().filter(|account| account.watched && account.schedule.is_none()).collect();
    start(&cx, &bot, &accounts).await
}

/// Starts one `poll_account` for each watched account that is due by a schedule of its own.
pub async fn poll_due_accounts(_: PollDueAccounts, cx: JobContext, bot: Data<Picks>) -> HandlerResult<StartedPolls> {
    let now = clock::now();
    let all = WatchList::of(bot.settings.clone(), &bot.platform).all(&bot.store).await?;
    let watched = all.into_iter().filter(|account| account.watched);
    let (accounts, ticks): (Vec<WatchedAccount>, Vec<_>) =
        watched.filter_map(|account| account.due(now).map(|tick| (account, tick))).unzip();
    let started = start(&cx, &bot, &accounts).await?;
    // Last, so that a tick is never marked as done before its poll is enqueued. Repeating this enqueues nothing twice.
    for (account, tick) in accounts.iter().zip(ticks) {
        bot.store.accounts().scheduled(&account.username, tick).await?;
    }
    Ok(started)
}

async fn start(cx: &JobContext, bot: &Picks, accounts: &[WatchedAccount]) -> Result<StartedPolls, Fail> {
    let (passed_over, polled): (Vec<&WatchedAccount>, Vec<&WatchedAccount>) =
        accounts.iter().partition(|account| account.passes_over > 0);
    let poll = |account: &&WatchedAccount| {
        let id = job_id(cx.enqueued_at(), &format!("poll:{}", account.username));
        let options = EnqueueOptions { id: Some(id), parent: Some(cx.id()), ..EnqueueOptions::default() };
        Ok(NewJob::of(&PollAccount { username: account.handle.clone() })?.with(options))
    };
    let polls = polled.iter().map(poll).collect::<Result<Vec<_>, EnqueueError>>()?;
    let started = StartedPolls { passed_over: passed_over.len(), ..StartedPolls::of(cx.client(), polls).await? };
    if !passed_over.is_empty() {
        let names: Vec<String> = passed_over.iter().map(|account| account.username.clone()).collect();
        bot.store.accounts().passed_over(&names).await?;
    }
    Ok(started)
}
