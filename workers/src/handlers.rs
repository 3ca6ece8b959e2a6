use std::sync::Arc;

use perch_base::Settings;
use perch_bot_mentions::{Mentions, PersonaError, Replies, poll_mentions, reply_to_mention};
use perch_bot_picks::{
    Actions, Picks, PicksError, extraction::extract_post, fetch_results, poll_account, poll_accounts,
    poll_due_accounts, summarise_day,
};
use perch_core::{Clients, ClientsError, guard, recovery::Amends, sync_hot_state};
use perch_jobs::{
    CollectMetrics, ExtractPost, FetchResults, PollAccount, PollAccounts, PollDueAccounts, PollMentions, PublishPost,
    ReplyToMention, RetweetPost, SummariseDay, SyncHotState,
};
use perch_publishing::{Acts, Metrics, Origin, Publisher, collect_metrics, publish_post, retweet_post};
use perch_queue::{
    Client,
    worker::{Deps, Handlers},
};
use perch_safety::BadPattern;
use perch_store::{HotStore, Store, Syncer};

/// The handlers of every kind that Perch brings. They ask for what [`deps`] gives.
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

/// What the bots know of the posts that they hand over.
fn origins() -> Vec<Box<dyn Origin>> {
    vec![Box::new(Actions), Box::new(Replies)]
}

/// What makes good what servers lose of acts.
pub fn amends() -> Arc<dyn Amends> {
    Arc::new(Acts)
}

/// Why what the handlers work with cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// X and the language models.
    #[error(transparent)]
    Clients(#[from] ClientsError),
    /// A word or phrase of the configuration.
    #[error("mentions.banned_topics or mentions.crisis_words: {0}")]
    Words(#[from] BadPattern),
    /// Picks.
    #[error(transparent)]
    Picks(#[from] PicksError),
    /// Mentions.
    #[error(transparent)]
    Mentions(#[from] PersonaError),
}

/// What the handlers work with, as `settings` describe it. Nothing is connected yet; a credential that is missing is named by the
/// first job that needs it.
pub fn deps(settings: &Settings, store: &Store, client: &Client) -> Result<Deps, SetUpError> {
    let redis = client.queues().redis();
    let clients = Clients::new(settings, redis, store)?;
    let (settings, guard) = (Arc::new(settings.clone()), Arc::new(guard(settings)?));
    let queues = client.queues().names();
    Ok(Deps::new()
        .with(clients.clone())
        .with(Publisher::new(&settings, clients.clone(), guard.clone(), redis, store, origins()))
        .with(Metrics::new(clients.clone(), HotStore::new(redis.clone(), settings.env)))
        .with(Picks::new(&settings, clients.clone(), guard.clone(), redis, store)?)
        .with(Mentions::new(&settings, clients, guard, store, client)?)
        .with(Syncer::new(redis.clone(), store.clone(), settings.env, &queues, settings.sync.batch)))
}
