use std::{sync::Arc, time::Instant};

use perch_base::Settings;
use perch_clients::{
    ModelError, ResultsClient, ResultsError, Spender, XClient, XError,
    models::ChatRequest,
    pictures::{PictureError, Pictures},
    x::XUser,
};
use perch_jobs::AccountId;
use perch_queue::{
    Client, Redis,
    worker::{Deps, JobContext},
};
use perch_store::{Budgets, HotStore, Marks, MentionControl, RateWindows, Store, Syncer};

use crate::{
    generation::{Replier, ReplierError},
    limits::SharedLimits,
    models::{Answered, Models, Purpose, Tried, Unanswered},
    pending_posts::{Gate, OwnIds},
    producers::UserIds,
    spending::Spending,
};

/// What handlers work with: clients of the outside services, the hot state, Postgres, settings. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Services {
    pub(crate) settings: Arc<Settings>,
    pub(crate) x: XClient,
    models: Models,
    pub(crate) pictures: Pictures,
    /// Who pays for the calls of X and of models.
    spender: Spender,
    /// When the attempt is given up that they work for.
    until: Option<Instant>,
    pub(crate) replier: Arc<Replier>,
    pub(crate) mentions: MentionControl,
    pub(crate) hot: HotStore,
    pub(crate) marks: Marks,
    pub(crate) user_ids: UserIds,
    pub(crate) own_ids: OwnIds,
    pub(crate) gate: Gate,
    pub(crate) store: Store,
    pub(crate) syncer: Syncer,
    pub(crate) results: Option<Arc<ResultsClient>>,
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
    /// What replies to mentions.
    #[error(transparent)]
    Replier(#[from] ReplierError),
    /// The client of the source of results.
    #[error(transparent)]
    Results(#[from] ResultsError),
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
            spender: Spender::default(),
            until: None,
            replier: Arc::new(Replier::from_settings(settings)?),
            mentions: MentionControl::new(redis.clone(), store.clone()),
            hot,
            marks: Marks::new(redis.clone(), settings.env),
            own_ids: OwnIds::default(),
            gate: Gate::new(redis.clone(), store.clone(), all.clone()),
            user_ids: UserIds::new(redis.clone(), settings.env),
            syncer: Syncer::new(redis, store.clone(), settings.env, &queues, settings.sync.batch),
            results: ResultsClient::from_settings(&settings.picks.results)?.map(Arc::new),
            store,
            settings: all,
        })
    }

    /// The same services, whose calls a bot pays for; the account is the one that they are for, whatever the case of its handle.
    pub(crate) fn charged_to(&self, bot: &'static str, account: impl Into<Option<String>>, cx: &JobContext) -> Self {
        let account = account.into().map(|account| account.to_lowercase());
        let spender = Spender { bot, account, job: Some(cx.id()) };
        Self { x: self.x.charged_to(spender.clone()), spender, until: Some(cx.until()), ..self.clone() }
    }

    /// Asks the models of a purpose in turn until one answers; those of the providers in `except` are not asked.
    pub(crate) async fn ask(
        &self,
        purpose: Purpose,
        request: &ChatRequest,
        except: &[String],
    ) -> Result<Answered, Unanswered> {
        self.models.ask(purpose, &self.spender, request, except, self.until).await
    }

    /// Asks each provider of models that has a key once, and tells how that went. The calls are charged to `doctor`.
    pub async fn try_models(&self) -> Vec<Tried> {
        let spender = Spender { bot: "doctor", account: None, job: None };
        self.models.try_each(&self.settings, &spender).await
    }

    /// Whether any model that extracts looks at pictures.
    pub(crate) fn look_at_pictures(&self) -> bool {
        self.models.look_at_pictures()
    }

    /// Whom the tokens of an account belong to, as X says it. A user read is charged to `doctor`.
    pub async fn owner_of(&self, account: &AccountId) -> Result<XUser, XError> {
        let spender = Spender { bot: "doctor", account: Some(account.to_string()), job: None };
        self.x.charged_to(spender).me(account).await
    }

    /// Whether a provider looks at pictures.
    pub(crate) fn looks_at_pictures(&self, provider: &str) -> bool {
        self.models.looks_at_pictures(provider)
    }

    /// The dependencies that the handlers ask for.
    pub fn deps(&self) -> Deps {
        Deps::new().with(self.clone())
    }
}
