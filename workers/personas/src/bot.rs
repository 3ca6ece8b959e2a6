use std::sync::Arc;

use perch_base::{ConfigError, Settings};
use perch_bot::Platform;
use perch_clients::sources::{Bounds, SourceError, Sources};
use perch_core::{Clients, personas::PersonaSpec};
use perch_jobs::AccountId;
use perch_queue::worker::JobContext;
use perch_safety::Guard;
use perch_store::Store;

use crate::PersonasSettings;

/// The dependencies of the handlers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Personas {
    pub(crate) settings: Arc<PersonasSettings>,
    /// Those of the platform.
    pub(crate) platform: Arc<Settings>,
    pub(crate) clients: Clients,
    pub(crate) sources: Sources,
    pub(crate) guard: Arc<Guard>,
    pub(crate) store: Store,
}

/// Why the bot cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum PersonasError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The client for sources.
    #[error(transparent)]
    Sources(#[from] SourceError),
}

impl Personas {
    /// The bot on this platform.
    pub fn new(platform: &Platform) -> Result<Self, PersonasError> {
        let Platform { settings, store, clients, guard, .. } = platform;
        Ok(Self {
            settings: settings.sections.get()?,
            sources: Sources::new(Bounds::default(), Some(&settings.x.base_url))?,
            platform: settings.clone(),
            clients: clients.clone(),
            guard: guard.clone(),
            store: store.clone(),
        })
    }

    /// The same with calls charged to this bot, for an account.
    pub(crate) fn charged_for(&self, account: &AccountId, cx: &JobContext) -> Self {
        Self { clients: self.clients.charged_to("personas", account.to_string(), cx), ..self.clone() }
    }

    /// The same for a call that a person makes, outside of a job.
    pub(crate) fn by_hand(&self, spec: &PersonaSpec) -> Self {
        Self { clients: self.clients.charged_without_job("personas", spec.account.to_string()), ..self.clone() }
    }

    /// The providers that write for a persona.
    pub(crate) fn providers<'a>(&'a self, spec: &'a PersonaSpec) -> &'a [String] {
        if spec.providers.is_empty() { &self.settings.providers } else { &spec.providers }
    }
}
