//! X API v2: reads with the application's bearer token; writes, and reads of an account's own posts and mentions, with OAuth 1.0a.

mod analytics;
mod call;
mod clock;
mod convert;
mod error;
mod find;
mod lenient;
mod media;
mod media_file;
mod metrics;
mod problem;
mod read;
mod types;
mod write;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use http::HeaderValue;
use perch_base::{Settings, settings::KeyPair};
use perch_jobs::AccountId;
use secrecy::SecretString;
use url::Url;

pub use analytics::{AnalyticsBucket, AnalyticsCounts, AnalyticsQuery, Granularity, PostAnalytics};
pub use convert::{same_text, unescape};
pub use error::XError;
pub use find::Search;
pub use lenient::UnreadableItem;
pub use media::{LONGEST_ALT_TEXT, MediaId};
pub use media_file::{MOST_MEDIA, MediaFile, MediaFileError, MediaKind, check_together};
pub use metrics::{PrivateMetrics, PublicMetrics, UserMetrics};
pub use problem::{Absence, Problem};
pub use types::{
    Attachments, CreatePost, CreatedPost, Entities, Includes, MentionEntity, NotePost, Page, Partial, PostsQuery,
    ReferenceKind, ReferencedPost, Reposted, UrlEntity, XMedia, XPost, XUser,
};

use self::clock::XClock;
use crate::{Meter, RateLimits, Spender, Unmetered, http as wire};

/// The configuration of a client of X. Printing it shows no secret.
#[derive(Debug, Clone)]
pub struct XConfig {
    /// Base URL, without `/2`.
    pub base_url: Url,
    /// How long one request may take, connecting and reading the answer included.
    pub timeout: Duration,
    /// The bearer token of the application, for reading posts of others.
    pub bearer: Option<SecretString>,
    /// Key and secret of the application, for signing.
    pub consumer: Option<(SecretString, SecretString)>,
    /// Access token and its secret of each account that writes, and reads its own posts and mentions.
    pub accounts: BTreeMap<AccountId, (SecretString, SecretString)>,
}

impl XConfig {
    fn secrets(&self) -> Vec<SecretString> {
        let pairs = self.consumer.iter().chain(self.accounts.values());
        self.bearer.iter().cloned().chain(pairs.flat_map(|(a, b)| [a.clone(), b.clone()])).collect()
    }
}

/// A client of X API v2. It keeps connections open and is meant to be shared, in an [`Arc`].
///
/// Every call checks the shared rate limits first and sends nothing when the window is known to be used up.
/// Calls that write need the permit of their effect.
///
/// A clone shares the connections; it may be [charged to](XClient::charged_to) another spender.
#[derive(Clone)]
pub struct XClient {
    config: Arc<XConfig>,
    bearer: Option<HeaderValue>,
    transport: Arc<wire::Transport>,
    clock: XClock,
    meter: Arc<dyn Meter>,
    spender: Spender,
}

impl XClient {
    /// A client as configured. Credentials may be missing: the calls that need them say which.
    pub fn new(config: XConfig, limits: Arc<dyn RateLimits>) -> Result<Self, XError> {
        if !wire::is_http(&config.base_url) {
            return Err(XError::Setup { reason: "x.base_url must start with http:// or https://".into() });
        }
        let transport = wire::Transport::new("x", &config.base_url, config.timeout, limits, config.secrets())
            .map_err(|error| XError::Setup { reason: wire::setup_advice(&error) })?;
        let bearer = config.bearer.as_ref().and_then(wire::bearer);
        Ok(Self {
            config: Arc::new(config),
            bearer,
            transport: Arc::new(transport),
            clock: XClock::default(),
            meter: Arc::new(Unmetered),
            spender: Spender::default(),
        })
    }

    /// Sets the meter that records what calls cost.
    #[must_use]
    pub fn metered(self, meter: Arc<dyn Meter>) -> Self {
        Self { meter, ..self }
    }

    /// Sets the spender that calls are charged to.
    #[must_use]
    pub fn charged_to(&self, spender: Spender) -> Self {
        Self { spender, ..self.clone() }
    }

    /// A client for the `[x]` settings and the credentials in the environment.
    pub fn from_settings(settings: &Settings, limits: Arc<dyn RateLimits>) -> Result<Self, XError> {
        let pair = |pair: &KeyPair| (pair.key.clone(), pair.secret.clone());
        let config = XConfig {
            base_url: settings.x.base_url.clone(),
            timeout: settings.x.timeout,
            bearer: settings.secrets.x_bearer_token.clone(),
            consumer: settings.secrets.x_consumer.as_ref().map(pair),
            accounts: settings.secrets.x_accounts.iter().map(|(id, keys)| (id.clone(), pair(keys))).collect(),
        };
        Self::new(config, limits)
    }
}

impl fmt::Debug for XClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XClient").field("config", &self.config).finish_non_exhaustive()
    }
}
