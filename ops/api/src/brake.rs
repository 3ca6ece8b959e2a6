//! The brakes: of everything, of an account, of a bot.

use axum::{Extension, Json, extract::State};
use chrono::{DateTime, Utc};
use perch_bot::{
    http::{ApiResult, Cause, Document, Problem},
    require_known,
};
use perch_store::{Brake, BrakeOutcome, BrakeScope, BrakeState, Brakes};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    guard::Caller,
    input::{JsonBody, Params, parsed},
};

/// Most characters of a reason.
const LONGEST: usize = 500;

/// The state of a brake.
#[derive(Debug, Serialize, ToSchema)]
pub struct BrakeAnswer {
    /// What it stops: `everything`, `account:NAME` or `bot:NAME`.
    #[schema(example = "account:main")]
    pub scope: String,
    /// True when nothing of its scope is published.
    pub on: bool,
    /// Who pulled or lifted it last; none when nobody ever did.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Since when it has been in this state.
    pub since: Option<DateTime<Utc>>,
}

impl From<BrakeState> for BrakeAnswer {
    fn from(BrakeState { scope, on, by, reason, since, .. }: BrakeState) -> Self {
        Self { scope: scope.to_string(), on, by, reason, since }
    }
}

/// The state of a brake, and of those of accounts and bots.
#[derive(Debug, Serialize, ToSchema)]
pub struct BrakeReport {
    /// The brake that was asked for.
    #[serde(flatten)]
    pub brake: BrakeAnswer,
    /// Where that is the brake of everything: those of accounts and bots that are on.
    pub scoped: Vec<BrakeAnswer>,
}

/// The result of pulling or lifting the brake.
#[derive(Debug, Serialize, ToSchema)]
pub struct BrakeChange {
    /// Its state now.
    #[serde(flatten)]
    pub brake: BrakeAnswer,
    /// False when it was in this state before.
    pub changed: bool,
    /// False when Postgres was away: the brake holds, but would be lost with Redis. Pull it again when Postgres is back.
    pub logged: bool,
}

impl From<BrakeOutcome> for BrakeChange {
    fn from(BrakeOutcome { state, changed, unlogged }: BrakeOutcome) -> Self {
        Self { brake: state.into(), changed, logged: unlogged.is_none() }
    }
}

/// Why the brake is pulled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BrakeRequest {
    /// The reason, as the audit log and every job that is stopped show it: 1 to 500 characters.
    #[schema(min_length = 1, max_length = 500, pattern = r"\S")]
    pub reason: String,
}

/// Which brake.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct BrakeQuery {
    /// `account:NAME` stops what is published as that account, `bot:NAME` what that bot publishes; default: `everything`.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^(everything|account:[a-z][a-z0-9_]{0,63}|bot:[a-z][a-z0-9_]{0,31})$")]
    scope: Option<BrakeScope>,
}

/// Which brake is lifted, and why.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LiftParams {
    /// The reason, as the audit log shows it: 1 to 500 characters.
    #[param(min_length = 1, max_length = 500, pattern = r"\S")]
    reason: String,
    /// `account:NAME` or `bot:NAME`; default: `everything`.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^(everything|account:[a-z][a-z0-9_]{0,63}|bot:[a-z][a-z0-9_]{0,31})$")]
    scope: Option<BrakeScope>,
}

/// The scope, if it is among the known ones.
fn known(scope: Option<BrakeScope>, known: &[BrakeScope]) -> ApiResult<BrakeScope> {
    let scope = scope.unwrap_or_default();
    match require_known(&scope, known) {
        Ok(()) => Ok(scope),
        Err(unknown) => Err(Problem::field(Cause::NotFound, "scope", unknown.to_string())),
    }
}

/// The trimmed reason. `refused` is the cause and field of the problem when it is empty or too long.
fn checked(reason: &str, refused: (Cause, &str)) -> ApiResult<String> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST {
        let (cause, field) = refused;
        return Err(Problem::field(
            cause,
            field,
            format!("is empty or too long; say in 1 to {LONGEST} characters why"),
        ));
    }
    Ok(reason.to_owned())
}

fn brake_of(app: &App, scope: BrakeScope) -> Brake {
    Brake::of(app.queues.redis().clone(), app.store.clone(), scope)
}

/// The brakes that there are, and those that were pulled and whose account or bot is not configured any more.
async fn every_brake(app: &App) -> Brakes {
    Brakes::with_pulled(app.queues.redis(), &app.store, app.bots.brake_scopes(&app.settings)).await
}

/// Look at a brake
///
/// Without a scope: at that of everything, and at those of accounts and bots that are on.
#[utoipa::path(get, path = "/brake", tag = "brake", operation_id = "brake", params(BrakeQuery),
    responses(
        (status = 200, description = "How it stands.", body = BrakeReport),
        (status = 404, description = "There is no such account or bot.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn show(State(app): State<App>, Params(query): Params<BrakeQuery>) -> ApiResult<Json<BrakeReport>> {
    let brakes = every_brake(&app).await;
    let scope = known(query.scope, &brakes.scopes().cloned().collect::<Vec<_>>())?;
    if !scope.is_everything() {
        let brake = brake_of(&app, scope).state().await?.into();
        return Ok(Json(BrakeReport { brake, scoped: Vec::new() }));
    }
    let (everything, scoped): (Vec<_>, Vec<_>) =
        brakes.states().await?.into_iter().partition(|state| state.scope.is_everything());
    let brake = everything.into_iter().next().unwrap_or_default().into();
    let scoped = scoped.into_iter().filter(|state| state.on).map(BrakeAnswer::from).collect();
    Ok(Json(BrakeReport { brake, scoped }))
}

/// Pull a brake
///
/// Stops everything that publishes, in all processes; with a scope, what is published as that account or by that bot. When this
/// answers, after a little more than a second, no such call to X begins that has not begun. Jobs wait; none is lost and no attempt
/// counts.
#[utoipa::path(put, path = "/brake", tag = "brake", operation_id = "pull_brake", params(BrakeQuery), request_body = BrakeRequest,
    responses(
        (status = 200, description = "It is on.", body = BrakeChange),
        (status = 404, description = "There is no such account or bot.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "There is no reason.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn pull(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<BrakeQuery>,
    JsonBody(request): JsonBody<BrakeRequest>,
) -> ApiResult<Json<BrakeChange>> {
    let scope = known(query.scope, &app.bots.brake_scopes(&app.settings))?;
    let reason = checked(&request.reason, (Cause::InvalidRequest, "$.reason"))?;
    let brake = brake_of(&app, scope);
    let pulled = brake.pull(&caller.actor(), &reason, over(&caller)).await?;
    if let Some(error) = &pulled.unlogged {
        metrics::counter!("perch_audit_failures_total").increment(1);
        let (actor, scope) = (caller.actor(), brake.scope());
        tracing::error!(%error, actor, %scope, reason, "a brake is on, and the audit log could not be written");
    }
    Ok(Json(pulled.into()))
}

/// Lift a brake
///
/// The jobs that wait go on by themselves. It stays on when the audit log cannot be written, and when somebody pulls it at the
/// same moment: `on` has the state. To lift one brake does not lift the others.
#[utoipa::path(delete, path = "/brake", tag = "brake", operation_id = "lift_brake", params(LiftParams),
    responses(
        (status = 200, description = "It is off, or `on` where somebody pulled it at the same moment.", body = BrakeChange),
        (status = 400, description = "There is no reason.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "There is no such account or bot.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn lift(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(LiftParams { reason, scope }): Params<LiftParams>,
) -> ApiResult<Json<BrakeChange>> {
    let scope = known(scope, &every_brake(&app).await.scopes().cloned().collect::<Vec<_>>())?;
    let reason = checked(&reason, (Cause::InvalidQuery, "reason"))?;
    let lifted = brake_of(&app, scope).lift(&caller.actor(), &reason, over(&caller)).await?;
    Ok(Json(lifted.into()))
}

/// The details that mark a line of the audit log as made over the API.
fn over(caller: &Caller) -> serde_json::Value {
    json!({ "over": "api", "key": caller.key_id() })
}
