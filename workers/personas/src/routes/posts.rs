//! The stock of posts.

use axum::{Extension, Json, extract::State};
use perch_bot::http::{
    ApiResult, BotState, Caller, Cause, Document, JsonBody, Page, Paged, Paging, Path, Problem, internal, number,
};
use perch_core::personas::PersonaLimits;
use perch_jobs::{JobId, ReplenishStock};
use perch_safety::Reason;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::personas::{find, own};
use crate::{
    Personas, PostState, SamplePost, StockReviewError, approve_post, reject_post, sample,
    store::{StockFilter, StockPost, StockStore as _},
};

/// Which posts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PostParams {
    /// Only in this state.
    #[param(inline)]
    state: Option<PostState>,
    /// Only on this topic.
    topic: Option<String>,
}

/// List posts of a persona
///
/// Its stock and what became of it, the latest first.
#[utoipa::path(get, path = "/personas/{name}/posts", tag = "personas", operation_id = "persona_posts",
    params(("name" = String, Path, description = "The name of the persona.", example = "template-bot"), PostParams, Paging),
    responses(
        (status = 200, description = "The posts.", body = Page<StockPost>),
        (status = 404, description = "There is no such persona.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(
    State(app): State<BotState>,
    Path(name): Path<String>,
    Paged(PostParams { state, topic }, paging): Paged<PostParams>,
) -> ApiResult<Json<Page<StockPost>>> {
    let persona = find(&app, &name).await?;
    let filter = StockFilter { persona: Some(persona.name), state, topic };
    Ok(Json(app.store.stock().list(&filter, &paging).await?))
}

/// Write samples
///
/// A model writes three posts, and none is kept or published.
#[utoipa::path(post, path = "/personas/{name}/test", tag = "personas", operation_id = "test_persona",
    params(("name" = String, Path, description = "The name of the persona.", example = "template-bot")),
    responses(
        (status = 200, description = "The samples.", body = Vec<SamplePost>),
        (status = 404, description = "There is no such persona.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "No model answers now.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn test(State(app): State<BotState>, Path(name): Path<String>) -> ApiResult<Json<Vec<SamplePost>>> {
    let persona = find(&app, &name).await?;
    let bot = Personas::new(&app).map_err(|error| {
        tracing::error!(%error, "the personas cannot be set up");
        internal()
    })?;
    let samples = sample(&bot.by_hand(&persona.spec), &persona).await;
    Ok(Json(samples.map_err(|fail| Problem::new(Cause::Unavailable, fail.reason()))?))
}

/// A job that was started.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplenishAnswer {
    /// The job that writes.
    #[schema(value_type = String)]
    pub job_id: JobId,
}

/// Write a batch now
///
/// Also while the stock is not short, and while the persona is paused.
#[utoipa::path(post, path = "/personas/{name}/replenish", tag = "personas", operation_id = "replenish_persona",
    params(("name" = String, Path, description = "The name of the persona.", example = "template-bot")),
    responses(
        (status = 200, description = "The job that writes.", body = ReplenishAnswer),
        (status = 404, description = "There is no such persona.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn replenish(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<Json<ReplenishAnswer>> {
    let persona = find(&app, &name).await?;
    let job = ReplenishStock { persona: persona.name.clone(), now: true };
    let job_id = app.client.enqueue(&job).await?.id;
    app.audit(&caller, "personas.replenish", persona.name.as_str(), json!({ "job": job_id })).await;
    Ok(Json(ReplenishAnswer { job_id }))
}

/// A post that a person decided about.
#[derive(Debug, Serialize, ToSchema)]
pub struct StockAnswer {
    /// The post.
    #[serde(flatten)]
    pub post: StockPost,
    /// What the guard flags in what was approved now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub flags: Vec<Reason>,
}

/// How a post is approved.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovePostRequest {
    /// Other words than those of the model.
    pub text: Option<String>,
}

/// How a post is rejected.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectPostRequest {
    /// Why.
    pub reason: Option<String>,
}

fn refused(error: StockReviewError) -> Problem {
    let words = error.to_string();
    match error {
        StockReviewError::Unknown(_) => Problem::new(Cause::NotFound, words),
        StockReviewError::Closed(_) | StockReviewError::Similar(..) => Problem::new(Cause::Conflict, words),
        StockReviewError::Refused(_) | StockReviewError::TooLong { .. } => {
            Problem::field(Cause::InvalidRequest, "$.text", words)
        }
        StockReviewError::Store(error) => error.into(),
    }
}

/// Approve a post
///
/// It goes into the stock of its persona, and is published in one of its slots.
#[utoipa::path(post, path = "/personas/posts/{id}/approve", tag = "personas", operation_id = "approve_post",
    params(("id" = String, Path, description = "The number of the post.", example = "1")),
    request_body = ApprovePostRequest,
    responses(
        (status = 200, description = "It is ready.", body = StockAnswer),
        (status = 404, description = "There is no such post.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It was decided before, or is too similar to another.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The text may not be published.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn approve(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(ApprovePostRequest { text }): JsonBody<ApprovePostRequest>,
) -> ApiResult<Json<StockAnswer>> {
    let id = number(&id, "post")?;
    let (own, limits) = (own(&app)?, PersonaLimits::of(&app.settings));
    let approved = approve_post(&app.store, &app.guard, (&own, &limits), id, text.as_deref(), &caller.actor()).await;
    let (post, flags) = approved.map_err(refused)?;
    let what = json!({ "persona": post.persona, "edited": text.is_some(), "flags": flags });
    app.audit(&caller, "personas.approve", &post.id.to_string(), what).await;
    Ok(Json(StockAnswer { post, flags }))
}

/// Reject a post
///
/// It is not published.
#[utoipa::path(post, path = "/personas/posts/{id}/reject", tag = "personas", operation_id = "reject_post",
    params(("id" = String, Path, description = "The number of the post.", example = "1")),
    request_body = RejectPostRequest,
    responses(
        (status = 200, description = "It is rejected.", body = StockPost),
        (status = 404, description = "There is no such post.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It is published, or was decided before.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn reject(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(RejectPostRequest { reason }): JsonBody<RejectPostRequest>,
) -> ApiResult<Json<StockPost>> {
    let id = number(&id, "post")?;
    let post = reject_post(&app.store, id, reason.as_deref(), &caller.actor()).await.map_err(refused)?;
    let what = json!({ "persona": post.persona, "reason": reason });
    app.audit(&caller, "personas.reject", &id.to_string(), what).await;
    Ok(Json(post))
}
