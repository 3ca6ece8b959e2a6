//! The bots that answer mentions: their status, and the switches for reading and replying.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Json, extract::State};
use perch_bot::http::{ApiResult, BotState, Caller, Cause, Document, JsonBody, Page, Paged, Paging, Path, Problem};
use perch_jobs::{AccountId, JobId, PollMentions};
use perch_store::RateWindows;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::{
    MentionControl, MentionFilter, MentionRecord, MentionState, MentionStatus, MentionStore as _, MentionsSettings,
    mention_status, settle,
};

/// The shortest and the longest interval, in milliseconds.
const SHORTEST: u64 = 1_000;
const LONGEST: u64 = 86_400_000;

pub(super) fn own(app: &BotState) -> ApiResult<Arc<MentionsSettings>> {
    Ok(app.settings.sections.get::<MentionsSettings>()?)
}

pub(super) fn account(app: &BotState, name: &str) -> ApiResult<AccountId> {
    let accounts = &own(app)?.accounts;
    let found = accounts.iter().find(|account| account.as_str() == name);
    found.cloned().ok_or_else(|| {
        let given: String = name.chars().take(80).collect();
        let known: Vec<&str> = accounts.iter().map(AccountId::as_str).collect();
        let detail = format!("{given:?} answers no mentions (mentions.accounts); there are {}", known.join(", "));
        Problem::new(Cause::NotFound, detail)
    })
}

fn control(app: &BotState) -> MentionControl {
    MentionControl::new(app.client.queues().redis().clone(), app.store.clone())
}

/// Which mentions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MentionParams {
    /// Only in this state.
    #[param(inline)]
    state: Option<MentionState>,
    /// Only of this author, by handle or id.
    author: Option<String>,
}

/// List mentions
///
/// What became of the mentions of an account, the latest first.
#[utoipa::path(get, path = "/mentions/{account}", tag = "mentions", operation_id = "mentions",
    params(("account" = String, Path, description = "The account, by its name in the configuration.", example = "main"), MentionParams, Paging),
    responses(
        (status = 200, description = "The mentions.", body = Page<MentionRecord>),
        (status = 404, description = "The account answers no mentions.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(
    State(app): State<BotState>,
    Path(name): Path<String>,
    Paged(MentionParams { state, author }, paging): Paged<MentionParams>,
) -> ApiResult<Json<Page<MentionRecord>>> {
    let account = account(&app, &name)?;
    settle(&app.store, &account).await?;
    let filter = MentionFilter { account: Some(account), state, author };
    Ok(Json(app.store.mentions().list(&filter, &paging).await?))
}

/// Look at a bot that answers mentions
///
/// Whether it reads and replies, how often, how far it is, what became of the mentions of the last day, and the rate limits.
#[utoipa::path(get, path = "/mentions/{account}/status", tag = "mentions", operation_id = "mention_status",
    params(("account" = String, Path, description = "The account, by its name in the configuration.", example = "main")),
    responses(
        (status = 200, description = "How it stands.", body = MentionStatus),
        (status = 404, description = "The account answers no mentions.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn status(State(app): State<BotState>, Path(name): Path<String>) -> ApiResult<Json<MentionStatus>> {
    let account = account(&app, &name)?;
    settle(&app.store, &account).await?;
    let windows = RateWindows::new(app.client.queues().redis().clone(), app.settings.env);
    let own = own(&app)?;
    Ok(Json(mention_status(&own, &app.store, &control(&app), &windows, &account).await?))
}

/// How a switch stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct SwitchAnswer {
    /// The account.
    #[schema(value_type = String)]
    pub account: AccountId,
    /// Whether it runs now.
    pub running: bool,
    /// False when it was so before.
    pub changed: bool,
}

async fn set_polling(app: &BotState, caller: &Caller, name: &str, running: bool) -> ApiResult<Json<SwitchAnswer>> {
    let account = account(app, name)?;
    let changed = control(app).set_polling(&account, running, &caller.actor()).await?;
    let action = if running { "mentions.start" } else { "mentions.stop" };
    app.audit(caller, action, account.as_str(), json!({ "changed": changed })).await;
    Ok(Json(SwitchAnswer { account, running, changed }))
}

async fn set_replying(app: &BotState, caller: &Caller, name: &str, running: bool) -> ApiResult<Json<SwitchAnswer>> {
    let account = account(app, name)?;
    let changed = control(app).set_replying(&account, running, &caller.actor()).await?;
    let action = if running { "mentions.resume" } else { "mentions.pause" };
    app.audit(caller, action, account.as_str(), json!({ "changed": changed })).await;
    Ok(Json(SwitchAnswer { account, running, changed }))
}

/// Start reading mentions
#[utoipa::path(post, path = "/mentions/{account}/start", tag = "mentions", operation_id = "mentions_start",
    params(("account" = String, Path, description = "The account, by its name in the configuration.", example = "main")),
    responses(
        (status = 200, description = "They are read.", body = SwitchAnswer),
        (status = 404, description = "The account answers no mentions.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn start(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<Json<SwitchAnswer>> {
    set_polling(&app, &caller, &name, true).await
}

/// Stop reading mentions
///
/// Mentions that were read already are still answered; `pause` stops that.
#[utoipa::path(post, path = "/mentions/{account}/stop", tag = "mentions", operation_id = "mentions_stop",
    params(("account" = String, Path, description = "The account, by its name in the configuration.", example = "main")),
    responses(
        (status = 200, description = "They are not read.", body = SwitchAnswer),
        (status = 404, description = "The account answers no mentions.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn stop(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<Json<SwitchAnswer>> {
    set_polling(&app, &caller, &name, false).await
}

/// Resume replying
#[utoipa::path(post, path = "/mentions/{account}/resume", tag = "mentions", operation_id = "mentions_resume",
    params(("account" = String, Path, description = "The account, by its name in the configuration.", example = "main")),
    responses(
        (status = 200, description = "Mentions are replied to.", body = SwitchAnswer),
        (status = 404, description = "The account answers no mentions.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn resume(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<Json<SwitchAnswer>> {
    set_replying(&app, &caller, &name, true).await
}

/// Pause replying
///
/// Mentions are read and wait; those that get older than `mentions.max_age` are left out. Replies that were decided on go out.
#[utoipa::path(post, path = "/mentions/{account}/pause", tag = "mentions", operation_id = "mentions_pause",
    params(("account" = String, Path, description = "The account, by its name in the configuration.", example = "main")),
    responses(
        (status = 200, description = "Mentions wait.", body = SwitchAnswer),
        (status = 404, description = "The account answers no mentions.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn pause(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<Json<SwitchAnswer>> {
    set_replying(&app, &caller, &name, false).await
}

/// The job that fetches.
#[derive(Debug, Serialize, ToSchema)]
pub struct FetchAnswer {
    /// Its id, or that of a fetch that is waiting already.
    #[schema(value_type = String)]
    pub job_id: JobId,
}

/// Fetch mentions now
///
/// Whatever the interval says, and also while reading is stopped.
#[utoipa::path(post, path = "/mentions/{account}/fetch", tag = "mentions", operation_id = "mentions_fetch",
    params(("account" = String, Path, description = "The account, by its name in the configuration.", example = "main")),
    responses(
        (status = 202, description = "A job fetches them.", body = FetchAnswer),
        (status = 404, description = "The account answers no mentions.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn fetch(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<(axum::http::StatusCode, Json<FetchAnswer>)> {
    let account = account(&app, &name)?;
    let job_id = app.client.enqueue(&PollMentions { account: Some(account.clone()), now: true }).await?.id;
    app.audit(&caller, "mentions.fetch", account.as_str(), json!({ "job": job_id })).await;
    Ok((axum::http::StatusCode::ACCEPTED, Json(FetchAnswer { job_id })))
}

/// How often mentions are read.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IntervalRequest {
    /// In milliseconds, 1,000 to 86,400,000. It holds until another is set, also over a deploy.
    #[schema(minimum = 1000, maximum = 86_400_000, example = 120_000)]
    pub interval_ms: u64,
}

/// Set how often mentions are read
#[utoipa::path(put, path = "/mentions/{account}/interval", tag = "mentions", operation_id = "mentions_interval",
    params(("account" = String, Path, description = "The account, by its name in the configuration.", example = "main")),
    request_body = IntervalRequest,
    responses(
        (status = 200, description = "It holds.", body = IntervalRequest),
        (status = 404, description = "The account answers no mentions.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The interval is out of range.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn interval(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<IntervalRequest>,
) -> ApiResult<Json<IntervalRequest>> {
    let account = account(&app, &name)?;
    if !(SHORTEST..=LONGEST).contains(&request.interval_ms) {
        let reason = format!("it is {}; {SHORTEST} to {LONGEST} are allowed", request.interval_ms);
        return Err(Problem::field(Cause::InvalidRequest, "$.interval_ms", reason));
    }
    control(&app).set_interval(&account, Duration::from_millis(request.interval_ms), &caller.actor()).await?;
    app.audit(&caller, "mentions.interval", account.as_str(), json!({ "interval_ms": request.interval_ms })).await;
    Ok(Json(request))
}
