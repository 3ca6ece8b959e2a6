use perch_jobs::{
    CollectMetrics, ExtractPost, PollAccount, PollAccounts, PollDueAccounts, PublishPost, RetweetPost, SyncHotState,
};
use perch_queue::worker::Handlers;

use crate::{
    analytics_processing::collect_metrics,
    extraction::extract_post,
    pending_posts::{publish_post, retweet_post},
    producers::{poll_account, poll_accounts, poll_due_accounts},
    sync_to_store::sync_hot_state,
};

/// The handlers of every kind that Perch brings. They ask for [`Services`](crate::Services).
pub fn handlers() -> Handlers {
    Handlers::new()
        .on::<PollAccounts, _, _>(poll_accounts)
        .on::<PollAccount, _, _>(poll_account)
        .on::<PollDueAccounts, _, _>(poll_due_accounts)
        .on::<ExtractPost, _, _>(extract_post)
        .on::<PublishPost, _, _>(publish_post)
        .on::<RetweetPost, _, _>(retweet_post)
        .on::<CollectMetrics, _, _>(collect_metrics)
        .on::<SyncHotState, _, _>(sync_hot_state)
}
