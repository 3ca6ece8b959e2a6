//! Sources of material for posts: feeds (RSS, Atom, JSON Feed), web pages and texts.
//!
//! The addresses come from operators, but what is behind them may change hands, so a source is read under a guard: over https, from
//! public addresses only, without leaving its host, and within bounds of size and time. What a source says is data: it is made plain
//! text on one line each, and whoever gives it to a model quotes it.

mod body;
mod charset;
mod date;
mod digest;
mod entry;
mod error;
mod feed;
mod fetch;
pub mod file;
mod guard;
mod html;
mod json_feed;
mod kind;
mod lookup;
mod plain;
mod public;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{Client, redirect::Policy};
use serde::{Deserialize, Serialize};
use url::Url;

pub use self::error::SourceError;
use self::{
    digest::Document,
    fetch::{Received, fetch},
    guard::Guard,
    lookup::{Lookup, PublicOnly},
};

const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// One thing that a source says: an entry of a feed, or a part of a page or text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    /// The title, at most 300 characters.
    pub title: Option<String>,
    /// Plain text on one line, at most [`Bounds::characters`]; empty when there is only a title.
    pub text: String,
    /// The web page about it. The address of a source that has a query is not given, because the query may hold a secret.
    pub link: Option<Url>,
    /// When it was published, if that is said and not in the future.
    pub published_at: Option<DateTime<Utc>>,
}

/// What a server says about the version of a source, so that the next reading can ask whether it changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

impl Validators {
    /// True when the server said nothing.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// The outcome of [`Sources::read_if_changed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The server says that the source is as it was.
    Unchanged,
    /// The source was read.
    Changed {
        /// What it says, newest first.
        materials: Vec<Material>,
        /// For the next reading of this address.
        validators: Validators,
    },
}

/// How much of a source is read, and how long that may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Most bytes of a source, also after decompression. 2 MiB.
    pub bytes: usize,
    /// Most pieces of material. 20.
    pub materials: usize,
    /// Most characters of the text of one piece. 2,000.
    pub characters: usize,
    /// The whole reading with all redirects. 20 s.
    pub timeout: Duration,
    /// The longest pause between two parts of an answer. 5 s.
    pub idle: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            bytes: 2 * 1024 * 1024,
            materials: 20,
            characters: 2_000,
            timeout: Duration::from_secs(20),
            idle: Duration::from_secs(5),
        }
    }
}

/// Reads sources. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Sources {
    client: Client,
    guard: Arc<Guard>,
    bounds: Bounds,
}

impl Sources {
    /// A reader within `bounds`. The origin of `own` is allowed besides public hosts when it is on this machine, which is where the
    /// sandbox and tests serve sources; nothing else on this machine is.
    ///
    /// # Errors
    ///
    /// The client itself cannot be built.
    pub fn new(bounds: Bounds, own: Option<&Url>) -> Result<Self, SourceError> {
        Self::with_lookup(bounds, own, lookup::system())
    }

    fn with_lookup(bounds: Bounds, own: Option<&Url>, lookup: Lookup) -> Result<Self, SourceError> {
        let guard = Guard::new(own);
        let client = client(&guard, lookup, bounds.timeout, bounds.idle)?;
        Ok(Self { client, guard: Arc::new(guard), bounds })
    }

    /// What the source at `address` says, newest first, each thing once.
    pub async fn read(&self, address: &str) -> Result<Vec<Material>, SourceError> {
        match self.read_if_changed(address, &Validators::default()).await? {
            Reading::Changed { materials, .. } => Ok(materials),
            Reading::Unchanged => Ok(Vec::new()),
        }
    }

    /// The same, unless the source is unchanged since the reading that gave `known`. That costs nothing but the question.
    pub async fn read_if_changed(&self, address: &str, known: &Validators) -> Result<Reading, SourceError> {
        let url = self.guard.admit(address)?;
        let reading = fetch(&self.client, &self.guard, &self.bounds, url.clone(), known);
        let received = tokio::time::timeout(self.bounds.timeout, reading)
            .await
            .map_err(|_| SourceError::away(&url, "it was not complete in time"))??;
        let Some(received) = received else { return Ok(Reading::Unchanged) };
        let validators = received.validators.clone();
        Ok(Reading::Changed { materials: self.digest(received).await?, validators })
    }

    /// The material, found on another thread: megabytes of HTML take a while.
    async fn digest(&self, received: Received) -> Result<Vec<Material>, SourceError> {
        let (url, bounds) = (received.url.clone(), self.bounds.clone());
        let digest = move || {
            let Received { url, stated, body, .. } = &received;
            Document { bytes: body, stated, url, bounds: &bounds, now: Utc::now() }.material()
        };
        let found = tokio::task::spawn_blocking(digest).await;
        // A parser that panics on a hostile document harms nothing but that document.
        let found = found.unwrap_or_else(|_| Err("cannot be parsed".to_owned()));
        found.map_err(|reason| SourceError::unreadable(&url, reason))
    }
}

/// A client that connects to public addresses only, and to the own origin of the guard.
fn client(guard: &Guard, lookup: Lookup, timeout: Duration, idle: Duration) -> Result<Client, SourceError> {
    perch_base::tls::install();
    let resolver = PublicOnly { lookup, own: guard.own_host().map(str::to_owned) };
    Client::builder()
        .user_agent(concat!("perch/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(LONGEST_CONNECT.min(timeout))
        .read_timeout(idle)
        .redirect(Policy::none())
        .dns_resolver(Arc::new(resolver))
        // A proxy would connect to addresses that nobody here has checked.
        .no_proxy()
        // The body is decompressed under its bound.
        .no_gzip()
        .build()
        .map_err(SourceError::Setup)
}

#[cfg(test)]
mod tests {
    use std::io;

    use perch_base::{Classified as _, Disposition};

    use super::*;

    async fn read_from(found: Result<&'static str, io::ErrorKind>) -> SourceError {
        let lookup: Lookup = Arc::new(move |_| {
            let ip = |ip: &str| std::net::SocketAddr::new(ip.parse().expect("an address"), 0);
            let found = found.map(|ips| ips.split(' ').map(ip).collect()).map_err(io::Error::from);
            Box::pin(async move { found })
        });
        let sources = Sources::with_lookup(Bounds::default(), None, lookup).expect("a client");
        sources.read("https://example.com/feed?key=secret").await.expect_err("nothing is there")
    }

    #[tokio::test]
    async fn a_name_that_stands_for_a_private_address_is_never_connected_to() {
        for ips in ["127.0.0.1", "1.1.1.1 10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254"] {
            let refused = read_from(Ok(ips)).await;
            assert_eq!(refused.disposition(), Disposition::Never, "{refused}");
            let private = ips.rsplit(' ').next().unwrap_or_default();
            let said = format!("source https://example.com/feed: example.com resolves to {private}, which is not");
            assert!(refused.to_string().starts_with(&said), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_resolved_is_asked_for_again() {
        let away = read_from(Err(io::ErrorKind::TimedOut)).await;
        assert_eq!(away.disposition(), Disposition::Retry);
        assert!(away.to_string().contains("its host is not found"), "{away}");
        assert!(!perch_base::chain(&away).contains("secret"), "{away}");
    }
}
