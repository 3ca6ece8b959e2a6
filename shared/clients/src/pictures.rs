//! Pictures of posts as `data:` URLs for models, so that their size is known before they are sent.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::header::CONTENT_TYPE;
use perch_base::{Classified, Disposition, Settings};
use reqwest::{Client, Response, redirect::Policy};
use url::{Host, Url};

use crate::http::{is_loopback, root_cause};

/// The media types that models accept.
const KINDS: [&str; 4] = ["image/jpeg", "image/png", "image/webp", "image/gif"];
const TIMEOUT: Duration = Duration::from_secs(15);
/// X serves each picture in several sizes; in this one the longer side has at most 1,200 pixels, enough to read a betting slip.
const SIZE: (&str, &str) = ("name", "medium");

/// Why a picture cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// It cannot be read now, but perhaps later.
    #[error("picture {url}: cannot be read now ({reason})")]
    Away {
        /// Where it is.
        url: String,
        /// Why.
        reason: String,
    },
    /// It can never be read.
    #[error("picture {url}: {reason}")]
    Unfit {
        /// Where it is.
        url: String,
        /// Why.
        reason: String,
    },
    /// The client itself cannot be built.
    #[error("cannot set up the client for pictures: {0}")]
    Setup(#[source] reqwest::Error),
}

impl Classified for PictureError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Away { .. } => Disposition::Retry,
            Self::Unfit { .. } | Self::Setup(_) => Disposition::Never,
        }
    }
}

/// Reads pictures, only from allowed hosts, because the addresses come from posts of strangers.
#[derive(Debug, Clone)]
pub struct Pictures {
    client: Client,
    hosts: BTreeSet<String>,
    /// The address of X if it is on this machine: the sandbox serves the pictures of its posts.
    own: Option<Url>,
    most_bytes: usize,
}

impl Pictures {
    /// Allows these hosts, and pictures of at most `most_bytes`. A base URL of X on this machine is allowed too.
    ///
    /// # Errors
    ///
    /// The client itself cannot be built.
    pub fn new(settings: &Settings, hosts: &[String], most_bytes: usize) -> Result<Self, PictureError> {
        perch_base::tls::install();
        let own = Some(settings.x.base_url.clone()).filter(is_loopback);
        let mut builder = Client::builder()
            .user_agent(concat!("perch/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .redirect(Policy::none());
        if own.is_some() {
            builder = builder.no_proxy();
        }
        Ok(Self {
            client: builder.build().map_err(PictureError::Setup)?,
            hosts: hosts.iter().map(|host| host.to_lowercase()).collect(),
            own,
            most_bytes,
        })
    }

    /// A picture as a `data:` URL.
    pub async fn data_url(&self, address: &str) -> Result<String, PictureError> {
        let url = self.allowed(address)?;
        let away = |error: &reqwest::Error| PictureError::Away { url: url.to_string(), reason: root_cause(error) };
        let response = self.client.get(url.clone()).send().await.map_err(|error| away(&error))?;
        let kind = kind_of(&response, &url)?;
        let body = self.read(response, &url).await?;
        Ok(format!("data:{kind};base64,{}", STANDARD.encode(body)))
    }

    fn allowed(&self, address: &str) -> Result<Url, PictureError> {
        let unfit = |reason: &str| {
            let url = address.chars().take(200).collect();
            PictureError::Unfit { url, reason: reason.to_owned() }
        };
        let mut url = Url::parse(address).map_err(|_| unfit("is no URL"))?;
        if self.own.as_ref().is_some_and(|own| own.origin() == url.origin()) {
            return Ok(url);
        }
        let listed = matches!(url.host(), Some(Host::Domain(host)) if self.hosts.contains(&host.to_lowercase()));
        if url.scheme() != "https" || !listed || url.port().is_some() {
            return Err(unfit("does not stand on a host that pictures are read from"));
        }
        if url.query().is_none() {
            url.query_pairs_mut().append_pair(SIZE.0, SIZE.1);
        }
        Ok(url)
    }

    async fn read(&self, mut response: Response, url: &Url) -> Result<Vec<u8>, PictureError> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= self.most_bytes => body.extend_from_slice(&chunk),
                Ok(Some(_)) => {
                    let reason = format!("is larger than {} bytes", self.most_bytes);
                    return Err(PictureError::Unfit { url: url.to_string(), reason });
                }
                Ok(None) => return Ok(body),
                Err(error) => return Err(PictureError::Away { url: url.to_string(), reason: root_cause(&error) }),
            }
        }
    }
}

fn kind_of(response: &Response, url: &Url) -> Result<&'static str, PictureError> {
    let status = response.status();
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(PictureError::Away { url: url.to_string(), reason: format!("status {}", status.as_u16()) });
    }
    let unfit = |reason| Err(PictureError::Unfit { url: url.to_string(), reason });
    if !status.is_success() {
        return unfit(format!("is answered with status {}", status.as_u16()));
    }
    let said = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let said = said.split(';').next().unwrap_or_default().trim().to_lowercase();
    KINDS.into_iter().find(|kind| *kind == said).map_or_else(|| unfit(format!("is {said:?}, and no picture")), Ok)
}
