use std::{fmt, sync::Arc, time::Duration};

use chrono::Utc;
use http::{HeaderValue, Method, header};
use perch_base::Settings;
use reqwest::Request;
use secrecy::SecretString;
use url::Url;

use super::{
    ChatRequest, Completion, ModelError, Usage,
    types::about_tokens,
    wire::{self, Complaint, Verdict},
};
use crate::{
    RateLimits,
    headers::{UNSTATED_WAIT, clamped, model_wait, model_window, retry_after},
    http::{Answer, MAX_BODY, SendError, Transport, bearer, endpoint, is_http, root_cause, setup_advice},
};

const ENDPOINT: &str = "chat_completions";

/// A provider of language models. Printing it shows no secret.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Its name, in limits, metrics and errors.
    pub name: String,
    /// Base URL, up to and with the version: `https://api.x.ai/v1`.
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
}

/// A client of one provider. It keeps connections open and is meant to be shared, in an [`Arc`].
pub struct ModelClient {
    config: ProviderConfig,
    url: Url,
    authorization: Option<HeaderValue>,
    transport: Transport,
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
        Ok(Self { config, url, authorization, transport })
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

    /// Asks the model, once. Trying again is the caller's to decide, by the error's disposition.
    pub async fn complete(&self, request: &ChatRequest) -> Result<Completion, ModelError> {
        self.complete_within(self.config.timeout, request).await
    }

    /// The same, for no longer than this time and that of the provider.
    pub async fn complete_within(&self, time: Duration, asked: &ChatRequest) -> Result<Completion, ModelError> {
        let mut request = self.request(asked)?;
        *request.timeout_mut() = Some(time.min(self.config.timeout));
        let key = format!("model:{}:{ENDPOINT}", self.config.name);
        if let Some(wait) = self.transport.held_back(&key, ENDPOINT).await {
            return Err(ModelError::RateLimited { provider: self.name(), after: clamped(wait) });
        }
        let answer = self.transport.send(ENDPOINT, request).await.map_err(|error| self.unsent(error))?;
        let now = Utc::now();
        if let Some(window) = model_window(&answer.headers, now) {
            self.transport.record(&key, window.limit, window.remaining, window.reset).await;
        }
        if answer.status.is_success() {
            return self.completed(asked, &answer);
        }
        let error = self.refused(&answer);
        if let ModelError::RateLimited { after, .. } = &error {
            self.transport.record(&key, 0, 0, now + *after).await;
        }
        Err(error)
    }

    fn request(&self, request: &ChatRequest) -> Result<Request, ModelError> {
        let authorization = self.authorization.clone().ok_or_else(|| ModelError::NotConfigured {
            provider: self.name(),
            variable: self.config.key_variable.clone(),
        })?;
        let body = wire::body(request, &self.config.model, self.config.images);
        let mut request = Request::new(Method::POST, self.url.clone());
        request.headers_mut().insert(header::AUTHORIZATION, authorization);
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.to_string().into());
        Ok(request)
    }

    fn completed(&self, asked: &ChatRequest, answer: &Answer) -> Result<Completion, ModelError> {
        let answer: wire::Answer = perch_jobs::strict::from_slice(&answer.body).map_err(|error| {
            ModelError::Decode { provider: self.name(), reason: self.transport.presentable(&error.to_string()) }
        })?;
        let provider = self.name();
        let verdict = wire::verdict(answer.choices);
        // A question of no tokens is one that was not counted.
        let usage = answer.usage.filter(|usage| usage.prompt_tokens > 0).unwrap_or_else(|| Usage {
            prompt_tokens: asked.about_tokens(),
            completion_tokens: verdict.text().map_or(0, about_tokens),
        });
        match verdict {
            Verdict::Said(text) => {
                let model = answer.model.unwrap_or_else(|| self.config.model.clone());
                Ok(Completion { text, usage, model })
            }
            Verdict::Refused(reason) => {
                Err(ModelError::Refused { provider, reason: self.transport.presentable(&reason), usage })
            }
            Verdict::Truncated(text) => Err(ModelError::Truncated { provider, usage, text }),
            Verdict::Nothing => Err(ModelError::Empty { provider, usage }),
        }
    }

    fn refused(&self, answer: &Answer) -> ModelError {
        let Complaint { code, message } = wire::complaint(&answer.body);
        let message = self.transport.presentable(if message.is_empty() { "no reason given" } else { &message });
        let (provider, status, now) = (self.name(), answer.status.as_u16(), Utc::now());
        match status {
            402 => ModelError::QuotaExhausted { provider, message },
            429 if code == "insufficient_quota" => ModelError::QuotaExhausted { provider, message },
            401 | 403 => {
                ModelError::Unauthorized { provider, status, message, variable: self.config.key_variable.clone() }
            }
            429 => {
                let after = model_wait(&answer.headers, now).unwrap_or(UNSTATED_WAIT);
                ModelError::RateLimited { provider, after }
            }
            500.. => ModelError::Server { provider, status, retry_after: retry_after(&answer.headers, now) },
            _ => ModelError::Rejected { provider, status, message },
        }
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
