//! The replies that people decide about.

use axum::{Extension, Json, extract::State};
use chrono::{DateTime, Utc};
use perch_bot::http::{Answer, BotState, Caller, Cause, Document, JsonBody, Params, Path, Problem, internal, page};
use perch_jobs::{AccountId, PostId};
use perch_safety::Reason;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::mentions::{account, own};
use crate::ReviewError;
use crate::{MentionStore as _, Review, ReviewFilter, ReviewState};

/// A reply that a person decides about.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Review)]
pub struct ReviewAnswer {
    /// Its number.
    pub id: i64,
    /// `open`, `approved`, `rejected` or `expired`.
    #[schema(value_type = String, example = "open")]
    pub state: ReviewState,
    /// The account that would reply.
    #[schema(value_type = String)]
    pub account: AccountId,
    /// The mention.
    #[schema(value_type = String)]
    pub mention_id: PostId,
    /// Its text.
    pub mention_text: String,
    /// The handle of its author, where it is known.
    pub author: Option<String>,
    /// What the model proposed; null when it was not asked, or declined.
    pub proposed: Option<String>,
    /// What the guard objects to in the mention or in the proposal: code, place in characters, and what stands there.
    #[schema(value_type = Vec<Object>, example = json!([{ "code": "coarse", "at": { "start": 11, "end": 15 }, "found": "dick" }]))]
    pub reasons: Value,
    /// What was approved.
    pub approved: Option<String>,
    /// What the guard flags in what was approved now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub flags: Vec<Reason>,
    /// Since when it waits.
    pub created_at: DateTime<Utc>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
    /// When it was decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// By whom.
    pub decided_by: Option<String>,
    /// Why, in the words of who decided.
    pub note: Option<String>,
}

impl From<Review> for ReviewAnswer {
    fn from(review: Review) -> Self {
        Self {
            id: review.id,
            state: review.state,
            account: review.account,
            mention_id: review.mention_id,
            mention_text: review.mention_text,
            author: review.author,
            proposed: review.proposed,
            reasons: review.reasons,
            approved: review.approved,
            flags: Vec::new(),
            created_at: review.created_at,
            expires_at: review.expires_at,
            decided_at: review.decided_at,
            decided_by: review.decided_by,
            note: review.note,
        }
    }
}

/// Reviews.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReviewList {
    /// The reviews, the latest first.
    pub reviews: Vec<ReviewAnswer>,
}

/// Which reviews.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReviewParams {
    /// Only of this account.
    account: Option<String>,
    /// Only in this state: open, approved, rejected or expired.
    #[param(value_type = Option<String>, pattern = "^(open|approved|rejected|expired)$")]
    state: Option<ReviewState>,
    /// Only those with a smaller number: that of the last one of the page before.
    before: Option<i64>,
    /// At most so many, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

fn number(text: &str) -> Answer<i64> {
    text.parse().map_err(|_| {
        let given: String = text.chars().take(40).collect();
        Problem::new(Cause::NotFound, format!("there is no review {given:?}; a review has a number"))
    })
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
#[utoipa::path(get, path = "/reviews", tag = "mentions", operation_id = "reviews", params(ReviewParams),
    responses(
        (status = 200, description = "The reviews.", body = ReviewList),
        (status = 404, description = "The account answers no mentions.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(
    State(app): State<BotState>,
    Params(params): Params<ReviewParams>,
) -> Answer<Json<ReviewList>> {
    let of = params.account.as_deref().map(|name| account(&app, name)).transpose()?;
    let limit = u32::try_from(page(params.limit)?).unwrap_or(u32::MAX);
    let filter = ReviewFilter { account: of, state: params.state, before: params.before, limit };
    let reviews = app.store.reviews().list(&filter).await?;
    Ok(Json(ReviewList { reviews: reviews.into_iter().map(ReviewAnswer::from).collect() }))
}

/// Look at a review
#[utoipa::path(get, path = "/reviews/{id}", tag = "mentions", operation_id = "review",
    params(("id" = String, Path, description = "The number of the review.", example = "1")),
    responses(
        (status = 200, description = "The review.", body = ReviewAnswer),
        (status = 404, description = "There is no such review.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn one(State(app): State<BotState>, Path(id): Path<String>) -> Answer<Json<ReviewAnswer>> {
    let id = number(&id)?;
    let review = app.store.reviews().get(id).await?.ok_or_else(|| refused(ReviewError::Unknown(id)))?;
    Ok(Json(review.into()))
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
/// It is published once, however often this is asked. The guard looks at the text again: what it flags goes out, what it refuses
/// does not, whoever says so.
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
) -> Answer<Json<ReviewAnswer>> {
    let id = number(&id)?;
    let text = request.text.as_deref();
    let own = own(&app)?;
    let approved = crate::approve(&app.client, &app.store, &own, id, text, &caller.actor()).await;
    let approved = approved.map_err(refused)?;
    let what = json!({ "mention": approved.review.mention_id, "edited": text.is_some(), "flags": approved.flags });
    app.audit(&caller, "review.approve", &id.to_string(), what).await;
    Ok(Json(ReviewAnswer { flags: approved.flags, ..approved.review.into() }))
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
        (status = 200, description = "It does not go out.", body = ReviewAnswer),
        (status = 404, description = "There is no such review.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It was decided before, or is too late.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn reject(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<RejectRequest>,
) -> Answer<Json<ReviewAnswer>> {
    let id = number(&id)?;
    let review = crate::reject(&app.store, id, request.reason.as_deref(), &caller.actor()).await;
    let review = review.map_err(refused)?;
    let what = json!({ "mention": review.mention_id, "reason": request.reason });
    app.audit(&caller, "review.reject", &id.to_string(), what).await;
    Ok(Json(review.into()))
}
