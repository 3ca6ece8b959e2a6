//! Files that are read from their addresses, under the same guard as sources.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH},
};
use perch_base::{Classified, Disposition};
use reqwest::{Client, Response};
use url::Url;

use super::{
    SourceError, client,
    error::shown_text,
    fetch::{check_status, open, text, unanswered},
    guard::Guard,
    lookup,
};

/// Why a file cannot be read. `address` is where it is, without the query, which may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read now, but perhaps later.
    #[error("file {address}: cannot be read now ({reason}); it can be tried again")]
    Away {
        /// Where it is.
        address: String,
        /// Why.
        reason: String,
        /// The wait that the server asks for: 1 second to a day.
        after: Option<Duration>,
    },
    /// It can never be read.
    #[error("file {address}: {reason}")]
    Unfit {
        /// Where it is.
        address: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The client itself cannot be built.
    #[error("cannot set up the client for files")]
    Setup(#[source] Box<SourceError>),
}

impl Classified for FileError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Away { after: Some(wait), .. } => Disposition::RetryAfter(*wait),
            Self::Away { after: None, .. } => Disposition::Retry,
            Self::Unfit { .. } | Self::Setup(_) => Disposition::Never,
        }
    }
}

impl From<SourceError> for FileError {
    fn from(error: SourceError) -> Self {
        let unfit = |address, reason| Self::Unfit { address, reason };
        match error {
            SourceError::Away { address, reason, after, .. } => Self::Away { address, reason, after },
            SourceError::Forbidden { address, reason } => unfit(
                address,
                format!("{reason}; give an https address on the default port of a public host, without credentials"),
            ),
            SourceError::Moved { address, from, to } => {
                unfit(address, format!("{from} redirects to {to}, another host; give the address there"))
            }
            SourceError::Refused { address, status } => {
                unfit(address, format!("is answered with status {status}; correct the address"))
            }
            SourceError::TooLarge { address, most_bytes } => {
                unfit(address, format!("is larger than {most_bytes} bytes; give a smaller file"))
            }
            SourceError::Unreadable { address, reason } => unfit(address, reason),
            error @ SourceError::Setup(_) => Self::Setup(Box::new(error)),
        }
    }
}

/// Reads files: over https, from public addresses only, without leaving their hosts, and within bounds of size and time. Clones share
/// their connections.
#[derive(Debug, Clone)]
pub struct Files {
    client: Client,
    guard: Arc<Guard>,
    most_bytes: usize,
    timeout: Duration,
}

impl Files {
    /// A reader of files with at most `most_bytes`, each within `timeout`. The origin of `own` is allowed besides public hosts when it is
    /// on this machine.
    ///
    /// # Errors
    ///
    /// The client itself cannot be built.
    pub fn new(most_bytes: usize, timeout: Duration, own: Option<&Url>) -> Result<Self, FileError> {
        let guard = Guard::new(own);
        let client = client(&guard, lookup::system(), timeout, timeout)?;
        Ok(Self { client, guard: Arc::new(guard), most_bytes, timeout })
    }

    /// The bytes of the file at `address`.
    pub async fn read(&self, address: &str) -> Result<Vec<u8>, FileError> {
        let url = self.guard.admit(address)?;
        let late = |_| FileError::Away {
            address: shown_text(address),
            reason: format!("it was not complete within {} s", self.timeout.as_secs()),
            after: None,
        };
        Ok(tokio::time::timeout(self.timeout, self.fetch(url)).await.map_err(late)??)
    }

    async fn fetch(&self, url: Url) -> Result<Vec<u8>, SourceError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("image/*, video/mp4, */*;q=0.1"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let (url, response) = open(&self.client, &self.guard, url, &headers).await?;
        check_status(&url, &response)?;
        if !matches!(text(response.headers(), CONTENT_ENCODING), "" | "identity") {
            return Err(SourceError::unreadable(&url, "is compressed, which was not asked for"));
        }
        self.receive(&url, response).await
    }

    async fn receive(&self, url: &Url, mut response: Response) -> Result<Vec<u8>, SourceError> {
        let too_large = || SourceError::too_large(url, self.most_bytes);
        let stated = text(response.headers(), CONTENT_LENGTH).parse::<usize>().unwrap_or_default();
        if stated > self.most_bytes {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(stated);
        while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(url, error))? {
            if bytes.len() + chunk.len() > self.most_bytes {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}
