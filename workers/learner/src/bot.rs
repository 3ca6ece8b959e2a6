use std::sync::Arc;

use perch_base::{ConfigError, Settings};
use perch_bot::{OwnBrake, Platform};
use perch_clients::sources::{Bounds, SourceError, Sources};
use perch_core::{
    Clients,
    personas::{Persona, PersonaSpec, PersonaStore as _},
};
use perch_jobs::{AccountId, PersonaName};
use perch_queue::worker::JobContext;
use perch_safety::Guard;
use perch_store::{Store, StoreError};

use crate::{
    brakes::ACTOR,
    settings::LearnerSettings,
    store::{LearnerBot, LearnerStore as _},
};

/// The dependencies of the handlers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Learner {
    pub(crate) settings: Arc<LearnerSettings>,
    /// Those of the platform.
    pub(crate) platform: Arc<Settings>,
    pub(crate) clients: Clients,
    pub(crate) sources: Sources,
    pub(crate) guard: Arc<Guard>,
    pub(crate) store: Store,
    /// For the brakes.
    host: Platform,
}

/// Why the bot cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LearnerError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The client for sources.
    #[error(transparent)]
    Sources(#[from] SourceError),
}

impl Learner {
    /// The bot on this platform.
    pub fn new(platform: &Platform) -> Result<Self, LearnerError> {
        let Platform { settings, store, clients, guard, .. } = platform;
        Ok(Self {
            settings: settings.sections.get()?,
            sources: Sources::new(Bounds::default(), Some(&settings.x.base_url))?,
            platform: settings.clone(),
            clients: clients.clone(),
            guard: guard.clone(),
            store: store.clone(),
            host: platform.clone(),
        })
    }

    /// Stops everything that is published as an account, until a person lifts the brake.
    pub(crate) async fn brake(&self, account: &AccountId, why: &str) -> Result<(), StoreError> {
        self.host.pull_brake(ACTOR, OwnBrake::Account(account), why).await.map(|_| ())
    }

    /// The same with calls charged to this bot, for an account.
    pub(crate) fn charged_for(&self, account: &AccountId, cx: &JobContext) -> Self {
        Self { clients: self.clients.charged_to("learner", account.to_string(), cx), ..self.clone() }
    }

    /// The providers that write for a persona.
    pub(crate) fn providers<'a>(&'a self, spec: &'a PersonaSpec) -> &'a [String] {
        if spec.providers.is_empty() { &self.settings.providers } else { &spec.providers }
    }

    /// A learning poster with its persona; none where either is gone or does not post.
    pub(crate) async fn running(&self, bot: &PersonaName) -> Result<Option<(LearnerBot, Persona)>, StoreError> {
        let Some(learner) = self.store.learner().bot(bot).await?.filter(|learner| learner.enabled) else {
            return Ok(None);
        };
        let persona = self.store.personas().get(bot).await?.filter(|persona| persona.enabled);
        Ok(persona.map(|persona| (learner, persona)))
    }
}
