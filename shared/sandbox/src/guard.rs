//! The middleware of every counted endpoint: faults, authentication, rate limits, counting.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::{
    Endpoint, Fault, FaultKind,
    account::Account,
    app::App,
    chat,
    limits::Allowance,
    oauth::{self, SignedRequest},
    problem::Problem,
    view,
    wire::Cutter,
};

/// The caller of an endpoint.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// The application, by bearer token.
    App,
    /// An account, by a signed request.
    User(Account),
}

/// The longest time for which a request is held.
const LONGEST_HOLD: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct EndpointGuard {
    app: App,
    endpoint: Endpoint,
}

/// Puts the guard before the handler of an endpoint.
pub(crate) fn guarded(app: &App, endpoint: Endpoint, handler: MethodRouter<App>) -> MethodRouter<App> {
    handler.layer(from_fn_with_state(EndpointGuard { app: app.clone(), endpoint }, guard))
}

async fn guard(
    State(gate): State<EndpointGuard>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    request: Request,
    next: Next,
) -> Response {
    let (state, endpoint) = (&gate.app.state, gate.endpoint);
    let fault = state.lock().faults.strike(endpoint);
    let dropped = |cutter: &Cutter| {
        state.record(endpoint, "dropped");
        cutter.cut();
        StatusCode::OK.into_response()
    };
    let delay = |usual: Duration| {
        fault.as_ref().and_then(|f| f.delay_ms).map_or(usual, Duration::from_millis).min(LONGEST_HOLD)
    };
    let response = match fault.as_ref().map(|f| f.kind) {
        Some(FaultKind::DropBefore) => return dropped(&cutter),
        Some(FaultKind::DropAfter) => {
            gate.answer(request, next).await;
            return dropped(&cutter);
        }
        Some(FaultKind::Timeout) => {
            // Counted before the wait: the client is likely to be gone after it.
            state.record(endpoint, "held");
            gate.wait(delay(LONGEST_HOLD)).await;
            return gate.problem(Problem::gateway_timeout());
        }
        Some(FaultKind::RateLimited) => gate.limited(fault.as_ref()),
        Some(FaultKind::Unavailable) => gate.problem(Problem::unavailable()),
        Some(FaultKind::Slow) => {
            gate.wait(delay(Duration::from_secs(1))).await;
            gate.answer(request, next).await
        }
        Some(FaultKind::ContentFilter) => chat::filtered(),
        Some(FaultKind::NoCredit) => chat::no_credit(),
        Some(FaultKind::ErrorInside) => chat::error_inside(),
        Some(FaultKind::ThinksAloud) => altered(gate.answer(request, next).await, chat::think_aloud).await,
        Some(FaultKind::OddUsage) => altered(gate.answer(request, next).await, chat::make_odd).await,
        Some(FaultKind::OddPost) => altered(gate.answer(request, next).await, view::make_odd).await,
        Some(FaultKind::PastReset) => gate.past_reset(),
        Some(FaultKind::DayLimit) => gate.day_limit(),
        Some(FaultKind::Malformed) => gate.malformed(&gate.answer(request, next).await),
        None => gate.answer(request, next).await,
    };
    state.record(endpoint, response.status().as_str());
    response
}

impl EndpointGuard {
    async fn wait(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.app.stopping.cancelled() => {}
        }
    }

    /// The answer without any fault.
    async fn answer(&self, mut request: Request, next: Next) -> Response {
        if self.endpoint == Endpoint::Chat {
            return match chat::key(request.headers()) {
                Some(_) => next.run(request).await,
                None => chat::error(StatusCode::UNAUTHORIZED, "invalid_api_key", "Incorrect API key provided."),
            };
        }
        let caller = match self.caller(&request) {
            Ok(caller) => caller,
            Err(problem) => return problem.into_response(),
        };
        let user = match &caller {
            Caller::App => None,
            Caller::User(account) => Some(account.username.as_str()),
        };
        let allowance = self.app.state.lock().windows.take(self.endpoint, user, Utc::now());
        let mut response = if allowance.is_none_or(|a| a.granted) {
            request.extensions_mut().insert(caller);
            next.run(request).await
        } else {
            Problem::rate_limited().into_response()
        };
        if let Some(allowance) = allowance {
            announce(response.headers_mut(), &allowance);
        }
        response
    }

    fn caller(&self, request: &Request) -> Result<Caller, Problem> {
        let header = request.headers().get(header::AUTHORIZATION).and_then(|h| h.to_str().ok()).unwrap_or_default();
        let user_only = self.endpoint.needs_user();
        if let Some(token) = header.strip_prefix("Bearer ").map(str::trim) {
            return match token {
                "" | "bad" => Err(Problem::unauthorized("Invalid or expired bearer token.")),
                _ if user_only => Err(Problem::unsupported_authentication()),
                _ => Ok(Caller::App),
            };
        }
        if !header.starts_with("OAuth ") {
            return Err(Problem::unauthorized("The request is not authenticated."));
        }
        let signed = SignedRequest {
            method: request.method().as_str(),
            host: request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default(),
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
            header,
        };
        let token = oauth::verify(&signed, Utc::now()).map_err(Problem::unauthorized)?;
        let inner = self.app.state.lock();
        oauth::username(&token)
            .filter(|name| inner.is_bot(name))
            .and_then(|name| inner.world.find(name))
            .map(|account| Caller::User(account.clone()))
            .ok_or_else(|| Problem::unauthorized("Invalid or expired token."))
    }

    fn problem(&self, problem: Problem) -> Response {
        if self.endpoint != Endpoint::Chat {
            return problem.into_response();
        }
        let status = problem.into_response().status();
        chat::error(status, "server_error", "The server is overloaded or not ready yet.")
    }

    fn limited(&self, fault: Option<&Fault>) -> Response {
        let delay_ms = fault.and_then(|f| f.delay_ms).unwrap_or(2_000);
        let seconds = delay_ms.div_ceil(1_000).max(1);
        if self.endpoint == Endpoint::Chat {
            let message = "Rate limit reached for requests.";
            let mut response = chat::error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            return response;
        }
        let reset = Utc::now() + TimeDelta::seconds(i64::try_from(seconds).unwrap_or(900));
        let mut response = Problem::rate_limited().into_response();
        let limit = self.usual_limit();
        announce(response.headers_mut(), &Allowance { limit, remaining: 0, reset, granted: false });
        response
    }

    /// A 429 whose window has been reset already.
    fn past_reset(&self) -> Response {
        let reset = Utc::now() - TimeDelta::seconds(30);
        let limit = self.usual_limit();
        let mut response = Problem::rate_limited().into_response();
        let allowance = Allowance { limit, remaining: limit.saturating_sub(3), reset, granted: false };
        announce(response.headers_mut(), &allowance);
        response
    }

    /// A 429 for the rest of the day, though the window has calls left.
    fn day_limit(&self) -> Response {
        let mut response = self.past_reset();
        let reset = Utc::now() + TimeDelta::hours(20);
        let day = [
            ("x-user-limit-24hour-limit", 17),
            ("x-user-limit-24hour-remaining", 0),
            ("x-user-limit-24hour-reset", reset.timestamp()),
        ];
        for (name, value) in day {
            response.headers_mut().insert(name, HeaderValue::from(value));
        }
        response
    }

    fn usual_limit(&self) -> u32 {
        let (app, user) = self.endpoint.limits();
        user.or(app).unwrap_or(0)
    }

    fn malformed(&self, response: &Response) -> Response {
        if self.endpoint == Endpoint::Chat {
            return chat::malformed(&self.app.state);
        }
        let mut broken = Response::new(Body::from(r#"{"data":{"id":"19"#));
        *broken.status_mut() = response.status();
        *broken.headers_mut() = response.headers().clone();
        broken.headers_mut().remove(header::CONTENT_LENGTH);
        broken
    }
}

/// Changes a JSON response; any other is left as it is.
async fn altered(response: Response, change: fn(&mut Value)) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else { return StatusCode::BAD_GATEWAY.into_response() };
    let Ok(mut answer) = serde_json::from_slice::<Value>(&bytes) else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    if parts.status.is_success() {
        change(&mut answer);
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(answer.to_string()))
}

fn announce(headers: &mut HeaderMap, allowance: &Allowance) {
    let seconds = |time: DateTime<Utc>| time.timestamp() + i64::from(time.timestamp_subsec_nanos() > 0);
    headers.insert("x-rate-limit-limit", HeaderValue::from(allowance.limit));
    headers.insert("x-rate-limit-remaining", HeaderValue::from(allowance.remaining));
    headers.insert("x-rate-limit-reset", HeaderValue::from(seconds(allowance.reset)));
}
