use std::time::Duration;

use perch_base::{Classified, Disposition};
use url::Url;

use crate::http::setup_advice;

/// The longest address in an error, in characters.
const MAX_ADDRESS: usize = 200;

/// Why a source cannot be read. `address` is where it is, without the query, which may hold a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It cannot be read now, but perhaps later.
    #[error("source {address}: cannot be read now ({reason}); it can be tried again")]
    Away {
        /// Where it is.
        address: String,
        /// Why.
        reason: String,
        /// The wait that the server asks for: 1 second to a day.
        after: Option<Duration>,
        /// The error of the connection.
        #[source]
        cause: Option<reqwest::Error>,
    },
    /// The guard does not let this address through.
    #[error(
        "source {address}: {reason}; give an https address on the default port of a public host, without credentials"
    )]
    Forbidden {
        /// Where it is.
        address: String,
        /// Why.
        reason: String,
    },
    /// It redirects to another host.
    #[error(
        "source {address}: {from} redirects to {to}, another host; if the source has moved there, give that address"
    )]
    Moved {
        /// Where it is.
        address: String,
        /// The host that redirects.
        from: String,
        /// The host it redirects to.
        to: String,
    },
    /// The server refuses to give it.
    #[error("source {address}: is answered with status {status}; correct the address or remove the source")]
    Refused {
        /// Where it is.
        address: String,
        /// The status of the answer.
        status: u16,
    },
    /// It is larger than the bound, as it travels or decompressed.
    #[error("source {address}: is larger than {most_bytes} bytes; give a smaller feed, page or text")]
    TooLarge {
        /// Where it is.
        address: String,
        /// The bound.
        most_bytes: usize,
    },
    /// It is no feed, page or text.
    #[error("source {address}: {reason}; give the address of a feed, a page or a text")]
    Unreadable {
        /// Where it is.
        address: String,
        /// Why.
        reason: String,
    },
    /// The client itself cannot be built.
    #[error("cannot set up the client for sources: {}", setup_advice(.0))]
    Setup(#[source] reqwest::Error),
}

impl Classified for SourceError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Away { after: Some(wait), .. } => Disposition::RetryAfter(*wait),
            Self::Away { after: None, .. } => Disposition::Retry,
            _ => Disposition::Never,
        }
    }
}

impl SourceError {
    pub(super) fn away(url: &Url, reason: impl Into<String>) -> Self {
        Self::Away { address: shown(url), reason: reason.into(), after: None, cause: None }
    }

    pub(super) fn forbidden(url: &Url, reason: impl Into<String>) -> Self {
        Self::Forbidden { address: shown(url), reason: reason.into() }
    }

    pub(super) fn too_large(url: &Url, most_bytes: usize) -> Self {
        Self::TooLarge { address: shown(url), most_bytes }
    }

    pub(super) fn unreadable(url: &Url, reason: impl Into<String>) -> Self {
        Self::Unreadable { address: shown(url), reason: reason.into() }
    }
}

/// The address as it may be shown: without query, fragment and credentials.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // An address that cannot have credentials has none to remove.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.as_str().chars().take(MAX_ADDRESS).collect()
}

/// The same of a text that is no address.
pub(super) fn shown_text(address: &str) -> String {
    let end = address.find(['?', '#']).unwrap_or(address.len());
    let public = address[..end].rsplit('@').next().unwrap_or_default();
    public.chars().filter(|c| !c.is_control()).take(MAX_ADDRESS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_may_be_secret() {
        let url = Url::parse("https://me:hidden@example.com/feed?key=hidden#hidden").expect("a URL");
        assert_eq!(shown(&url), "https://example.com/feed");
        assert_eq!(shown_text("https://me:hidden@[/feed?key=hidden"), "[/feed");
        assert_eq!(shown_text(&"a".repeat(1_000)).len(), MAX_ADDRESS);
    }

    #[test]
    fn only_a_source_that_is_away_is_read_again() {
        let url = Url::parse("https://example.com/feed").expect("a URL");
        assert_eq!(SourceError::away(&url, "status 503").disposition(), Disposition::Retry);
        let after = Some(Duration::from_secs(7));
        let asked = SourceError::Away { address: shown(&url), reason: "status 429".to_owned(), after, cause: None };
        assert_eq!(asked.disposition(), Disposition::RetryAfter(Duration::from_secs(7)));
        assert_eq!(SourceError::forbidden(&url, "is secret").disposition(), Disposition::Never);
        assert_eq!(SourceError::unreadable(&url, "is a picture").disposition(), Disposition::Never);
    }
}
