//! The candidates.

use axum::{Extension, Json, extract::State};
use perch_bot::http::{
    ApiResult, BotState, Caller, Cause, Document, JsonBody, Page, Paged, Paging, Path, Problem, number,
};
use perch_safety::Reason;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::bots::find;
use crate::{
    reviewing::{self, ReviewError},
    settings::LearnerSettings,
    store::{Candidate, CandidateFilter, CandidateState, LearnerStore as _},
};

/// Which candidates.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CandidateParams {
    /// Only in this state.
    #[param(inline)]
    state: Option<CandidateState>,
    /// Only of this arm.
    arm: Option<String>,
}

/// List candidates
///
/// What models wrote for the slots to come, the latest first.
#[utoipa::path(get, path = "/learners/{name}/candidates", tag = "learners", operation_id = "learner_candidates",
    params(("name" = String, Path, description = "The persona that it posts as.", example = "template-bot"), CandidateParams, Paging),
    responses(
        (status = 200, description = "The candidates.", body = Page<Candidate>),
        (status = 404, description = "That persona does not learn.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(
    State(app): State<BotState>,
    Path(name): Path<String>,
    Paged(CandidateParams { state, arm }, paging): Paged<CandidateParams>,
) -> ApiResult<Json<Page<Candidate>>> {
    let bot = find(&app, &name).await?.bot;
    Ok(Json(app.store.learner().candidates(&CandidateFilter { bot: Some(bot), state, arm }, &paging).await?))
}

fn refused(error: ReviewError) -> Problem {
    let words = error.to_string();
    match error {
        ReviewError::Unknown(_) => Problem::new(Cause::NotFound, words),
        ReviewError::Closed(_) => Problem::new(Cause::Conflict, words),
        ReviewError::Refused(_) => Problem::new(Cause::InvalidRequest, words),
        ReviewError::Store(error) => error.into(),
    }
}

/// A candidate after a decision.
#[derive(Debug, Serialize, ToSchema)]
pub struct CandidateAnswer {
    /// The candidate.
    pub candidate: Candidate,
    /// What the guard flags in it, which the decision lets pass.
    #[schema(value_type = Vec<Object>)]
    pub flags: Vec<Reason>,
}

/// Approve a candidate
///
/// It can be chosen from then on. What the guard refuses stays refused.
#[utoipa::path(post, path = "/learners/candidates/{id}/approve", tag = "learners", operation_id = "approve_candidate",
    params(("id" = String, Path, description = "The number of the candidate.", example = "1")),
    responses(
        (status = 200, description = "It can be chosen.", body = CandidateAnswer),
        (status = 404, description = "There is no such candidate.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It was decided before.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The guard refuses it.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn approve(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> ApiResult<Json<CandidateAnswer>> {
    let id = number(&id, "candidate")?;
    let own = app.settings.sections.get::<LearnerSettings>()?;
    let approved = reviewing::approve(&app.store, &app.guard, &own, id, &caller.actor()).await;
    let (candidate, flags) = approved.map_err(refused)?;
    app.audit(&caller, "learn.approve", &id.to_string(), json!({ "bot": candidate.bot, "flags": flags })).await;
    Ok(Json(CandidateAnswer { candidate, flags }))
}

/// Why a candidate is rejected.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RejectRequest {
    /// Why.
    #[serde(default)]
    reason: Option<String>,
}

/// Reject a candidate
///
/// It is not chosen.
#[utoipa::path(post, path = "/learners/candidates/{id}/reject", tag = "learners", operation_id = "reject_candidate",
    params(("id" = String, Path, description = "The number of the candidate.", example = "1")),
    request_body = RejectRequest,
    responses(
        (status = 200, description = "It is rejected.", body = Candidate),
        (status = 404, description = "There is no such candidate.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It is chosen, or was decided before.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn reject(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(RejectRequest { reason }): JsonBody<RejectRequest>,
) -> ApiResult<Json<Candidate>> {
    let id = number(&id, "candidate")?;
    let candidate = reviewing::reject(&app.store, id, reason.as_deref(), &caller.actor()).await.map_err(refused)?;
    app.audit(&caller, "learn.reject", &id.to_string(), json!({ "bot": candidate.bot, "reason": reason })).await;
    Ok(Json(candidate))
}
