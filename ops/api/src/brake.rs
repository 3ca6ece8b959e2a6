//! The emergency brake.

use axum::{Extension, Json, extract::State};
use chrono::{DateTime, Utc};
use perch_bot::http::{ApiResult, Cause, Document, Problem};
use perch_store::{Brake, BrakeOutcome, BrakeState};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    guard::Caller,
    input::{JsonBody, Params},
};

/// Most characters of a reason.
const LONGEST: usize = 500;

/// The state of the brake.
#[derive(Debug, Serialize, ToSchema)]
pub struct BrakeAnswer {
    /// True when nothing is published.
    pub on: bool,
    /// Who pulled or lifted it last; none when nobody ever did.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Since when it has been in this state.
    pub since: Option<DateTime<Utc>>,
}

impl From<BrakeState> for BrakeAnswer {
    fn from(BrakeState { on, by, reason, since, .. }: BrakeState) -> Self {
        Self { on, by, reason, since }
    }
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

/// Why the brake is lifted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LiftParams {
    /// The reason, as the audit log shows it: 1 to 500 characters.
    #[param(min_length = 1, max_length = 500, pattern = r"\S")]
    reason: String,
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

fn brake_of(app: &App) -> Brake {
    Brake::new(app.queues.redis().clone(), app.store.clone())
}

/// Look at the brake
#[utoipa::path(get, path = "/brake", tag = "brake", operation_id = "brake",
    responses((status = 200, description = "How it stands.", body = BrakeAnswer)))]
pub(super) async fn show(State(app): State<App>) -> ApiResult<Json<BrakeAnswer>> {
    Ok(Json(brake_of(&app).state().await?.into()))
}

/// Pull the brake
///
/// Stops everything that publishes, in all processes. When this answers, after a little more than a second, no call to X
/// begins that has not begun. Jobs wait; none is lost and no attempt counts.
#[utoipa::path(put, path = "/brake", tag = "brake", operation_id = "pull_brake", request_body = BrakeRequest,
    responses(
        (status = 200, description = "It is on.", body = BrakeChange),
        (status = 422, description = "There is no reason.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn pull(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    JsonBody(request): JsonBody<BrakeRequest>,
) -> ApiResult<Json<BrakeChange>> {
    let reason = checked(&request.reason, (Cause::InvalidRequest, "$.reason"))?;
    let pulled = brake_of(&app).pull(&caller.actor(), &reason, over(&caller)).await?;
    if let Some(error) = &pulled.unlogged {
        metrics::counter!("perch_audit_failures_total").increment(1);
        tracing::error!(%error, actor = caller.actor(), reason, "the brake is on, and the audit log could not be written");
    }
    Ok(Json(pulled.into()))
}

/// Lift the brake
///
/// The jobs that wait go on by themselves. It stays on when the audit log cannot be written, and when somebody pulls it at the
/// same moment: `on` has the state.
#[utoipa::path(delete, path = "/brake", tag = "brake", operation_id = "lift_brake", params(LiftParams),
    responses(
        (status = 200, description = "It is off, or `on` where somebody pulled it at the same moment.", body = BrakeChange),
        (status = 400, description = "There is no reason.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn lift(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<LiftParams>,
) -> ApiResult<Json<BrakeChange>> {
    let reason = checked(&params.reason, (Cause::InvalidQuery, "reason"))?;
    let lifted = brake_of(&app).lift(&caller.actor(), &reason, over(&caller)).await?;
    Ok(Json(lifted.into()))
}

/// The details that mark a line of the audit log as made over the API.
fn over(caller: &Caller) -> serde_json::Value {
    json!({ "over": "api", "key": caller.key_id() })
}
