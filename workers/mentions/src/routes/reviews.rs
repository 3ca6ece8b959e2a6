//! The reviews of replies.

use axum::{Extension, Json, extract::State};
use perch_bot::http::{
    ApiResult, BotState, Caller, Cause, Document, JsonBody, Page, Paged, Paging, Path, Problem, internal, number,
};
use perch_safety::Reason;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::mentions::{account, own};
use crate::{MentionStore as _, Review, ReviewError, ReviewFilter, ReviewState};

/// What became of a reply that a person decided about.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReviewAnswer {
    /// The review.
    #[serde(flatten)]
    pub review: Review,
    /// What the guard flags in what was approved now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub flags: Vec<Reason>,
}

/// Which reviews.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReviewParams {
    /// Only of this account.
    account: Option<String>,
    /// Only in this state: open, approved, rejected or expired.
    #[param(inline)]
    state: Option<ReviewState>,
}

fn refused(error: ReviewError) -> Problem {
    let words = error.to_string();
    match error {
        ReviewError::Unknown(_) => Problem::new(Cause::NotFound, words),
        ReviewError::Closed(_) => Problem::new(Cause::Conflict, words),
        ReviewError::NoText(_) | ReviewError::Refused(_) => Problem::field(Cause::InvalidRequest, "$.text", words),
        ReviewError::Words(_) => {
            tracing::error!(error = words, "the rules of the guard cannot be used");
            internal()
        }
        ReviewError::Store(error) => error.into(),
        ReviewError::Enqueue(error) => error.into(),
    }
}

/// List reviews
///
/// Replies that wait for a person, and those that were decided.
#[utoipa::path(get, path = "/reviews", tag = "mentions", operation_id = "reviews", params(ReviewParams, Paging),
    responses(
        (status = 200, description = "The reviews.", body = Page<Review>),
        (status = 404, description = "The account answers no mentions.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(
    State(app): State<BotState>,
    Paged(params, paging): Paged<ReviewParams>,
) -> ApiResult<Json<Page<Review>>> {
    let of = params.account.as_deref().map(|name| account(&app, name)).transpose()?;
    let filter = ReviewFilter { account: of, state: params.state };
    Ok(Json(app.store.reviews().list(&filter, &paging).await?))
}

/// Look at a review
#[utoipa::path(get, path = "/reviews/{id}", tag = "mentions", operation_id = "review",
    params(("id" = String, Path, description = "The number of the review.", example = "1")),
    responses(
        (status = 200, description = "The review.", body = Review),
        (status = 404, description = "There is no such review.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn one(State(app): State<BotState>, Path(id): Path<String>) -> ApiResult<Json<Review>> {
    let id = number(&id, "review")?;
    let review = app.store.reviews().get(id).await?.ok_or_else(|| refused(ReviewError::Unknown(id)))?;
    Ok(Json(review))
}

/// How a reply is approved.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// The text to publish; what was proposed, when it is left out.
    pub text: Option<String>,
}

/// Approve a reply
///
/// It is published once, however often this is asked. The guard checks the text again: what it flags is published all the same, what it refuses
/// is never published.
#[utoipa::path(post, path = "/reviews/{id}/approve", tag = "mentions", operation_id = "approve",
    params(("id" = String, Path, description = "The number of the review.", example = "1")),
    request_body = ApproveRequest,
    responses(
        (status = 200, description = "It goes out.", body = ReviewAnswer),
        (status = 404, description = "There is no such review.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It was decided before, or is too late.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The text may not be published.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn approve(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<ApproveRequest>,
) -> ApiResult<Json<ReviewAnswer>> {
    let id = number(&id, "review")?;
    let text = request.text.as_deref();
    let own = own(&app)?;
    let approved = crate::approve(&app.client, &app.store, &own, id, text, &caller.actor()).await;
    let approved = approved.map_err(refused)?;
    let what = json!({ "mention": approved.review.mention_id, "edited": text.is_some(), "flags": approved.flags });
    app.audit(&caller, "review.approve", &id.to_string(), what).await;
    Ok(Json(ReviewAnswer { flags: approved.flags, review: approved.review }))
}

/// How a reply is rejected.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectRequest {
    /// Why.
    pub reason: Option<String>,
}

/// Reject a reply
///
/// The mention is not answered.
#[utoipa::path(post, path = "/reviews/{id}/reject", tag = "mentions", operation_id = "reject",
    params(("id" = String, Path, description = "The number of the review.", example = "1")),
    request_body = RejectRequest,
    responses(
        (status = 200, description = "It does not go out.", body = Review),
        (status = 404, description = "There is no such review.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It was decided before, or is too late.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn reject(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<RejectRequest>,
) -> ApiResult<Json<Review>> {
    let id = number(&id, "review")?;
    let review = crate::reject(&app.store, id, request.reason.as_deref(), &caller.actor()).await;
    let review = review.map_err(refused)?;
    let what = json!({ "mention": review.mention_id, "reason": request.reason });
    app.audit(&caller, "review.reject", &id.to_string(), what).await;
    Ok(Json(review))
}
