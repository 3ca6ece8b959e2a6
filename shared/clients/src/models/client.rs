use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::Utc;
use http::{HeaderValue, Method, header};
use perch_base::Settings;
use reqwest::Request;
use secrecy::SecretString;
use url::Url;

use super::{
    ChatRequest, Completion, Dialect, ModelError, Setting,
    answer::{self, AnswerError, ModelOutcome, ProviderError},
    wire,
};
use crate::{
    RateLimits,
    headers::{clamped, model_wait, model_window, retry_after},
    http::{HttpAnswer, MAX_BODY, SendError, Transport, bearer, endpoint, is_http, root_cause, setup_advice},
};

const ENDPOINT: &str = "chat_completions";

/// A provider of language models. Printing it shows no secret.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Its name in limits, metrics and errors.
    pub name: String,
    /// Base URL, including the version: `https://api.x.ai/v1`.
    pub base_url: Url,
    /// The model.
    pub model: String,
    /// The key.
    pub key: Option<SecretString>,
    /// The environment variable that the key comes from, for messages.
    pub key_variable: String,
    /// How long one request may take, reading the answer included.
    pub timeout: Duration,
    /// Whether pictures are sent along.
    pub images: bool,
    /// How requests to it are written.
    pub dialect: Dialect,
}

/// A client of one provider. It keeps connections open and is meant to be shared, in an [`Arc`].
///
/// A parameter that the model refuses is left out from then on, because models of one provider differ in what they accept.
pub struct ModelClient {
    config: ProviderConfig,
    url: Url,
    authorization: Option<HeaderValue>,
    transport: Transport,
    learned: Mutex<LearnedDialect>,
}

/// The dialect in use, and the settings that were changed because the model refused a parameter.
#[derive(Debug, Clone)]
struct LearnedDialect {
    dialect: Dialect,
    settings: Vec<Setting>,
}

impl ModelClient {
    /// A client as configured. The key may be missing: then every call fails with [`ModelError::NotConfigured`].
    pub fn new(config: ProviderConfig, limits: Arc<dyn RateLimits>) -> Result<Self, ModelError> {
        let setup = |reason| ModelError::Setup { provider: config.name.clone(), reason };
        if !is_http(&config.base_url) {
            return Err(setup("base_url must start with http:// or https://".into()));
        }
        let secrets = config.key.iter().cloned().collect();
        let transport = Transport::new(&config.name, &config.base_url, config.timeout, limits, secrets)
            .map_err(|error| setup(setup_advice(&error)))?;
        let url = endpoint(&config.base_url, &["chat", "completions"]);
        let authorization = config.key.as_ref().and_then(bearer);
        let learned = Mutex::new(LearnedDialect { dialect: config.dialect.clone(), settings: Vec::new() });
        Ok(Self { config, url, authorization, transport, learned })
    }

    /// A client for the provider `name` of `[models.providers]`.
    pub fn from_settings(settings: &Settings, name: &str, limits: Arc<dyn RateLimits>) -> Result<Self, ModelError> {
        let provider = settings.models.providers.get(name).ok_or_else(|| ModelError::Setup {
            provider: name.to_owned(),
            reason: "there is no such provider; add a block to [models.providers]".into(),
        })?;
        let config = ProviderConfig {
            name: name.to_owned(),
            base_url: provider.base_url.clone(),
            model: provider.model.clone(),
            key: settings.secrets.model_keys.get(name).cloned(),
            key_variable: provider.api_key_env.clone(),
            timeout: provider.timeout,
            images: provider.images,
            dialect: provider.into(),
        };
        Self::new(config, limits)
    }

    /// The name of the provider.
    pub fn provider(&self) -> &str {
        &self.config.name
    }

    /// The model that is asked.
    pub fn model(&self) -> &str {
        &self.config.model
    }

    /// Whether pictures are sent to it.
    pub fn looks_at_pictures(&self) -> bool {
        self.config.images
    }

    /// Asks the model once. The caller decides whether to retry, by the error's disposition.
    pub async fn complete(&self, request: &ChatRequest) -> Result<Completion, ModelError> {
        self.complete_within(self.config.timeout, request).await
    }

    /// As `complete`, for at most `time` and at most the timeout of the provider.
    pub async fn complete_within(&self, time: Duration, asked: &ChatRequest) -> Result<Completion, ModelError> {
        let until = Instant::now() + time.min(self.config.timeout);
        loop {
            let dialect = self.learned().dialect.clone();
            match self.ask(&dialect, until, asked).await {
                // A refused request is not paid for.
                Err(ModelError::Unsupported { setting, message, .. }) if self.learns(&dialect, setting, &message) => {}
                answered => return answered,
            }
        }
    }

    /// Settings that the model turned out to need, as they are to be written in the configuration.
    pub fn settings_learned(&self) -> Vec<Setting> {
        self.learned().settings.clone()
    }

    async fn ask(&self, dialect: &Dialect, until: Instant, asked: &ChatRequest) -> Result<Completion, ModelError> {
        let mut request = self.request(dialect, asked)?;
        *request.timeout_mut() = Some(until.saturating_duration_since(Instant::now()));
        let key = format!("model:{}:{ENDPOINT}", self.config.name);
        if let Some(wait) = self.transport.held_back(&key, ENDPOINT).await {
            let message = String::new();
            return Err(ModelError::RateLimited { provider: self.name(), after: clamped(wait), message });
        }
        let sent = Instant::now();
        let answer = self.transport.send(ENDPOINT, request).await.map_err(|error| self.unsent(error))?;
        if let Some(window) = model_window(&answer.headers, Utc::now()) {
            self.transport.record(&key, window).await;
        }
        let mut result = self.read(dialect, asked, &answer);
        if let Err(ModelError::RateLimited { after, .. }) = &mut result {
            *after = self.transport.refused(&key, 0, sent, model_wait(&answer.headers, Utc::now())).await;
        } else {
            self.transport.served(&key);
        }
        result
    }

    fn read(&self, dialect: &Dialect, asked: &ChatRequest, answer: &HttpAnswer) -> Result<Completion, ModelError> {
        if !answer.status.is_success() {
            return Err(self.refusal(dialect, answer, &answer::complaint(&answer.body)));
        }
        match answer::read(&answer.body, asked.about_tokens()) {
            Ok(answer) => self.completed(answer),
            Err(AnswerError::Error(complaint)) => Err(self.refusal(dialect, answer, &complaint)),
            Err(AnswerError::Malformed(reason)) => {
                Err(ModelError::Decode { provider: self.name(), reason: self.transport.presentable(&reason) })
            }
        }
    }

    fn request(&self, dialect: &Dialect, request: &ChatRequest) -> Result<Request, ModelError> {
        let authorization = self.authorization.clone().ok_or_else(|| ModelError::NotConfigured {
            provider: self.name(),
            variable: self.config.key_variable.clone(),
        })?;
        let body = wire::body(request, &self.config.model, self.config.images, dialect);
        let mut request = Request::new(Method::POST, self.url.clone());
        request.headers_mut().insert(header::AUTHORIZATION, authorization);
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.to_string().into());
        Ok(request)
    }

    fn completed(&self, answer: answer::ModelAnswer) -> Result<Completion, ModelError> {
        let (provider, usage) = (self.name(), answer.usage);
        match answer.verdict {
            ModelOutcome::Answered(text) => {
                let model = answer.model.unwrap_or_else(|| self.config.model.clone());
                Ok(Completion { text, usage, model })
            }
            ModelOutcome::Refused(reason) => {
                Err(ModelError::Refused { provider, reason: self.transport.presentable(&reason), usage })
            }
            ModelOutcome::Truncated(text) => Err(ModelError::Truncated { provider, usage, text }),
            ModelOutcome::Nothing => Err(ModelError::Empty { provider, usage }),
        }
    }

    /// The error for a refusal, by the status in its body where it has one: some providers refuse with status 200.
    fn refusal(&self, dialect: &Dialect, answer: &HttpAnswer, complaint: &ProviderError) -> ModelError {
        let (provider, now) = (self.name(), Utc::now());
        let stated = answer.status.as_u16();
        let status = complaint.status.filter(|_| answer.status.is_success()).unwrap_or(stated);
        let said = if complaint.message.is_empty() { "no reason given" } else { &complaint.message };
        let message = self.transport.presentable(said);
        match status {
            402 => ModelError::QuotaExhausted { provider, message },
            200..500 if complaint.is_about_credit() => ModelError::QuotaExhausted { provider, message },
            401 | 403 => {
                ModelError::Unauthorized { provider, status, message, variable: self.config.key_variable.clone() }
            }
            // The caller sets `after`.
            429 => ModelError::RateLimited { provider, after: Duration::ZERO, message },
            200..300 | 500.. => {
                ModelError::Server { provider, status, message, retry_after: retry_after(&answer.headers, now) }
            }
            _ => match dialect.setting_against(complaint) {
                Some(setting) => ModelError::Unsupported { provider, setting, message },
                None => ModelError::Rejected { provider, status, message },
            },
        }
    }

    /// Leaves out the refused parameter from now on. True when the request can be made again.
    fn learns(&self, asked_in: &Dialect, setting: Setting, message: &str) -> bool {
        let mut learned = self.learned();
        // A concurrent request has changed the dialect in the meantime.
        if learned.dialect != *asked_in {
            return true;
        }
        let is_known = |known: &Setting| std::mem::discriminant(known) == std::mem::discriminant(&setting);
        if learned.settings.iter().any(is_known) {
            return false;
        }
        tracing::warn!(
            provider = %self.config.name,
            model = %self.config.model,
            message,
            "the model does not take {}, which is left out from now on; set {setting} in [models.providers.{}]",
            setting.parameter(),
            self.config.name,
        );
        learned.dialect = learned.dialect.clone().with(setting);
        learned.settings.push(setting);
        true
    }

    fn learned(&self) -> MutexGuard<'_, LearnedDialect> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsent(&self, error: SendError) -> ModelError {
        let provider = self.name();
        match error {
            SendError::Connect(source) => ModelError::Connect { provider, reason: root_cause(&source), source },
            SendError::Timeout { sent } => ModelError::Timeout { provider, sent },
            SendError::Interrupted(source) => ModelError::Interrupted { provider, reason: root_cause(&source), source },
            SendError::Oversized => ModelError::Oversized { provider, limit: MAX_BODY },
        }
    }

    fn name(&self) -> String {
        self.config.name.clone()
    }
}

impl fmt::Debug for ModelClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelClient").field("config", &self.config).finish_non_exhaustive()
    }
}
