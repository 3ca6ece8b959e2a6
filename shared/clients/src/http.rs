//! The HTTP transport of all clients: a connection pool, bounded bodies, rate limits, metrics, and redaction of secrets.

use std::{
    error::Error as _,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::{Client, Request, Response, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{RateLimits, headers::LimitWindow, oauth1, refusals::Refusals};

/// The largest answer that is read, in bytes.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;
/// The longest message from outside in an error, in characters.
const MAX_DETAIL: usize = 500;
/// Shorter values are not redacted, because that would garble ordinary words.
const SHORTEST_SECRET: usize = 8;
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// The transport to one service.
pub(crate) struct Transport {
    client: Client,
    service: String,
    limits: Arc<dyn RateLimits>,
    refusals: Refusals,
    secrets: Vec<SecretString>,
}

/// A complete answer.
pub(crate) struct HttpAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The service was never reached.
    Connect(reqwest::Error),
    /// It did not answer in time; `sent` says whether it may have read the request.
    Timeout { sent: bool },
    /// The connection was lost after the request went out.
    Interrupted(reqwest::Error),
    /// The answer is larger than [`MAX_BODY`].
    Oversized,
}

impl SendError {
    /// The value of the `status` label of a call without an answer.
    fn label(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Timeout { .. } => "timeout",
            Self::Interrupted(_) => "interrupted",
            Self::Oversized => "oversized",
        }
    }
}

impl Transport {
    /// A transport to the service at `base`. `secrets` are redacted from everything it answers, also in percent-encoded form.
    pub(crate) fn new(
        service: &str,
        base: &Url,
        timeout: Duration,
        limits: Arc<dyn RateLimits>,
        secrets: Vec<SecretString>,
    ) -> Result<Self, reqwest::Error> {
        perch_base::tls::install();
        let mut builder = Client::builder()
            .user_agent(concat!("perch/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            // Shorter than the whole timeout, so that a timeout while connecting is recognized as such.
            .connect_timeout(LONGEST_CONNECT.min(timeout / 2))
            // A redirected write may run twice, and a signature is valid for one address only.
            .redirect(Policy::none());
        if is_loopback(base) {
            builder = builder.no_proxy();
        }
        if base.scheme() == "http" {
            // Plain HTTP needs no certificates, and the machine may have none.
            builder = builder.tls_certs_only([]);
        }
        let both =
            |secret: SecretString| [SecretString::from(oauth1::encoded(secret.expose_secret()).to_string()), secret];
        let secrets = secrets.into_iter().flat_map(both).collect();
        Ok(Self {
            client: builder.build()?,
            service: service.to_owned(),
            limits,
            refusals: Refusals::default(),
            secrets,
        })
    }

    /// How long to wait before a call with the limit key `key`, if its window is known to be used up.
    pub(crate) async fn held_back(&self, key: &str, endpoint: &'static str) -> Option<Duration> {
        let wait = self.limits.check(key).await?;
        metrics::counter!("perch_client_held_back_total", "service" => self.service.clone(), "endpoint" => endpoint)
            .increment(1);
        Some(wait)
    }

    /// Records the window of `key` as stated by an answer.
    pub(crate) async fn record(&self, key: &str, window: LimitWindow) {
        self.limits.record(key, window.limit, window.remaining, window.reset).await;
    }

    /// Records that a call with the limit key `key`, made at `sent`, was refused by the rate limit. Returns how long no other is made: as
    /// long as the refusal asks for, and longer after several refusals in a row.
    pub(crate) async fn refused(&self, key: &str, limit: u32, sent: Instant, asked: Option<Duration>) -> Duration {
        let wait = self.refusals.refused(key, sent, Instant::now(), asked);
        self.limits.record(key, limit, 0, Utc::now() + wait).await;
        wait
    }

    /// Records that a call with the limit key `key` was not refused by the rate limit.
    pub(crate) fn served(&self, key: &str) {
        self.refusals.served(key);
    }

    /// Sends a request and reads the complete answer. The metrics of the call have the label `endpoint`.
    pub(crate) async fn send(&self, endpoint: &'static str, request: Request) -> Result<HttpAnswer, SendError> {
        let started = Instant::now();
        let result = self.exchange(request).await;
        let elapsed = started.elapsed();
        let status = match &result {
            Ok(answer) => answer.status.as_str().to_owned(),
            Err(error) => error.label().to_owned(),
        };
        tracing::debug!(service = %self.service, endpoint, %status, ?elapsed, "called");
        let service = || self.service.clone();
        metrics::counter!(
            "perch_client_requests_total", "service" => service(), "endpoint" => endpoint, "status" => status
        )
        .increment(1);
        metrics::histogram!("perch_client_request_seconds", "service" => service(), "endpoint" => endpoint)
            .record(elapsed.as_secs_f64());
        result
    }

    async fn exchange(&self, request: Request) -> Result<HttpAnswer, SendError> {
        let mut response = self.client.execute(request).await.map_err(send_error)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        match read_body(response, &headers).await {
            Ok(body) => Ok(HttpAnswer { status, headers, body: self.without_secrets(body) }),
            // The status decides what a refusal means; its body only explains it.
            Err(_) if !status.is_success() => Ok(HttpAnswer { status, headers, body: Vec::new() }),
            Err(error) => Err(error),
        }
    }

    /// The body without secrets, because parts of it are stored with jobs, a model's answer for example.
    fn without_secrets(&self, body: Vec<u8>) -> Vec<u8> {
        match std::str::from_utf8(&body) {
            Ok(text) if self.secrets().any(|secret| text.contains(secret)) => self.cut(text).into_bytes(),
            _ => body,
        }
    }

    fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(ExposeSecret::expose_secret).filter(|secret| secret.len() >= SHORTEST_SECRET)
    }

    fn cut(&self, text: &str) -> String {
        self.secrets().fold(text.to_owned(), |text, secret| text.replace(secret, "[secret]"))
    }

    /// A message from outside, as it may appear in an error: shortened, and without secrets, which may have been escaped in the body.
    pub(crate) fn presentable(&self, text: &str) -> String {
        let text = self.cut(text);
        match text.char_indices().nth(MAX_DETAIL) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

/// `Bearer <token>`, marked as sensitive. `None` when the token is not valid in a header.
pub(crate) fn bearer(token: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The address of `path` under `base`, each segment encoded.
pub(crate) fn endpoint(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

/// True for an address that requests can be sent to.
pub(crate) fn is_http(base: &Url) -> bool {
    matches!(base.scheme(), "http" | "https") && base.host().is_some()
}

/// The innermost reason of an error, for example `Connection refused (os error 111)`.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = None;
    while let Some(error) = cause {
        text = Some(error.to_string());
        cause = error.source();
    }
    text.unwrap_or_else(|| error.to_string())
}

pub(crate) fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn send_error(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => SendError::Timeout { sent: false },
        (true, false) => SendError::Connect(error),
        (false, true) => SendError::Timeout { sent: true },
        (false, false) => SendError::Interrupted(error),
    }
}

async fn read_body(mut response: Response, headers: &HeaderMap) -> Result<Vec<u8>, SendError> {
    let announced = headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    if announced > MAX_BODY {
        return Err(SendError::Oversized);
    }
    let mut body = Vec::with_capacity(announced);
    while let Some(chunk) = response.chunk().await.map_err(send_error)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(SendError::Oversized);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why a client cannot be built, and what to do.
pub(crate) fn setup_advice(error: &reqwest::Error) -> String {
    format!("{}; install the system's CA certificates (package ca-certificates)", root_cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocalLimits;

    fn transport(secret: &str) -> Transport {
        let base = Url::parse("http://127.0.0.1:1").expect("a URL");
        let secrets = vec![SecretString::from(secret.to_owned())];
        Transport::new("x", &base, Duration::from_secs(1), Arc::new(LocalLimits::new()), secrets).expect("a client")
    }

    #[test]
    fn secrets_are_cut_out_of_messages_and_long_messages_are_cut_off() {
        let shown = transport("hunter2hunter2").presentable(&format!("no hunter2hunter2 {}", "é".repeat(600)));
        assert!(shown.starts_with("no [secret] é"), "{shown}");
        assert_eq!(shown.chars().count(), MAX_DETAIL + 1);
        let shown = transport("hunter2\nhunter2/").presentable("key=hunter2%0Ahunter2%2F, or hunter2\nhunter2/");
        assert_eq!(shown, "key=[secret], or [secret]");
    }

    #[test]
    fn a_word_too_short_for_a_secret_does_not_garble_messages() {
        assert_eq!(transport("e").presentable("the request"), "the request");
    }

    #[test]
    fn an_endpoint_stands_under_the_path_of_its_base_and_is_encoded() {
        for base in ["https://example.com/x", "https://example.com/x/?a=b#c"] {
            let base = Url::parse(base).expect("a URL");
            assert_eq!(endpoint(&base, &["2", "a/b"]).as_str(), "https://example.com/x/2/a%2Fb");
        }
    }
}
