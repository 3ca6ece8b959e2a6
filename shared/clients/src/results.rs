//! Client of a source of game results: one URL that answers with a JSON array.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use http::Method;
use perch_base::{Classified, Disposition, settings::SourceUrl};
use reqwest::Request;
use serde_json::Value;
use url::Url;

use crate::{
    LocalLimits,
    headers::{clamped, retry_after},
    http::{MAX_BODY, SendError, Transport, root_cause, setup_advice},
};

/// Why results could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultsError {
    /// The source refused or failed.
    #[error("the source of results answered with status {status}; check {setting}")]
    Status {
        /// The setting with its URL.
        setting: &'static str,
        /// The status of the answer.
        status: u16,
        /// The wait that the answer asks for.
        retry_after: Option<Duration>,
    },
    /// The source was not reached, or did not answer in time.
    #[error("the source of results gave no answer ({reason}); check the network and {setting}")]
    Unreachable {
        /// The setting with its URL.
        setting: &'static str,
        /// What happened.
        reason: String,
    },
    /// The answer is no JSON array.
    #[error("the answer of the source of results cannot be read ({reason}); it must be a JSON array")]
    Decode {
        /// What is wrong with it.
        reason: String,
    },
    /// The client cannot be built.
    #[error("cannot set up the client for results: {reason}")]
    Setup {
        /// What is wrong, and what to do.
        reason: String,
    },
}

impl Classified for ResultsError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Status { retry_after: Some(after), status: 429 | 500.., .. } => {
                Disposition::RetryAfter(clamped(*after))
            }
            Self::Status { status: 408 | 429 | 500.., .. } | Self::Unreachable { .. } | Self::Decode { .. } => {
                Disposition::Retry
            }
            Self::Status { .. } | Self::Setup { .. } => Disposition::Never,
        }
    }
}

/// A client of the configured source. It keeps its connection open and is meant to be shared.
pub struct ResultsClient {
    url: Url,
    setting: &'static str,
    transport: Transport,
}

impl ResultsClient {
    /// A client of `source`, with a timeout for each request; `None` when no source is configured. `setting` is the name of the setting
    /// with the URL, for errors.
    ///
    /// # Errors
    ///
    /// The address is not a URL, or the client itself cannot be built.
    pub fn new(source: &SourceUrl, timeout: Duration, setting: &'static str) -> Result<Option<Self>, ResultsError> {
        if source.is_empty() {
            return Ok(None);
        }
        let setup = |reason: String| ResultsError::Setup { reason };
        let url = Url::parse(source.as_str()).map_err(|error| setup(format!("{setting}: {error}")))?;
        let limits = Arc::new(LocalLimits::new());
        let transport = Transport::new("results", &url, timeout, limits, Vec::new())
            .map_err(|error| setup(setup_advice(&error)))?;
        Ok(Some(Self { url, setting, transport }))
    }

    /// The current entries of the source, not parsed.
    pub async fn fetch(&self) -> Result<Vec<Value>, ResultsError> {
        let request = Request::new(Method::GET, self.url.clone());
        let answer = self.transport.send("results", request).await.map_err(|error| unsent(error, self.setting))?;
        if !answer.status.is_success() {
            let retry_after = retry_after(&answer.headers, Utc::now());
            return Err(ResultsError::Status { setting: self.setting, status: answer.status.as_u16(), retry_after });
        }
        serde_json::from_slice(&answer.body).map_err(|error| ResultsError::Decode { reason: error.to_string() })
    }
}

impl std::fmt::Debug for ResultsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The query may hold a key.
        f.debug_struct("ResultsClient").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

fn unsent(error: SendError, setting: &'static str) -> ResultsError {
    let reason = match error {
        SendError::Connect(error) | SendError::Interrupted(error) => root_cause(&error),
        SendError::Timeout { .. } => "it took too long".to_owned(),
        SendError::Oversized => return ResultsError::Decode { reason: format!("it is over {MAX_BODY} bytes") },
    };
    ResultsError::Unreachable { setting, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_is_down_is_asked_again_and_one_that_refuses_is_not() {
        let status = |status, retry_after| ResultsError::Status { setting: "s", status, retry_after }.disposition();
        assert_eq!(status(503, None), Disposition::Retry);
        assert_eq!(status(429, Some(Duration::from_secs(7))), Disposition::RetryAfter(Duration::from_secs(7)));
        assert_eq!(status(404, None), Disposition::Never);
    }

    #[test]
    fn without_a_url_there_is_no_client_and_what_it_says_of_itself_holds_no_query() {
        let client =
            |url: &str| ResultsClient::new(&url.into(), Duration::from_secs(1), "a.url").expect("nothing is wrong");
        assert!(client("").is_none());
        let client = client("http://127.0.0.1:1/r?key=hunter2").expect("a client");
        assert!(!format!("{client:?}").contains("hunter2"));
    }
}
