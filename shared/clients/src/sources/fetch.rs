//! The exchange with the server of a source: redirects, statuses, and a body of bounded size.

use std::error::Error as _;

use chrono::Utc;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
        LAST_MODIFIED, LOCATION,
    },
};
use reqwest::{Client, Response};
use url::Url;

use super::{
    Bounds, SourceError, Validators,
    body::{Body, BodyError},
    error::shown,
    guard::Guard,
    kind::Stated,
    lookup::NotPublic,
};
use crate::{headers::retry_after, http::root_cause};

const MOST_REDIRECTS: usize = 3;
/// The longest validator that is kept, in bytes.
const MAX_VALIDATOR: usize = 512;
const KINDS: &str = "application/rss+xml, application/atom+xml, application/feed+json, text/html;q=0.9, \
    application/xhtml+xml;q=0.9, application/xml;q=0.9, text/xml;q=0.9, text/*;q=0.8, application/json;q=0.5";

/// A source as it was received.
pub(super) struct Received {
    /// Where it was, after redirects.
    pub(super) url: Url,
    pub(super) stated: Stated,
    pub(super) body: Vec<u8>,
    pub(super) validators: Validators,
}

/// Reads `url`; `None` when it is unchanged since `known`.
pub(super) async fn fetch(
    client: &Client,
    guard: &Guard,
    bounds: &Bounds,
    url: Url,
    known: &Validators,
) -> Result<Option<Received>, SourceError> {
    let (url, response) = open(client, guard, url, &asking(known)).await?;
    if response.status() == StatusCode::NOT_MODIFIED && !known.is_empty() {
        return Ok(None);
    }
    check_status(&url, &response)?;
    receive(url, response, bounds).await.map(Some)
}

/// The answer of the server at `url`, whatever its status, and where it came from after redirects.
pub(super) async fn open(
    client: &Client,
    guard: &Guard,
    mut url: Url,
    headers: &HeaderMap,
) -> Result<(Url, Response), SourceError> {
    for _ in 0..=MOST_REDIRECTS {
        let sent = client.get(url.clone()).headers(headers.clone()).send().await;
        let response = sent.map_err(|error| unanswered(&url, error))?;
        match redirect(guard, &url, &response)? {
            Some(next) => url = next,
            None => return Ok((url, response)),
        }
    }
    Err(SourceError::forbidden(&url, format!("redirects more than {MOST_REDIRECTS} times")))
}

fn asking(known: &Validators) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(KINDS));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    for (name, value) in [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.last_modified)] {
        if let Some(value) = value.as_ref().and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    headers
}

fn redirect(guard: &Guard, url: &Url, response: &Response) -> Result<Option<Url>, SourceError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let Some(location) = location else { return Err(SourceError::forbidden(url, "redirects to no URL")) };
    guard.follow(url, &location).map(Some)
}

pub(super) fn check_status(url: &Url, response: &Response) -> Result<(), SourceError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let address = shown(url);
    if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
        let reason = format!("status {}", status.as_u16());
        let after = retry_after(response.headers(), Utc::now());
        return Err(SourceError::Away { address, reason, after, cause: None });
    }
    Err(SourceError::Refused { address, status: status.as_u16() })
}

async fn receive(url: Url, mut response: Response, bounds: &Bounds) -> Result<Received, SourceError> {
    let headers = std::mem::take(response.headers_mut());
    let stated = Stated::read(&headers)
        .map_err(|media| SourceError::unreadable(&url, format!("is of the media type {media:?}")))?;
    let too_large = || SourceError::too_large(&url, bounds.bytes);
    if text(&headers, CONTENT_LENGTH).parse::<usize>().is_ok_and(|length| length > bounds.bytes) {
        return Err(too_large());
    }
    let failed = |error: BodyError| match error {
        BodyError::TooLarge => too_large(),
        BodyError::Broken => SourceError::away(&url, "its compression is broken"),
    };
    let encoding = text(&headers, CONTENT_ENCODING);
    let unknown = || SourceError::unreadable(&url, "is compressed in another way than gzip");
    let mut body = Body::new(encoding, bounds.bytes).ok_or_else(unknown)?;
    while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(&url, error))? {
        body.take(&chunk).map_err(failed)?;
    }
    let body = body.finish().map_err(failed)?;
    Ok(Received { stated, body, validators: validators(&headers), url })
}

fn validators(headers: &HeaderMap) -> Validators {
    let kept = |name| Some(text(headers, name)).filter(|value| !value.is_empty() && value.len() <= MAX_VALIDATOR);
    Validators { etag: kept(ETAG).map(str::to_owned), last_modified: kept(LAST_MODIFIED).map(str::to_owned) }
}

pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Why there is no answer. A name that stands for a private address will do so the next time too.
pub(super) fn unanswered(url: &Url, error: reqwest::Error) -> SourceError {
    let error = error.without_url();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(inner) = inner.downcast_ref::<NotPublic>() {
            return SourceError::forbidden(url, inner.to_string());
        }
        cause = inner.source();
    }
    let reason = match (error.is_dns(), error.is_timeout()) {
        (true, _) => format!("its host is not found: {}", root_cause(&error)),
        (false, true) => "nothing came in time".to_owned(),
        (false, false) => root_cause(&error),
    };
    SourceError::Away { address: shown(url), reason, after: None, cause: Some(error) }
}
