use std::{path::PathBuf, sync::Arc};

use perch_base::{ConfigError, Settings};
use perch_core::{Clients, personas::PersonaStore as _};
use perch_jobs::AccountId;
use perch_queue::{Client, worker::JobContext};
use perch_safety::Guard;
use perch_store::{Store, StoreError, Syncer};

use crate::{MentionsSettings, store::MentionControl};

/// The dependencies of the mention handlers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mentions {
    pub(crate) settings: Arc<MentionsSettings>,
    /// Those of the platform.
    pub(crate) platform: Arc<Settings>,
    pub(crate) clients: Clients,
    /// The persona, as the models are given it.
    pub(crate) persona: Arc<str>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) control: MentionControl,
    pub(crate) store: Store,
    pub(crate) syncer: Syncer,
}

/// Why the bot cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum MentionsError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file with the persona.
    #[error("mentions.persona_file: {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The file with the persona is empty.
    #[error("mentions.persona_file: {} is empty; write who the bot is", .0.display())]
    Empty(PathBuf),
}

impl Mentions {
    /// The bot that `settings` describe.
    pub fn new(
        settings: &Arc<Settings>,
        clients: Clients,
        guard: Arc<Guard>,
        store: &Store,
        client: &Client,
    ) -> Result<Self, MentionsError> {
        let own = settings.sections.get::<MentionsSettings>()?;
        let (redis, queues) = (client.queues().redis(), client.queues().names());
        Ok(Self {
            persona: persona(&own)?.into(),
            guard,
            control: MentionControl::new(redis.clone(), store.clone()),
            syncer: Syncer::new(redis.clone(), store.clone(), settings.env, &queues, settings.sync.batch),
            store: store.clone(),
            settings: own,
            platform: settings.clone(),
            clients,
        })
    }

    /// The same with the persona of an account, if it has one that operators have added.
    pub(crate) async fn speaking_as(&self, account: &AccountId) -> Result<Self, StoreError> {
        let persona = match self.store.personas().of_account(account).await {
            Err(error) if !error.is_unavailable() => {
                tracing::warn!(%account, %error, "the persona of an account cannot be read; the bot replies as configured");
                None
            }
            read => read?,
        };
        let voice = persona.map(|persona| persona.spec.voice().into());
        Ok(Self { persona: voice.unwrap_or_else(|| self.persona.clone()), ..self.clone() })
    }

    /// The same with calls charged to this bot, for an account.
    pub(crate) fn charged_for(&self, account: impl Into<Option<String>>, cx: &JobContext) -> Self {
        Self { clients: self.clients.charged_to("mentions", account, cx), ..self.clone() }
    }
}

fn persona(settings: &MentionsSettings) -> Result<String, MentionsError> {
    let file = settings.persona_file.trim();
    if file.is_empty() {
        return Ok(settings.persona.trim().to_owned());
    }
    let path = PathBuf::from(file);
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Err(MentionsError::Empty(path)),
        Ok(text) => Ok(text.trim().to_owned()),
        Err(source) => Err(MentionsError::Unreadable { path, source }),
    }
}
