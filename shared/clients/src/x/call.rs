//! One call: its caller, its signature, and the meaning of its answer.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderValue, Method, header};
use perch_jobs::{AccountId, PostId};
use reqwest::Request;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::{
    Absence, Problem, UnreadableItem, XClient, XError,
    clock::off_by,
    error::{RefusalContext, refusal},
    lenient::tidy,
    types::Envelope,
};
use crate::{
    Charge, EffectPermit, OverBudget, Reservation,
    guarded_body::{WithheldFlag, guarded},
    headers::{clamped, retry_after, strictest, x_wait, x_windows},
    http::{HttpAnswer, MAX_BODY, SendError, endpoint, root_cause},
    meter::OpenReservation,
    oauth1::{self, Signer},
};

/// Who makes a call.
#[derive(Clone, Copy)]
pub(super) enum Caller<'a> {
    /// The application, with its bearer token.
    App,
    /// An account, with OAuth 1.0a.
    Account(&'a AccountId),
}

/// The body of a call that changes something, and its permit. The body may be empty.
pub(super) struct WriteRequest {
    body: Bytes,
    permit: Arc<dyn EffectPermit>,
}

/// A call to be made.
pub(super) struct Call<'a> {
    /// The name of the endpoint in limits and metrics.
    pub(super) endpoint: &'static str,
    pub(super) method: Method,
    pub(super) path: &'a [&'a str],
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) write: Option<WriteRequest>,
    pub(super) caller: Caller<'a>,
    /// Whether it is a reply, for which X has a rule of its own.
    pub(super) reply: bool,
    /// What X charges for it, and for how many units at most.
    pub(super) charge: Option<(Charge, u32)>,
}

/// How many paid units an answer contains, readable or not.
fn units_in(answer: &Value) -> u32 {
    match &answer["data"] {
        Value::Array(items) => u32::try_from(items.len()).unwrap_or(u32::MAX),
        Value::Null => 0,
        _ => 1,
    }
}

impl<'a> Call<'a> {
    pub(super) fn get(endpoint: &'static str, path: &'a [&'a str], caller: Caller<'a>) -> Self {
        Self { endpoint, method: Method::GET, path, query: Vec::new(), write: None, caller, reply: false, charge: None }
    }

    /// A call that changes something, which needs a permit.
    pub(super) fn post(
        endpoint: &'static str,
        path: &'a [&'a str],
        account: &'a AccountId,
        body: &Value,
        permit: Arc<dyn EffectPermit>,
    ) -> Self {
        let write = Some(WriteRequest { body: body.to_string().into(), permit });
        Self { write, ..Self::get(endpoint, path, Caller::Account(account)) }.by(Method::POST)
    }

    /// A call that changes something and has no body. Its permit is checked before connecting, and not again when it is sent.
    pub(super) fn bare(
        endpoint: &'static str,
        method: Method,
        path: &'a [&'a str],
        account: &'a AccountId,
        permit: Arc<dyn EffectPermit>,
    ) -> Self {
        let write = Some(WriteRequest { body: Bytes::new(), permit });
        Self { write, ..Self::get(endpoint, path, Caller::Account(account)) }.by(method)
    }

    fn by(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// Whether its permit, if it needs one, still holds.
    fn is_permitted(&self) -> bool {
        self.write.as_ref().is_none_or(|write| write.permit.holds())
    }

    /// A short name of the request for errors.
    pub(super) fn name(&self) -> String {
        let path = self.path.join("/");
        match self.caller {
            Caller::App => format!("{} /{path}", self.method),
            Caller::Account(account) => format!("{} /{path} as {account}", self.method),
        }
    }

    pub(super) fn invalid(&self, reason: impl Into<String>) -> XError {
        XError::Invalid { call: self.name(), reason: reason.into() }
    }

    fn limit_key(&self) -> String {
        match self.caller {
            Caller::App => format!("x:{}:app", self.endpoint),
            Caller::Account(account) => format!("x:{}:{account}", self.endpoint),
        }
    }

    /// The variables that hold the caller's credentials.
    fn variables(&self) -> String {
        match self.caller {
            Caller::App => "X_API_BEARER_TOKEN".to_owned(),
            Caller::Account(account) => {
                let name = account.as_str().to_uppercase();
                format!("X_API_KEY, X_API_SECRET, X_{name}_ACCESS_TOKEN, X_{name}_ACCESS_SECRET")
            }
        }
    }

    fn asked(&self) -> RefusalContext {
        let clock = if matches!(self.caller, Caller::Account(_)) { " and the clock of this machine" } else { "" };
        RefusalContext { call: self.name(), reply: self.reply, check: format!("{}{clock}", self.variables()) }
    }

    /// The single item of an answer.
    pub(super) fn single<T>(&self, envelope: Envelope<T>, status: u16) -> Result<T, XError> {
        match envelope.data {
            Some(data) => Ok(data),
            None => Err(self.refused_whole(envelope.errors.items, status)),
        }
    }

    /// The error for an answer with status 2xx that contains only errors.
    pub(super) fn refused_whole(&self, errors: Vec<Problem>, status: u16) -> XError {
        let call = self.name();
        let Some(problem) = errors.into_iter().next().map(Box::new) else {
            return XError::Decode { call, reason: "neither data nor errors".into() };
        };
        match problem.absence() {
            Absence::Gone if self.method == Method::GET => XError::NotFound { call, problem },
            Absence::Hidden if self.method == Method::GET => XError::Hidden { call, problem },
            _ => XError::Problem { call, status, problem },
        }
    }
}

impl XClient {
    /// Makes a call and reads its answer; the number is the status.
    pub(super) async fn call<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<(Envelope<T>, u16), XError> {
        let request = self.request(call)?;
        let key = call.limit_key();
        if let Some(wait) = self.transport.held_back(&key, call.endpoint).await {
            return Err(XError::RateLimited { call: call.name(), after: clamped(wait) });
        }
        let most = call.charge.map_or(0, |(_, most)| most);
        // A write with an unknown outcome may have been done and charged.
        let lost = if call.write.is_some() { most } else { 0 };
        let reservation = OpenReservation::new(&*self.meter, &self.spender, self.reserve(call).await?, lost);
        let (answered, units) = match self.send(call, &key, request).await {
            Ok(answer) => match json(call, &answer) {
                Ok(body) => {
                    let units = units_in(&body);
                    (self.decoded(call, body, answer.status.as_u16()), units)
                }
                // X charges for an answer even if it cannot be read.
                Err(error) => (Err(error), most),
            },
            Err(error) if error.outcome_known() => (Err(error), 0),
            Err(error @ XError::Oversized { .. }) => (Err(error), most),
            Err(error) => (Err(error), lost),
        };
        reservation.settle(units).await;
        answered
    }

    async fn reserve(&self, call: &Call<'_>) -> Result<Option<Reservation>, XError> {
        let Some((charge, most)) = call.charge else { return Ok(None) };
        let over = |OverBudget { what, after }| XError::OverBudget { call: call.name(), what, after };
        self.meter.reserve(charge, most).await.map(Some).map_err(over)
    }

    /// Sends a call and returns an answer with status 2xx.
    async fn send(&self, call: &Call<'_>, key: &str, request: Outgoing) -> Result<HttpAnswer, XError> {
        let Outgoing { request, withheld, signed } = request;
        // Checked before connecting; the body checks again when it is sent.
        if !call.is_permitted() {
            return Err(XError::PermitLost { call: call.name() });
        }
        let sent = Instant::now();
        let answer = self.transport.send(call.endpoint, request).await.map_err(|error| {
            if withheld.is_set() { XError::PermitLost { call: call.name() } } else { unsent(call, error) }
        })?;
        self.clock.learn(&answer.headers);
        if let Some(window) = strictest(&x_windows(&answer.headers, Utc::now())) {
            self.transport.record(key, window).await;
        }
        if answer.status.is_success() {
            self.transport.served(key);
            Ok(answer)
        } else {
            Err(self.refused(call, key, (sent, signed), &answer).await)
        }
    }

    fn request(&self, call: &Call<'_>) -> Result<Outgoing, XError> {
        let mut url = endpoint(&self.config.base_url, call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let signed = self.clock.now();
        let authorization = self
            .authorization(call, &url, signed)
            .ok_or_else(|| XError::NotConfigured { call: call.name(), variable: call.variables() })?;
        let mut request = Request::new(call.method.clone(), url);
        request.headers_mut().insert(header::AUTHORIZATION, authorization);
        let mut withheld = WithheldFlag::default();
        if let Some(WriteRequest { body, permit }) = &call.write {
            if !body.is_empty() {
                request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            let (body, word) = guarded(body.clone(), permit.clone());
            *request.body_mut() = Some(body);
            withheld = word;
        }
        Ok(Outgoing { request, withheld, signed })
    }

    fn authorization(&self, call: &Call<'_>, url: &Url, at: DateTime<Utc>) -> Option<HeaderValue> {
        let Caller::Account(account) = call.caller else { return self.bearer.clone() };
        let (consumer_key, consumer_secret) = self.config.consumer.as_ref()?;
        let (token, token_secret) = self.config.accounts.get(account)?;
        let signer = Signer { consumer_key, consumer_secret, token, token_secret };
        signer.authorization(&call.method, url, &oauth1::nonce(), at).ok()
    }

    fn decoded<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        body: Value,
        status: u16,
    ) -> Result<(Envelope<T>, u16), XError> {
        let mut envelope: Envelope<T> = perch_jobs::strict::from_value(body).map_err(|error| XError::Decode {
            call: call.name(),
            reason: self.transport.presentable(&error.to_string()),
        })?;
        let errors = std::mem::take(&mut envelope.errors.items);
        envelope.errors.items = errors.into_iter().map(|problem| self.presentable(problem)).collect();
        self.report_unreadable(call, &envelope.includes.odd);
        self.report_unreadable(call, &envelope.errors.odd);
        Ok((envelope, status))
    }

    /// Counts and logs the items of an answer that cannot be read; the rest of it is used.
    pub(super) fn report_unreadable(&self, call: &Call<'_>, odd: &[UnreadableItem]) {
        for UnreadableItem { id, reason } in odd {
            let (call, reason) = (call.name(), self.transport.presentable(reason));
            tracing::warn!(
                call,
                id = id.as_ref().map(PostId::as_str),
                reason,
                "an item of a list cannot be read and is set aside"
            );
        }
        if !odd.is_empty() {
            metrics::counter!("perch_client_odd_items_total", "service" => "x", "endpoint" => call.endpoint)
                .increment(odd.len() as u64);
        }
    }

    async fn refused(
        &self,
        call: &Call<'_>,
        key: &str,
        (sent, signed): (Instant, DateTime<Utc>),
        answer: &HttpAnswer,
    ) -> XError {
        let status = answer.status.as_u16();
        let problem = self.presentable(Problem::parse(&answer.body));
        let now = Utc::now();
        if let (401, Caller::Account(_), Some(off)) = (status, call.caller, off_by(signed, &answer.headers)) {
            self.transport.served(key);
            return XError::ClockOff { call: call.name(), off };
        }
        let error = refusal(call.asked(), status, problem, retry_after(&answer.headers, now));
        let XError::RateLimited { call, .. } = error else {
            self.transport.served(key);
            return error;
        };
        let limit = strictest(&x_windows(&answer.headers, now)).map_or(0, |window| window.limit);
        let after = self.transport.refused(key, limit, sent, x_wait(&answer.headers, now)).await;
        XError::RateLimited { call, after }
    }

    fn presentable(&self, problem: Problem) -> Problem {
        problem.presented(|text| self.transport.presentable(text))
    }
}

/// A request that is ready to be sent.
struct Outgoing {
    request: Request,
    withheld: WithheldFlag,
    /// The time stated in its signature.
    signed: DateTime<Utc>,
}

/// The body of an answer in normalized form.
fn json(call: &Call<'_>, answer: &HttpAnswer) -> Result<Value, XError> {
    let body = serde_json::from_slice(&answer.body);
    body.map(tidy).map_err(|error| XError::Decode { call: call.name(), reason: error.to_string() })
}

fn unsent(call: &Call<'_>, error: SendError) -> XError {
    let call = call.name();
    match error {
        SendError::Connect(source) => XError::Connect { call, reason: root_cause(&source), source },
        SendError::Timeout { sent } => XError::Timeout { call, sent },
        SendError::Interrupted(source) => XError::Interrupted { call, reason: root_cause(&source), source },
        SendError::Oversized => XError::Oversized { call, limit: MAX_BODY },
    }
}
