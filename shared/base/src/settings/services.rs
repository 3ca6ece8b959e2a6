//! Outside services: X and language models.

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
    /// How long after a write X may not yet show it. Only after that does "not found" mean "not done".
    #[serde(with = "humantime_serde")]
    pub settle: Duration,
    /// The plan, which determines which posts may be answered.
    #[serde(default)]
    pub plan: XPlan,
    /// The prices of X.
    #[serde(default)]
    pub prices: XPrices,
    /// The budget for X.
    #[serde(default)]
    pub budget: Budget,
    /// The accounts that Perch posts as.
    #[serde(default)]
    pub accounts: BTreeMap<AccountId, XAccountSettings>,
}

impl XSettings {
    /// Whether X lets an account write long posts.
    pub fn has_long_posts(&self, account: &AccountId) -> bool {
        self.accounts.get(account).is_some_and(|settings| settings.long_posts)
    }
}

/// An account that Perch posts as.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XAccountSettings {
    /// Its handle, without `@`. Empty if unknown, which only production without X credentials allows.
    pub username: String,
    /// Whether X lets it write long posts, up to 25,000 units by X's weighted count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub long_posts: bool,
    /// What it may publish, if that differs from `[posting]`.
    #[serde(default, skip_serializing_if = "AccountPostingSettings::is_empty")]
    pub posting: AccountPostingSettings,
}

/// Language models.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// How long a provider that is down is skipped while another one is available.
    #[serde(with = "humantime_serde")]
    pub rest: Duration,
    /// The providers by name.
    pub providers: BTreeMap<String, ProviderSettings>,
}

/// A provider with the chat completions API of OpenAI.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Base URL, including the version.
    pub base_url: Url,
    /// The model.
    pub model: String,
    /// The environment variable that holds the key.
    pub api_key_env: String,
    /// How long one request may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Whether to send pictures.
    pub images: bool,
    /// The parameter that limits the length of an answer.
    #[serde(default)]
    pub max_tokens_field: MaxTokensField,
    /// Whether to send a temperature.
    #[serde(default = "yes")]
    pub temperature: bool,
    /// The value of `reasoning_effort`; empty for the default of the model.
    #[serde(default)]
    pub reasoning_effort: String,
    /// Whether to send the schema of the answer.
    #[serde(default = "yes")]
    pub json_schema: bool,
    /// Its prices.
    #[serde(default)]
    pub price: TokenPrice,
    /// The budget for it.
    #[serde(default)]
    pub budget: Budget,
    /// The rate of calls over all processes.
    #[serde(default)]
    pub rate: Option<Rate>,
}

/// The name that a provider gives to the parameter that limits the length of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`, which the reasoning models of OpenAI reject.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which includes reasoning tokens.
    MaxCompletionTokens,
}

impl MaxTokensField {
    /// The name in a request.
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
