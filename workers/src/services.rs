use std::sync::Arc;

use perch_base::Settings;
use perch_clients::{ModelClient, ModelError, XClient, XError};
use perch_queue::{Client, Redis, worker::Deps};
use perch_store::{HotStore, Marks, RateWindows, Store, Syncer};

use crate::{limits::SharedLimits, pending_posts::OwnIds, producers::UserIds};

/// What handlers work with: clients of the outside services, the hot state, Postgres, settings. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Services {
    pub(crate) settings: Arc<Settings>,
    pub(crate) x: Arc<XClient>,
    pub(crate) extraction_model: Arc<ModelClient>,
    pub(crate) hot: HotStore,
    pub(crate) marks: Marks,
    pub(crate) user_ids: UserIds,
    pub(crate) own_ids: OwnIds,
    pub(crate) store: Store,
    pub(crate) syncer: Syncer,
}

/// Why the services of the handlers cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// The client of X.
    #[error(transparent)]
    X(#[from] XError),
    /// The client of the language model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Services {
    /// The services that `settings` describe. Nothing is connected yet; a credential that is missing is named by the
    /// first job that needs it.
    pub fn new(settings: &Settings, redis: Redis, store: Store, client: &Client) -> Result<Self, ServicesError> {
        let limits = Arc::new(SharedLimits::new(RateWindows::new(redis.clone(), settings.env)));
        let extraction_model = ModelClient::from_settings(settings, &settings.models.extraction, limits.clone())?;
        let queues = client.queues().names();
        Ok(Self {
            x: Arc::new(XClient::from_settings(settings, limits)?),
            extraction_model: Arc::new(extraction_model),
            hot: HotStore::new(redis.clone(), settings.env),
            marks: Marks::new(redis.clone(), settings.env),
            own_ids: OwnIds::default(),
            user_ids: UserIds::new(redis.clone(), settings.env),
            syncer: Syncer::new(redis, store.clone(), settings.env, &queues, settings.sync.batch),
            store,
            settings: Arc::new(settings.clone()),
        })
    }

    /// The dependencies that the handlers ask for.
    pub fn deps(&self) -> Deps {
        Deps::new().with(self.clone())
    }
}
