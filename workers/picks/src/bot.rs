use std::sync::Arc;

use perch_base::Settings;
use perch_clients::{
    ResultsClient, ResultsError,
    pictures::{PictureError, Pictures},
};
use perch_core::Clients;
use perch_queue::{Redis, worker::JobContext};
use perch_safety::Guard;
use perch_store::{HotStore, Store};

use crate::polling::UserIds;
use crate::store::Marks;

/// What the handlers of picks work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Picks {
    pub(crate) settings: Arc<Settings>,
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
    /// The client for pictures.
    #[error(transparent)]
    Pictures(#[from] PictureError),
    /// The client of the source of results.
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
        Ok(Self {
            pictures: Pictures::from_settings(settings)?,
            results: ResultsClient::from_settings(&settings.picks.results)?.map(Arc::new),
            hot: HotStore::new(redis.clone(), settings.env),
            marks: Marks::new(redis.clone(), settings.env),
            user_ids: UserIds::new(redis.clone(), settings.env),
            store: store.clone(),
            settings: settings.clone(),
            clients,
            guard,
        })
    }

    /// The same, whose calls are charged to it for an account.
    pub(crate) fn charged_for(&self, account: impl Into<Option<String>>, cx: &JobContext) -> Self {
        Self { clients: self.clients.charged_to("picks", account, cx), ..self.clone() }
    }
}
