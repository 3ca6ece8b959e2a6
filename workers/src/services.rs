use std::sync::Arc;

use perch_base::Settings;
use perch_clients::{
    ModelError, Spender, XClient, XError,
    pictures::{PictureError, Pictures},
};
use perch_queue::{
    Client, Redis,
    worker::{Deps, JobContext},
};
use perch_store::{Budgets, HotStore, Marks, RateWindows, Store, Syncer};

use crate::{
    limits::SharedLimits,
    models::Models,
    pending_posts::{Gate, OwnIds},
    producers::UserIds,
    spending::Spending,
};

/// What handlers work with: clients of the outside services, the hot state, Postgres, settings. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Services {
    pub(crate) settings: Arc<Settings>,
    pub(crate) x: XClient,
    pub(crate) models: Models,
    pub(crate) pictures: Pictures,
    pub(crate) hot: HotStore,
    pub(crate) marks: Marks,
    pub(crate) user_ids: UserIds,
    pub(crate) own_ids: OwnIds,
    pub(crate) gate: Gate,
    pub(crate) store: Store,
    pub(crate) syncer: Syncer,
}

/// Why the services of the handlers cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// The client of X.
    #[error(transparent)]
    X(#[from] XError),
    /// The client for pictures.
    #[error(transparent)]
    Pictures(#[from] PictureError),
    /// The client of the language model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Services {
    /// The services that `settings` describe. Nothing is connected yet; a credential that is missing is named by the
    /// first job that needs it.
    pub fn new(settings: &Settings, redis: Redis, store: Store, client: &Client) -> Result<Self, ServicesError> {
        let limits = Arc::new(SharedLimits::new(RateWindows::new(redis.clone(), settings.env)));
        let hot = HotStore::new(redis.clone(), settings.env);
        let budgets = Budgets::new(redis.clone(), store.clone(), settings.env);
        let spending = Spending::new(settings, budgets, hot.clone(), store.clone());
        let queues = client.queues().names();
        let all = Arc::new(settings.clone());
        Ok(Self {
            models: Models::new(settings, &limits, spending.clone())?,
            x: XClient::from_settings(settings, limits)?.metered(Arc::new(spending)),
            pictures: Pictures::from_settings(settings)?,
            hot,
            marks: Marks::new(redis.clone(), settings.env),
            own_ids: OwnIds::default(),
            gate: Gate::new(redis.clone(), store.clone(), all.clone()),
            user_ids: UserIds::new(redis.clone(), settings.env),
            syncer: Syncer::new(redis, store.clone(), settings.env, &queues, settings.sync.batch),
            store,
            settings: all,
        })
    }

    /// The same services, whose calls of X somebody pays for.
    pub(crate) fn charged_to(&self, spender: &Spender) -> Self {
        Self { x: self.x.charged_to(spender.clone()), ..self.clone() }
    }

    /// The dependencies that the handlers ask for.
    pub fn deps(&self) -> Deps {
        Deps::new().with(self.clone())
    }
}

/// Who pays for what a job does outside.
pub(crate) fn spender(bot: &'static str, account: impl Into<Option<String>>, cx: &JobContext) -> Spender {
    Spender { bot, account: account.into(), job: Some(cx.id()) }
}
