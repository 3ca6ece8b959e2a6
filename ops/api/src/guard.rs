//! Checks keys and scopes. One call guards a group of routes and documents their scopes, so a route cannot
//! need another scope than the documented one.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::{self, Next},
    response::Response,
};
use perch_base::settings::HttpSettings;
pub(super) use perch_bot::http::Caller;
use perch_bot::http::{ApiResult, Cause, Problem, postgres_is_away};
use perch_store::{ApiKey, Scope, Store};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::{
    Content, Ref, RefOr, ResponseBuilder, Schema, Type,
    path::{Operation, Parameter, ParameterIn},
    schema::SchemaType,
    security::SecurityRequirement,
};
use utoipa_axum::router::OpenApiRouter;

use super::{
    App,
    keys::{ConcurrencyLimit, KeyLookupUnavailable, KeyRing, RequestRate},
    server::{BodyWithGuard, Connection},
};

/// `Retry-After` in seconds for a key with too many running requests.
const SOON: u64 = 1;

/// Checks every request: its key, its rate, and its number of concurrent requests.
#[derive(Debug)]
pub(super) struct AccessControl {
    store: Store,
    http: HttpSettings,
    keys: KeyRing,
    pace: RequestRate,
    at_once: ConcurrencyLimit,
}

impl AccessControl {
    pub fn new(store: &Store, http: &HttpSettings) -> Self {
        let (keys, pace, at_once) = (KeyRing::new(), RequestRate::new(http), ConcurrencyLimit::new(http));
        Self { store: store.clone(), http: http.clone(), keys, pace, at_once }
    }

    /// Listens for revoked keys until `stop`.
    pub async fn follow_keys(&self, stop: &CancellationToken) {
        self.keys.follow(&self.store, stop).await;
    }
}

/// The scopes of a group of routes; any one of them is enough. Scopes are independent, but `operate`
/// includes `read`.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequiredScopes(&'static [Scope]);

impl RequiredScopes {
    pub const ENQUEUE: Self = Self(&[Scope::Enqueue]);
    pub const READ: Self = Self(&[Scope::Read, Scope::Operate]);
    pub const CANCEL: Self = Self(&[Scope::Enqueue, Scope::Operate]);
    pub const OPERATE: Self = Self(&[Scope::Operate]);

    fn are_met_by(self, key: &ApiKey) -> bool {
        self.0.iter().any(|scope| key.may(*scope))
    }

    fn words(self) -> String {
        self.0.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" or ")
    }
}

/// The name of the security scheme in the OpenAPI document.
pub(super) const SCHEME: &str = "key";

/// Lets only keys with one of the scopes use these routes, and documents that. Without an API to serve, it only
/// documents them.
pub(super) fn guarded<S: Clone + Send + Sync + 'static>(
    door: Option<&Arc<AccessControl>>,
    needs: RequiredScopes,
    mut routes: OpenApiRouter<S>,
) -> OpenApiRouter<S> {
    for item in routes.get_openapi_mut().paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            describe(operation, needs);
        }
    }
    let are_there = !routes.get_openapi().paths.paths.is_empty();
    match door.filter(|_| are_there) {
        Some(door) => routes.route_layer(middleware::from_fn_with_state((door.clone(), needs), check)),
        None => routes,
    }
}

/// Adds the answers that no operation documents itself: those of access control, and those of reading a path, a query or
/// a body.
fn describe(operation: &mut Operation, needs: RequiredScopes) {
    let one = |scope: &Scope| SecurityRequirement::new(SCHEME, [scope.as_str()]);
    operation.security = Some(needs.0.iter().map(one).collect());
    let mut refusals = vec![
        ("401", "No usable key came with the request.".to_owned()),
        ("403", format!("The key lacks the scope {}.", needs.words())),
        (
            "429",
            "The key made too many requests, or has too many under way; Retry-After says how many seconds to wait."
                .to_owned(),
        ),
        ("503", "Redis or Postgres is away, or too much is under way; Retry-After says when to try again.".to_owned()),
    ];
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        match parameter.parameter_in {
            ParameterIn::Query => {
                refusals.push(("400", "A parameter is unknown or malformed.".to_owned()));
                without_nul(parameter);
            }
            ParameterIn::Path => refusals.push(("404", "There is no such thing.".to_owned())),
            _ => {}
        }
    }
    if operation.request_body.is_some() {
        refusals.extend([
            ("400", "The body is not JSON or not UTF-8.".to_owned()),
            ("408", "The body did not arrive in time.".to_owned()),
            ("413", "The body is too large.".to_owned()),
            ("415", "The body has a type that is not read here.".to_owned()),
            ("422", "The body has the wrong form; errors name the fields.".to_owned()),
        ]);
    }
    for (status, words) in refusals {
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new().description(words).content("application/problem+json", content).build();
        operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(response));
    }
}

/// Documents that a text has no NUL character, unless it has a pattern already.
fn without_nul(parameter: &mut Parameter) {
    if let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema {
        let is_text = match &schema.schema_type {
            SchemaType::Type(one) => *one == Type::String,
            SchemaType::Array(several) => several.contains(&Type::String),
            SchemaType::AnyValue => false,
        };
        if is_text && schema.format.is_none() && schema.enum_values.is_none() && schema.pattern.is_none() {
            schema.pattern = Some(r"^[^\x00]*$".to_owned());
        }
    }
}

async fn check(
    State((door, needs)): State<(Arc<AccessControl>, RequiredScopes)>,
    mut request: Request,
    next: Next,
) -> ApiResult<Response> {
    let Some(token) = bearer(request.headers()) else {
        return Err(unauthorized("Send a key in the header Authorization, as in \"Bearer perch_…\"."));
    };
    let key = match door.keys.find(&door.store, token).await {
        Ok(Some(key)) => key,
        Ok(None) => return Err(unauthorized("This key is not in use in this environment. Ask an operator for one.")),
        Err(KeyLookupUnavailable) => return Err(postgres_is_away()),
    };
    tracing::Span::current().record("key", key.name.as_str());
    let connection = request.extensions().get::<Connection>().map(Connection::keyed);
    if let Err(wait) = door.pace.take(&key.id) {
        metrics::counter!("perch_http_rate_limited_total").increment(1);
        let seconds = wait.as_secs() + 1;
        let limit = door.http.rate_per_second;
        let detail = format!("This key may make {limit} requests a second (http.rate_per_second). Wait {seconds} s.");
        return Err(Problem::new(Cause::RateLimited, detail).retry_after(seconds));
    }
    if !needs.are_met_by(&key) {
        let words = needs.words();
        let detail = format!("This needs a key with the scope {words}; the key {:?} does not have it.", key.name);
        let scope = needs.0.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
        let challenge = format!("Bearer realm=\"perch\", error=\"insufficient_scope\", scope=\"{scope}\"");
        return Err(Problem::new(Cause::Forbidden, detail).challenge(challenge));
    }
    let Some(under_way) = door.at_once.take(&key.id) else {
        metrics::counter!("perch_http_rate_limited_total").increment(1);
        let most = door.http.requests_per_key;
        let detail = format!("This key has {most} requests under way, as many as it may (http.requests_per_key).");
        return Err(Problem::new(Cause::RateLimited, detail).retry_after(SOON));
    };
    request.extensions_mut().insert(Caller::new(key));
    let response = next.run(request).await;
    Ok(response.map(|body| BodyWithGuard::sent(body, (under_way, connection))))
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(Cause::Unauthorized, detail).challenge("Bearer realm=\"perch\"")
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl App {
    /// Writes an operator's action to the audit log. The action is done by then: when Postgres is away the line goes to the
    /// log of the process instead, because an operator must be able to act during an outage.
    pub(super) async fn audit(&self, caller: &Caller, action: &str, object: &str, details: serde_json::Value) {
        caller.audit(&self.store, action, object, details).await;
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    fn key(scopes: &[Scope]) -> ApiKey {
        ApiKey {
            id: "key_1".into(),
            name: "one".into(),
            scopes: scopes.into(),
            created_at: Utc::now(),
            revoked_at: None,
            last_used: None,
        }
    }

    #[test]
    fn who_may_operate_may_also_look_and_cancel_but_not_enqueue() {
        let operator = key(&[Scope::Operate]);
        assert!(RequiredScopes::OPERATE.are_met_by(&operator) && RequiredScopes::READ.are_met_by(&operator));
        assert!(RequiredScopes::CANCEL.are_met_by(&operator) && !RequiredScopes::ENQUEUE.are_met_by(&operator));
    }

    #[test]
    fn who_may_look_may_change_nothing() {
        let reader = key(&[Scope::Read]);
        assert!(RequiredScopes::READ.are_met_by(&reader));
        assert!(
            ![RequiredScopes::ENQUEUE, RequiredScopes::CANCEL, RequiredScopes::OPERATE]
                .iter()
                .any(|needs| needs.are_met_by(&reader))
        );
    }

    #[test]
    fn a_revoked_key_opens_nothing() {
        let revoked = ApiKey { revoked_at: Some(Utc::now()), ..key(&Scope::ALL) };
        assert!(!RequiredScopes::READ.are_met_by(&revoked));
    }

    #[test]
    fn the_word_bearer_may_be_written_in_any_case() {
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, header::HeaderValue::from_static(value))]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of("bearer perch_x").as_deref(), Some("perch_x"));
        assert_eq!(of("Basic perch_x"), None);
        assert_eq!(of("perch_x"), None);
    }
}
