//! The versions of the policy of a bot.

use axum::{Extension, Json, extract::State, http::StatusCode};
use perch_bot::http::{
    ApiResult, BotState, Caller, Cause, Document, JsonBody, NoFilter, Page, Paged, Paging, Path, Problem, number,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::bots::find;
use crate::{
    evaluating::{self, PromoteError},
    policy::Policy,
    settings::LearnerSettings,
    store::{LearnerStore as _, StoredPolicy},
};

/// List policies
///
/// The versions of a bot's policy, the latest first.
#[utoipa::path(get, path = "/learners/{name}/policies", tag = "learners", operation_id = "learner_policies",
    params(("name" = String, Path, description = "The persona that it posts as.", example = "template-bot"), Paging),
    responses(
        (status = 200, description = "The versions.", body = Page<StoredPolicy>),
        (status = 404, description = "That persona does not learn.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(
    State(app): State<BotState>,
    Path(name): Path<String>,
    Paged(NoFilter {}, paging): Paged<NoFilter>,
) -> ApiResult<Json<Page<StoredPolicy>>> {
    let bot = find(&app, &name).await?.bot;
    Ok(Json(app.store.learner().policies(&bot, &paging).await?))
}

/// A policy to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProposeRequest {
    /// The policy. Everything that is left out gets its default.
    #[schema(value_type = Object)]
    policy: Policy,
    /// Why.
    #[serde(default)]
    reason: String,
}

/// Propose a policy
///
/// It becomes a version that waits to be promoted.
#[utoipa::path(post, path = "/learners/{name}/policies", tag = "learners", operation_id = "propose_policy",
    params(("name" = String, Path, description = "The persona that it posts as.", example = "template-bot")),
    request_body = ProposeRequest,
    responses(
        (status = 201, description = "It waits.", body = StoredPolicy),
        (status = 404, description = "That persona does not learn.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be so.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn propose(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    JsonBody(ProposeRequest { policy, reason }): JsonBody<ProposeRequest>,
) -> ApiResult<(StatusCode, Json<StoredPolicy>)> {
    let bot = find(&app, &name).await?.bot;
    if let Some((field, reason)) = policy.problem() {
        return Err(Problem::field(Cause::InvalidRequest, format!("$.policy.{field}"), reason));
    }
    let tables = app.store.learner();
    // The first version is there before any other.
    tables.active_policy(&bot, &Policy::default()).await?;
    Ok((StatusCode::CREATED, Json(tables.propose(&bot, &policy, &reason, &caller.actor()).await?)))
}

fn refused(error: PromoteError) -> Problem {
    let words = error.to_string();
    match error {
        PromoteError::Unknown { .. } => Problem::new(Cause::NotFound, words),
        PromoteError::Active(_) | PromoteError::NothingBefore(_) => Problem::new(Cause::Conflict, words),
        PromoteError::Log(_) | PromoteError::Refused { .. } => Problem::new(Cause::InvalidRequest, words),
        PromoteError::Store(error) => error.into(),
    }
}

/// A version that was promoted.
#[derive(Debug, Serialize, ToSchema)]
pub struct PromotedPolicy {
    /// The version.
    pub policy: StoredPolicy,
    /// The figures that speak for it.
    #[schema(value_type = Object)]
    pub promotion: serde_json::Value,
}

/// Promote a policy
///
/// It chooses from then on, if the log of decisions speaks for it: enough overlap, enough days, and an interval of the difference above 0.
#[utoipa::path(post, path = "/learners/{name}/policies/{version}/promote", tag = "learners", operation_id = "promote_policy",
    params(
        ("name" = String, Path, description = "The persona that it posts as.", example = "template-bot"),
        ("version" = String, Path, description = "The version.", example = "2"),
    ),
    responses(
        (status = 200, description = "It is active.", body = PromotedPolicy),
        (status = 404, description = "There is no such version.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It is active already.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The log does not speak for it; the figures say why.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn promote(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path((name, version)): Path<(String, String)>,
) -> ApiResult<Json<PromotedPolicy>> {
    let bot = find(&app, &name).await?.bot;
    let version = i32::try_from(number(&version, "version")?).unwrap_or(i32::MAX);
    let own = app.settings.sections.get::<LearnerSettings>()?;
    let promoted = evaluating::promote(&app.store, &own, (&bot, version), &caller.actor()).await;
    let (policy, promotion) = promoted.map_err(refused)?;
    Ok(Json(PromotedPolicy { policy, promotion: serde_json::json!(promotion) }))
}

/// Roll a policy back
///
/// The version that was active before chooses again.
#[utoipa::path(post, path = "/learners/{name}/policies/rollback", tag = "learners", operation_id = "roll_back_policy",
    params(("name" = String, Path, description = "The persona that it posts as.", example = "template-bot")),
    responses(
        (status = 200, description = "It is active again.", body = StoredPolicy),
        (status = 404, description = "That persona does not learn.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "There is none before.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn rollback(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<Json<StoredPolicy>> {
    let bot = find(&app, &name).await?.bot;
    Ok(Json(evaluating::roll_back(&app.store, &bot, &caller.actor()).await.map_err(refused)?))
}
