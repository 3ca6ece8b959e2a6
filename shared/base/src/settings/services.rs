//! The services outside: X, and those of language models.

use std::{collections::BTreeMap, time::Duration};

use perch_job::AccountId;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{AccountPostingSettings, Budget, Rate, TokenPrice, XPlan, XPrices, yes};

/// X.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XSettings {
    /// Base URL of the API.
    pub base_url: Url,
    /// How long one request may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// How long after a write X may still not show it. Only then does "not there" mean "not done".
    #[serde(with = "humantime_serde")]
    pub settle: Duration,
    /// The plan, which decides which posts may be answered.
    #[serde(default)]
    pub plan: XPlan,
    /// What X charges.
    #[serde(default)]
    pub prices: XPrices,
    /// What may be spent on X.
    #[serde(default)]
    pub budget: Budget,
    /// The accounts that Perch posts as.
    #[serde(default)]
    pub accounts: BTreeMap<AccountId, XAccountSettings>,
}

/// An account that Perch posts as.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XAccountSettings {
    /// Its handle, without `@`; empty as long as nobody has said it, which only production without credentials of X allows.
    pub username: String,
    /// What it may publish, where that differs from `[posting]`.
    #[serde(default, skip_serializing_if = "AccountPostingSettings::is_empty")]
    pub posting: AccountPostingSettings,
}

/// Language models.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// How long a provider that is down is not asked while another one is there.
    #[serde(with = "humantime_serde")]
    pub rest: Duration,
    /// The providers by name.
    pub providers: BTreeMap<String, ProviderSettings>,
}

/// A provider that serves OpenAI's chat completions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Base URL, up to and with the version.
    pub base_url: Url,
    /// The model.
    pub model: String,
    /// The environment variable that holds the key.
    pub api_key_env: String,
    /// How long one request may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Whether pictures are sent along.
    pub images: bool,
    /// The parameter that bounds an answer.
    #[serde(default)]
    pub max_tokens_field: MaxTokensField,
    /// Whether a temperature is sent along.
    #[serde(default = "yes")]
    pub temperature: bool,
    /// How much the model thinks before it answers, as `reasoning_effort`; empty leaves that to it.
    #[serde(default)]
    pub reasoning_effort: String,
    /// Whether the schema of the answer is sent along.
    #[serde(default = "yes")]
    pub json_schema: bool,
    /// What it charges.
    #[serde(default)]
    pub price: TokenPrice,
    /// What may be spent on it.
    #[serde(default)]
    pub budget: Budget,
    /// How often it may be called, over all processes.
    #[serde(default)]
    pub rate: Option<Rate>,
}

/// The parameter that bounds the answer of a model, as its provider calls it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`, which OpenAI's reasoning models refuse.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which counts what the model thinks too.
    MaxCompletionTokens,
}

impl MaxTokensField {
    /// As it stands in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::MaxTokens => Self::MaxCompletionTokens,
            Self::MaxCompletionTokens => Self::MaxTokens,
        }
    }
}
