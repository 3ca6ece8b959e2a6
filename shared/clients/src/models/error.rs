use std::time::Duration;

use perch_base::{Classified, Disposition};

use super::{Setting, Usage};
use crate::headers::clamped;

/// Why a model gave no answer. `provider` is its name in `[models.providers]`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The rate limit is used up (429), or was known to be, and nothing was sent.
    #[error("{provider}: the rate limit is used up{}; it is asked again in {} s", in_words(message), after.as_secs_f64().ceil())]
    RateLimited {
        /// The provider.
        provider: String,
        /// The wait that the provider asks for, longer after repeated refusals: 1 second to a day.
        after: Duration,
        /// What the provider says; empty when nothing was sent.
        message: String,
    },
    /// The credit of the account is used up.
    #[error("{provider}: the credit is used up ({message}); top it up at the provider, then replay")]
    QuotaExhausted {
        /// The provider.
        provider: String,
        /// What the provider says.
        message: String,
    },
    /// The key is not accepted.
    #[error("{provider}: the key is not accepted (status {status}: {message}); check {variable}")]
    Unauthorized {
        /// The provider.
        provider: String,
        /// The status of the answer.
        status: u16,
        /// What the provider says.
        message: String,
        /// The variable that holds the key.
        variable: String,
    },
    /// The request is not accepted as it is.
    #[error(
        "{provider}: the request is refused (status {status}: {message}); check the provider's base_url and model in [models.providers]"
    )]
    Rejected {
        /// The provider.
        provider: String,
        /// The status of the answer.
        status: u16,
        /// What the provider says.
        message: String,
    },
    /// The model does not take a parameter, and leaving it out did not help.
    #[error("{provider}: the model does not take {} ({message}); set {setting} in [models.providers.{provider}]", setting.parameter())]
    Unsupported {
        /// The provider.
        provider: String,
        /// What to set.
        setting: Setting,
        /// What the provider says.
        message: String,
    },
    /// The model declines to answer.
    #[error("{provider}: the model declines to answer ({reason})")]
    Refused {
        /// The provider.
        provider: String,
        /// Why, in the model's words.
        reason: String,
        /// What that cost in tokens.
        usage: Usage,
    },
    /// The answer ended at the token limit.
    #[error(
        "{provider}: the answer was cut off after {} tokens; ask for a shorter one, or lower reasoning_effort in [models.providers.{provider}]",
        usage.completion_tokens
    )]
    Truncated {
        /// The provider.
        provider: String,
        /// What it cost in tokens.
        usage: Usage,
        /// What was said until then.
        text: String,
    },
    /// There is nothing in the answer.
    #[error("{provider}: the answer is empty; it can be tried again")]
    Empty {
        /// The provider.
        provider: String,
        /// What that cost in tokens.
        usage: Usage,
    },
    /// The provider failed (5xx), or reports a failure in an answer with status 200.
    #[error("{provider}: failed with status {status}{}; it can be tried again", in_words(message))]
    Server {
        /// The provider.
        provider: String,
        /// The status of the answer.
        status: u16,
        /// What the provider says.
        message: String,
        /// The wait that the answer asks for.
        retry_after: Option<Duration>,
    },
    /// No answer in time.
    #[error("{provider}: no {} in time; it can be tried again", if *sent { "answer" } else { "connection" })]
    Timeout {
        /// The provider.
        provider: String,
        /// Whether the provider may have read the request.
        sent: bool,
    },
    /// The provider was never reached.
    #[error("{provider}: cannot connect ({reason}); check the network and the provider's base_url")]
    Connect {
        /// The provider.
        provider: String,
        /// The innermost reason.
        reason: String,
        /// The error of the connection.
        source: reqwest::Error,
    },
    /// The connection was lost before the answer.
    #[error("{provider}: the connection was lost before the answer ({reason}); it can be tried again")]
    Interrupted {
        /// The provider.
        provider: String,
        /// The innermost reason.
        reason: String,
        /// The error of the connection.
        source: reqwest::Error,
    },
    /// The answer is not a chat completion.
    #[error("{provider}: the answer is no chat completion ({reason}); check the provider's base_url")]
    Decode {
        /// The provider.
        provider: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The answer is too large to be read.
    #[error("{provider}: the answer is over {limit} bytes; check the provider's base_url")]
    Oversized {
        /// The provider.
        provider: String,
        /// The most that is read, in bytes.
        limit: usize,
    },
    /// The key is missing or not valid in a header. Nothing was sent.
    #[error("{provider}: {variable} is missing or not valid; set it in the environment")]
    NotConfigured {
        /// The provider.
        provider: String,
        /// The variable to set.
        variable: String,
    },
    /// The client itself cannot be built.
    #[error("{provider}: cannot set up the client: {reason}")]
    Setup {
        /// The provider.
        provider: String,
        /// What is wrong, and what to do.
        reason: String,
    },
}

/// What a provider says, in brackets.
fn in_words(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" ({message})") }
}

impl ModelError {
    /// The tokens that the call used, if there was an answer.
    pub fn usage(&self) -> Option<Usage> {
        match self {
            Self::Refused { usage, .. } | Self::Truncated { usage, .. } | Self::Empty { usage, .. } => Some(*usage),
            _ => None,
        }
    }

    /// What went wrong in one word, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::QuotaExhausted { .. } => "no_credit",
            Self::Unauthorized { .. } | Self::NotConfigured { .. } => "credentials",
            Self::Rejected { .. } => "rejected",
            Self::Unsupported { .. } => "unsupported",
            Self::Refused { .. } => "refused",
            Self::Truncated { .. } => "truncated",
            Self::Empty { .. } => "empty",
            Self::Server { .. } => "failed",
            Self::Timeout { .. } => "timeout",
            Self::Connect { .. } | Self::Interrupted { .. } => "connection",
            Self::Decode { .. } | Self::Oversized { .. } => "unreadable",
            Self::Setup { .. } => "setup",
        }
    }

    /// Whether the provider may have done work of unknown cost.
    pub fn is_lost(&self) -> bool {
        matches!(
            self,
            Self::Decode { .. } | Self::Oversized { .. } | Self::Interrupted { .. } | Self::Timeout { sent: true, .. }
        )
    }
}

impl Classified for ModelError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::RateLimited { after, .. } | Self::Server { retry_after: Some(after), .. } => {
                Disposition::RetryAfter(clamped(*after))
            }
            Self::Empty { .. }
            | Self::Server { retry_after: None, .. }
            | Self::Timeout { .. }
            | Self::Connect { .. }
            | Self::Interrupted { .. }
            | Self::Decode { .. }
            | Self::Oversized { .. }
            | Self::Rejected { status: 408, .. } => Disposition::Retry,
            Self::QuotaExhausted { .. }
            | Self::Unauthorized { .. }
            | Self::Rejected { .. }
            | Self::Unsupported { .. }
            | Self::Refused { .. }
            | Self::Truncated { .. }
            | Self::NotConfigured { .. }
            | Self::Setup { .. } => Disposition::Never,
        }
    }
}
