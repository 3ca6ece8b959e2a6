use perch_jobs::{
    CollectMetrics, ExtractPost, FetchResults, PollAccount, PollAccounts, PollDueAccounts, PollMentions, PublishPost,
    ReplyToMention, RetweetPost, SummariseDay, SyncHotState,
};
use perch_queue::worker::Handlers;

use crate::{
    analytics_processing::{collect_metrics, fetch_results, summarise_day},
    extraction::extract_post,
    generation::reply_to_mention,
    pending_posts::{publish_post, retweet_post},
    producers::{poll_account, poll_accounts, poll_due_accounts, poll_mentions},
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
        .on::<PollMentions, _, _>(poll_mentions)
        .on::<ReplyToMention, _, _>(reply_to_mention)
        .on::<CollectMetrics, _, _>(collect_metrics)
        .on::<FetchResults, _, _>(fetch_results)
        .on::<SummariseDay, _, _>(summarise_day)
        .on::<SyncHotState, _, _>(sync_hot_state)
}
