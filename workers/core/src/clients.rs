//! The clients of X and of the language models for handlers.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use perch_base::Settings;
use perch_clients::{ModelError, Spender, XClient, XError, models::ChatRequest, x::XUser};
use perch_jobs::AccountId;
use perch_queue::{Redis, worker::JobContext};
use perch_store::{Budgets, HotStore, RateWindows, Store};

use crate::{
    limits::SharedLimits,
    models::{AskError, ModelReply, Models, ProviderTrial},
    own_ids::OwnIds,
    spending::Spending,
};

/// The clients of X and of the language models. Calls cost money, so each is charged to a bot; it ends with its attempt. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clients {
    /// X.
    pub x: XClient,
    models: Models,
    own_ids: OwnIds,
    /// Who pays for the calls.
    spender: Spender,
    /// When the attempt that makes the calls is given up.
    until: Option<Instant>,
}

/// Why the clients cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// The client of X.
    #[error(transparent)]
    X(#[from] XError),
    /// The client of a language model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Clients {
    /// The clients that `settings` describe. They do not connect yet, and a missing credential fails the first call that needs it.
    pub fn new(settings: &Settings, redis: &Redis, store: &Store) -> Result<Self, ClientsError> {
        let limits = Arc::new(SharedLimits::new(RateWindows::new(redis.clone(), settings.env)));
        let budgets = Budgets::new(redis.clone(), store.clone(), settings.env);
        let hot = HotStore::new(redis.clone(), settings.env);
        let spending = Spending::new(settings, budgets, hot, store.clone());
        Ok(Self {
            models: Models::new(settings, &limits, spending.clone())?,
            x: XClient::from_settings(settings, limits)?.metered(Arc::new(spending)),
            own_ids: OwnIds::default(),
            spender: Spender::default(),
            until: None,
        })
    }

    /// The same clients with their calls charged to this bot, for this account. The case of the account's name does not matter.
    #[must_use]
    pub fn charged_to(&self, bot: &'static str, account: impl Into<Option<String>>, cx: &JobContext) -> Self {
        let account = account.into().map(|account| account.to_lowercase());
        let spender = Spender { bot, account, job: Some(cx.id()) };
        Self { x: self.x.charged_to(spender.clone()), spender, until: Some(cx.until()), ..self.clone() }
    }

    /// The same for calls outside of a job, which a person waits for.
    #[must_use]
    pub fn charged_without_job(&self, bot: &'static str, account: impl Into<Option<String>>) -> Self {
        let account = account.into().map(|account| account.to_lowercase());
        let spender = Spender { bot, account, job: None };
        Self { x: self.x.charged_to(spender.clone()), spender, until: None, ..self.clone() }
    }

    /// Asks these providers one after the other until one answers; those in `except` are not asked.
    pub async fn ask(
        &self,
        providers: &[String],
        request: &ChatRequest,
        except: &[String],
    ) -> Result<ModelReply, AskError> {
        self.models.ask(providers, &self.spender, request, except, self.until).await
    }

    /// The user id of an account, as X gives it for the account's credentials.
    pub async fn own_id(&self, account: &AccountId) -> Result<String, XError> {
        self.own_ids.get(&self.x, account).await
    }

    /// The handle of an account, as X gives it for the account's credentials.
    pub async fn own_handle(&self, account: &AccountId) -> Result<String, XError> {
        self.own_ids.handle(&self.x, account).await
    }

    /// Whether any of these providers that has a key accepts pictures.
    pub fn look_at_pictures(&self, providers: &[String]) -> bool {
        self.models.look_at_pictures(providers)
    }

    /// Whether a provider accepts pictures.
    pub fn looks_at_pictures(&self, provider: &str) -> bool {
        self.models.looks_at_pictures(provider)
    }

    /// Asks each of these providers that has a key once. The calls are charged to `doctor`.
    pub async fn try_models(&self, providers: &BTreeSet<String>) -> Vec<ProviderTrial> {
        let spender = Spender { bot: "doctor", account: None, job: None };
        self.models.try_each(providers, &spender).await
    }

    /// The user whom the tokens of an account belong to. A user read is charged to `doctor`.
    pub async fn owner_of(&self, account: &AccountId) -> Result<XUser, XError> {
        let spender = Spender { bot: "doctor", account: Some(account.to_string()), job: None };
        self.x.charged_to(spender).me(account).await
    }
}
