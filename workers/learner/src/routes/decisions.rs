//! The log of decisions, and the slots.

use axum::{Json, extract::State};
use perch_bot::http::{ApiResult, BotState, Cause, Document, NoFilter, Page, Paged, Paging, Path, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::bots::find;
use crate::{
    explaining::explained,
    store::{DecisionFilter, LearnerSlot, LearnerStore as _, LoggedDecision, OutcomeState},
};

/// Which decisions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DecisionParams {
    /// Only with this outcome.
    #[param(inline)]
    state: Option<OutcomeState>,
    /// Only for this arm.
    arm: Option<String>,
}

/// List decisions
///
/// What was decided and what came of it, the latest first.
#[utoipa::path(get, path = "/learners/{name}/decisions", tag = "learners", operation_id = "learner_decisions",
    params(("name" = String, Path, description = "The persona that it posts as.", example = "template-bot"), DecisionParams, Paging),
    responses(
        (status = 200, description = "The decisions.", body = Page<LoggedDecision>),
        (status = 404, description = "That persona does not learn.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(
    State(app): State<BotState>,
    Path(name): Path<String>,
    Paged(DecisionParams { state, arm }, paging): Paged<DecisionParams>,
) -> ApiResult<Json<Page<LoggedDecision>>> {
    let bot = find(&app, &name).await?.bot;
    Ok(Json(app.store.learner().decisions(&DecisionFilter { bot: Some(bot), state, arm }, &paging).await?))
}

/// A decision in words.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// The decision.
    pub decision: LoggedDecision,
    /// Why it was made, in words.
    pub explanation: String,
}

/// Explain a decision
///
/// Why this post went out then, by its id on X, the key of its effect, or its number.
#[utoipa::path(get, path = "/learners/decisions/{post}", tag = "learners", operation_id = "explain_decision",
    params(("post" = String, Path, description = "The id of the post on X, the key of its effect, or the number of the decision.", example = "1")),
    responses(
        (status = 200, description = "The decision.", body = Explanation),
        (status = 404, description = "There is no such decision.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn explain(State(app): State<BotState>, Path(post): Path<String>) -> ApiResult<Json<Explanation>> {
    let decision = app.store.learner().decision(&post).await?;
    let Some(decision) = decision else {
        return Err(Problem::new(Cause::NotFound, format!("no learning poster has decided on {post}")));
    };
    let explanation = explained(&decision);
    Ok(Json(Explanation { decision, explanation }))
}

/// List slots
///
/// The times of a bot and what became of them, the latest first.
#[utoipa::path(get, path = "/learners/{name}/slots", tag = "learners", operation_id = "learner_slots",
    params(("name" = String, Path, description = "The persona that it posts as.", example = "template-bot"), Paging),
    responses(
        (status = 200, description = "The slots.", body = Page<LearnerSlot>),
        (status = 404, description = "That persona does not learn.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn slots(
    State(app): State<BotState>,
    Path(name): Path<String>,
    Paged(NoFilter {}, paging): Paged<NoFilter>,
) -> ApiResult<Json<Page<LearnerSlot>>> {
    let bot = find(&app, &name).await?.bot;
    Ok(Json(app.store.learner().slots(&bot, &paging).await?))
}
