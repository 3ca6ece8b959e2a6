//! Users whose mentions are not answered.

use axum::{Extension, Json, extract::State, http::StatusCode};
use perch_bot::http::{
    ApiResult, BotState, Caller, Cause, Document, JsonBody, NoFilter, Page, Paged, Paging, Path, Problem,
};
use perch_jobs::AccountId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::mentions::{account, own};
use crate::{BlockedUser, MentionStore as _, blocked};

/// List blocked users
///
/// Those of the configuration, and those that operators blocked, the latest first.
#[utoipa::path(get, path = "/mentions/{account}/blocked", tag = "mentions", operation_id = "mentions_blocked",
    params(("account" = String, Path, description = "The account, by its name in the configuration.", example = "main"), Paging),
    responses(
        (status = 200, description = "The users.", body = Page<BlockedUser>),
        (status = 404, description = "The account answers no mentions.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(
    State(app): State<BotState>,
    Path(name): Path<String>,
    Paged(NoFilter {}, paging): Paged<NoFilter>,
) -> ApiResult<Json<Page<BlockedUser>>> {
    let account = account(&app, &name)?;
    let own = own(&app)?;
    Ok(Json(blocked::list(&own, &app.store, &account, &paging).await?))
}

/// Whom to block.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BlockRequest {
    /// The handle, with or without @, or the id.
    #[schema(example = "troll_42")]
    user: String,
    /// Why.
    reason: Option<String>,
}

/// How a user stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockAnswer {
    /// The account.
    #[schema(value_type = String)]
    pub account: AccountId,
    /// The handle in lower case, or the id.
    pub user: String,
    /// Whether the user is blocked now; `mentions.blocked_users` of the configuration counts too.
    pub blocked: bool,
    /// False when it was so before.
    pub changed: bool,
}

fn user(text: &str) -> ApiResult<String> {
    BlockedUser::name(text).ok_or_else(|| {
        let reason = "it is neither a handle (1 to 15 letters, digits and _) nor an id";
        Problem::field(Cause::InvalidRequest, "$.user", reason)
    })
}

/// Block a user
///
/// Mentions of this user are left out from now on; replies that were decided on go out.
#[utoipa::path(post, path = "/mentions/{account}/blocked", tag = "mentions", operation_id = "mentions_block",
    params(("account" = String, Path, description = "The account, by its name in the configuration.", example = "main")),
    request_body = BlockRequest,
    responses(
        (status = 201, description = "The user is blocked.", body = BlockAnswer),
        (status = 200, description = "The user was blocked before.", body = BlockAnswer),
        (status = 404, description = "The account answers no mentions.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "It is no handle and no id.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn block(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<BlockRequest>,
) -> ApiResult<(StatusCode, Json<BlockAnswer>)> {
    let (account, user) = (account(&app, &name)?, user(&request.user)?);
    let reason = request.reason.as_deref();
    let changed = app.store.mentions().block(&account, &user, reason, &caller.actor()).await?;
    let details = json!({ "user": user, "reason": reason, "changed": changed });
    app.audit(&caller, "mentions.block", account.as_str(), details).await;
    let status = if changed { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(BlockAnswer { account, user, blocked: true, changed })))
}

/// Unblock a user
#[utoipa::path(delete, path = "/mentions/{account}/blocked/{user}", tag = "mentions", operation_id = "mentions_unblock",
    params(
        ("account" = String, Path, description = "The account, by its name in the configuration.", example = "main"),
        ("user" = String, Path, description = "The handle, with or without @, or the id.", example = "troll_42"),
    ),
    responses(
        (status = 200, description = "How the user stands; one of the configuration stays blocked.", body = BlockAnswer),
        (status = 404, description = "The account answers no mentions.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "It is no handle and no id.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn unblock(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path((name, who)): Path<(String, String)>,
) -> ApiResult<Json<BlockAnswer>> {
    let (account, user) = (account(&app, &name)?, user(&who)?);
    let changed = app.store.mentions().unblock(&account, &user).await?;
    app.audit(&caller, "mentions.unblock", account.as_str(), json!({ "user": user, "changed": changed })).await;
    let blocked = own(&app)?.blocked_users.iter().any(|name| name.eq_ignore_ascii_case(&user));
    Ok(Json(BlockAnswer { account, user, blocked, changed }))
}
