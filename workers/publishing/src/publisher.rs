use std::{fmt::Debug, sync::Arc};

use futures::future::{BoxFuture, ready};
use perch_base::Settings;
use perch_core::Clients;
use perch_jobs::{AccountId, PostId, PublishPost, PublishSource};
use perch_queue::{Redis, worker::JobContext};
use perch_safety::Guard;
use perch_store::{HotStore, Store, StoreError};

use crate::gate::Gate;

/// Acts on X, each act once, after the guard and the gate have let it pass. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    pub(super) settings: Arc<Settings>,
    pub(super) clients: Clients,
    pub(super) guard: Arc<Guard>,
    pub(super) gate: Gate,
    pub(super) hot: HotStore,
    pub(super) store: Store,
    pub(super) origins: Arc<[Box<dyn Origin>]>,
    /// The bot whose act it does, if it is that of one.
    pub(super) bot: Option<&'static str>,
}

/// What publishing asks a bot about the posts that it hands over.
pub trait Origin: Debug + Send + Sync + 'static {
    /// The name of the bot if this act is its own. The calls are charged to it, and its brake stops the act.
    fn bot(&self, act: &ActOrigin<'_>) -> Option<&'static str>;

    /// Whether this text was approved, so that what the guard flags in it no longer stops it.
    fn is_decided<'a>(&'a self, _: &'a Store, _: &'a PublishPost) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(ready(Ok(false)))
    }
}

/// What an act shows of where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct ActOrigin<'a> {
    /// What led to it.
    pub source: Option<&'a PublishSource>,
    /// The post that it replies to.
    pub reply_to: Option<&'a PostId>,
    /// The key of the effect, if its job gives one.
    pub effect_key: Option<&'a str>,
}

/// The name that is charged for posts of no bot.
const NO_BOT: &str = "posts";

impl Publisher {
    /// The publisher that `settings` describe.
    pub fn new(
        settings: &Arc<Settings>,
        clients: Clients,
        guard: Arc<Guard>,
        redis: &Redis,
        store: &Store,
        origins: Vec<Box<dyn Origin>>,
    ) -> Self {
        Self {
            gate: Gate::new(redis.clone(), store.clone(), settings.clone()),
            hot: HotStore::new(redis.clone(), settings.env),
            store: store.clone(),
            settings: settings.clone(),
            clients,
            guard,
            origins: origins.into(),
            bot: None,
        }
    }

    /// The same publisher for attempts while Redis is away. It knows from Postgres alone what may be published: the brakes by the audit log,
    /// the limits by the ledger of effects. Its caller makes one attempt at a time.
    #[must_use]
    pub fn without_redis(self) -> Self {
        Self { gate: self.gate.without_redis(), ..self }
    }

    /// The same publisher with its calls charged to the bot of the post, for this account.
    pub(super) fn charged_for(&self, account: &AccountId, act: &ActOrigin<'_>, cx: &JobContext) -> Self {
        let bot = self.origins.iter().find_map(|origin| origin.bot(act));
        let clients = self.clients.charged_to(bot.unwrap_or(NO_BOT), account.to_string(), cx);
        Self { clients, bot, ..self.clone() }
    }

    /// Whether a bot has this text as approved.
    pub(super) async fn is_decided(&self, post: &PublishPost) -> Result<bool, StoreError> {
        for origin in self.origins.iter() {
            if origin.is_decided(&self.store, post).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
