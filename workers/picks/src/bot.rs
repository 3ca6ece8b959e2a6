use std::sync::Arc;

use perch_base::{ConfigError, Settings};
use perch_clients::{
    ResultsClient, ResultsError,
    pictures::{PictureError, Pictures},
};
use perch_core::Clients;
use perch_queue::{Redis, worker::JobContext};
use perch_safety::Guard;
use perch_store::{HotStore, Store};

use crate::{PicksSettings, polling::UserIds, store::Marks};

/// What the handlers of the bot share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Picks {
    pub(crate) settings: Arc<PicksSettings>,
    /// The settings of the platform.
    pub(crate) platform: Arc<Settings>,
    pub(crate) clients: Clients,
    pub(crate) pictures: Pictures,
    pub(crate) guard: Arc<Guard>,
    pub(crate) hot: HotStore,
    pub(crate) marks: Marks,
    pub(crate) user_ids: UserIds,
    pub(crate) store: Store,
    /// The source of results, where one is configured.
    pub(crate) results: Option<Arc<ResultsClient>>,
}

/// Why the bot cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum PicksError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The client for pictures cannot be built.
    #[error(transparent)]
    Pictures(#[from] PictureError),
    /// The client of the source of results cannot be built.
    #[error(transparent)]
    Results(#[from] ResultsError),
}

impl Picks {
    /// The bot that `settings` describe.
    pub fn new(
        settings: &Arc<Settings>,
        clients: Clients,
        guard: Arc<Guard>,
        redis: &Redis,
        store: &Store,
    ) -> Result<Self, PicksError> {
        let own = settings.sections.get::<PicksSettings>()?;
        Ok(Self {
            pictures: Pictures::new(settings, &own.pictures.hosts, own.pictures.max_bytes)?,
            results: ResultsClient::new(&own.results.url, own.results.timeout, "picks.results.url")?.map(Arc::new),
            hot: HotStore::new(redis.clone(), settings.env),
            marks: Marks::new(redis.clone(), settings.env),
            user_ids: UserIds::new(redis.clone(), settings.env),
            store: store.clone(),
            settings: own,
            platform: settings.clone(),
            clients,
            guard,
        })
    }

    /// A copy whose paid calls are charged to this bot and to `account`.
    pub(crate) fn charged_for(&self, account: impl Into<Option<String>>, cx: &JobContext) -> Self {
        Self { clients: self.clients.charged_to("picks", account, cx), ..self.clone() }
    }
}
