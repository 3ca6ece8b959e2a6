//! The routes of watched accounts: list, show, add, change, remove.

use axum::{Extension, Json, extract::State, http::StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use perch_bot::http::{ApiResult, BotState, Caller, Cause, Document, JsonBody, Page, Paged, Paging, Path, Problem};
use perch_jobs::JobId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::{
    store::{AccountChange, PicksStore as _, PollJob, PollTotals},
    watch_list::{self, InvalidAccount, WatchList, WatchedAccount},
};

/// How many polls of an account are returned.
const POLLS: u32 = 20;
/// Over how many days polls are added up.
const DAYS: i64 = 30;

/// Which accounts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Includes accounts that are not watched any more.
    #[serde(default)]
    all: bool,
}

/// A poll of an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Poll)]
pub struct PollAnswer {
    /// Its job.
    #[schema(value_type = String)]
    pub job: JobId,
    /// The state of the job.
    pub state: String,
    /// When it was enqueued.
    pub at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How many posts were read and taken, and how many were skipped by reason.
    #[schema(value_type = Value)]
    pub result: Option<Value>,
    /// Why its last attempt failed.
    pub error: Option<String>,
}

impl From<PollJob> for PollAnswer {
    fn from(poll: PollJob) -> Self {
        let PollJob { job, state, at, finished_at, result, error } = poll;
        Self { job, state: state.as_str().to_owned(), at, finished_at, result, error }
    }
}

/// The totals of the polls of an account in the last 30 days, as far as the history of jobs goes back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PollTotals)]
pub struct TotalsAnswer {
    /// Polls that succeeded.
    pub polls: u64,
    /// Posts that X returned.
    pub read: u64,
    /// Of these, handed on to extraction.
    pub taken: u64,
    /// The others, by the reason for skipping them.
    #[schema(value_type = Object, example = json!({ "too_old": 3, "processed": 1 }))]
    pub skipped: std::collections::BTreeMap<String, u64>,
    /// Picks in its posts.
    pub picks: u64,
    /// Of these, picks that it posted before anyone else.
    pub picks_first: u64,
}

impl From<PollTotals> for TotalsAnswer {
    fn from(totals: PollTotals) -> Self {
        let PollTotals { polls, read, taken, skipped, picks, picks_first } = totals;
        Self { polls, read, taken, skipped, picks, picks_first }
    }
}

/// An account with its latest polls.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountAnswer {
    /// The account.
    #[serde(flatten)]
    pub account: WatchedAccount,
    /// Its latest polls, newest first.
    pub polls: Vec<PollAnswer>,
    /// The totals of the last 30 days.
    pub totals: TotalsAnswer,
}

/// An account to watch. Settings that are left out follow the configuration.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// Its handle, with or without `@`.
    #[schema(example = "sharp_sally")]
    pub handle: String,
    /// A schedule of its own: five cron fields, or six with seconds first.
    #[schema(example = "0 */2 * * *")]
    pub schedule: Option<String>,
    /// The time zone of that schedule, an IANA name; UTC when it is left out.
    pub timezone: Option<String>,
    /// Posts on a page, 5 to 100.
    #[schema(minimum = 5, maximum = 100)]
    pub posts_per_poll: Option<u8>,
    /// The most pages of a poll, 1 to 64.
    #[schema(minimum = 1, maximum = 64)]
    pub pages: Option<u8>,
    /// The age in milliseconds from which posts are skipped.
    pub max_age_ms: Option<u64>,
    /// A note, at most 500 characters.
    #[schema(max_length = 500)]
    pub note: Option<String>,
}

/// A change to an account. Settings that are left out stay; null resets a setting to the configuration.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = AccountChange)]
#[expect(dead_code, reason = "it describes what is read as the store's own type")]
pub struct ChangeBody {
    /// Whether it is polled.
    pub enabled: Option<bool>,
    /// A schedule of its own, as cron fields.
    pub schedule: Option<String>,
    /// The time zone of that schedule.
    pub timezone: Option<String>,
    /// Posts on a page, 5 to 100.
    #[schema(minimum = 5, maximum = 100)]
    pub posts_per_poll: Option<u8>,
    /// The most pages of a poll, 1 to 64.
    #[schema(minimum = 1, maximum = 64)]
    pub pages: Option<u8>,
    /// The age in milliseconds from which posts are skipped.
    pub max_age_ms: Option<u64>,
    /// A note, at most 500 characters.
    #[schema(max_length = 500)]
    pub note: Option<String>,
}

fn refused(error: InvalidAccount) -> Problem {
    Problem::field(Cause::InvalidRequest, format!("$.{}", error.field), error.reason)
}

fn unknown(handle: &str) -> Problem {
    let handle: String = handle.chars().take(40).collect();
    Problem::new(
        Cause::NotFound,
        format!("{handle:?} is not among the watched accounts; GET /api/v1/accounts lists them."),
    )
}

async fn find(app: &BotState, handle: &str) -> ApiResult<WatchedAccount> {
    let handle = watch_list::handle(handle).map_err(|_| unknown(handle))?;
    WatchList::new(&app.settings)?.one(&app.store, handle).await?.ok_or_else(|| unknown(handle))
}

/// List watched accounts
///
/// Accounts from the configuration and those that operators added, with their schedule and how their last poll ended.
#[utoipa::path(get, path = "/accounts", tag = "accounts", operation_id = "accounts", params(ListParams, Paging),
    responses((status = 200, description = "The accounts, by handle.", body = Page<WatchedAccount>)))]
pub(super) async fn list(
    State(app): State<BotState>,
    Paged(ListParams { all }, paging): Paged<ListParams>,
) -> ApiResult<Json<Page<WatchedAccount>>> {
    Ok(Json(WatchList::new(&app.settings)?.page(&app.store, all, &paging).await?))
}

/// Look at a watched account
///
/// Its settings, its latest polls, and their totals with the reasons for which posts were skipped.
#[utoipa::path(get, path = "/accounts/{username}", tag = "accounts", operation_id = "account",
    params(("username" = String, Path, description = "The handle, in any case.", example = "sharp_sally")),
    responses(
        (status = 200, description = "The account.", body = AccountAnswer),
        (status = 404, description = "It is not watched and never was.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn one(State(app): State<BotState>, Path(username): Path<String>) -> ApiResult<Json<AccountAnswer>> {
    let account = find(&app, &username).await?;
    let accounts = app.store.accounts();
    let polls = accounts.polls(&account.username, POLLS).await?.into_iter().map(PollAnswer::from).collect();
    let totals = accounts.totals(&account.username, Utc::now() - TimeDelta::days(DAYS)).await?.into();
    Ok(Json(AccountAnswer { account, polls, totals }))
}

/// Watch an account
///
/// A removed account is watched again. For an account that is already watched, the settings in the request are changed.
#[utoipa::path(post, path = "/accounts", tag = "accounts", operation_id = "watch", request_body = NewAccount,
    responses(
        (status = 201, description = "It is watched from now on.", body = WatchedAccount),
        (status = 200, description = "It was watched already.", body = WatchedAccount),
        (status = 422, description = "The handle or a setting cannot be used.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn add(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<NewAccount>,
) -> ApiResult<(StatusCode, Json<WatchedAccount>)> {
    let handle = watch_list::handle(&body.handle).map_err(refused)?.to_owned();
    let change = AccountChange {
        enabled: None,
        note: body.note.map(Some),
        schedule: body.schedule.map(Some),
        timezone: body.timezone.map(Some),
        posts_per_poll: body.posts_per_poll.map(Some),
        pages: body.pages.map(Some),
        max_age_ms: body.max_age_ms.map(Some),
    };
    watch_list::check(&change).map_err(refused)?;
    let list = WatchList::new(&app.settings)?;
    let before = list.one(&app.store, &handle).await?;
    let row = app.store.accounts().add(&handle, &change, &caller.actor()).await?;
    app.audit(&caller, "account.add", &row.username, json!(change)).await;
    let status = if before.is_some_and(|before| before.watched) { StatusCode::OK } else { StatusCode::CREATED };
    let account = list.seen(row, Utc::now()).ok_or_else(|| unknown(&handle))?;
    Ok((status, Json(account)))
}

/// Change a watched account
///
/// A new schedule counts from now on: earlier ticks are not caught up.
#[utoipa::path(patch, path = "/accounts/{username}", tag = "accounts", operation_id = "change_account",
    params(("username" = String, Path, description = "The handle, in any case.", example = "sharp_sally")), request_body = ChangeBody,
    responses(
        (status = 200, description = "The account as it is now.", body = WatchedAccount),
        (status = 404, description = "It is not watched and never was.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It was removed; add it again first.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "A setting cannot be used.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn change(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(username): Path<String>,
    JsonBody(change): JsonBody<AccountChange>,
) -> ApiResult<Json<WatchedAccount>> {
    let account = find(&app, &username).await?;
    if account.removed_at.is_some() {
        let detail = format!("{} was removed; POST /api/v1/accounts watches it again.", account.handle);
        return Err(Problem::new(Cause::Conflict, detail));
    }
    watch_list::check(&change).map_err(refused)?;
    let row = app.store.accounts().change(&account.handle, &change).await?;
    app.audit(&caller, "account.change", &row.username, json!(change)).await;
    WatchList::new(&app.settings)?.seen(row, Utc::now()).map(Json).ok_or_else(|| unknown(&username))
}

/// Stop watching an account
///
/// This also works for an account that the configuration names. Its data stays, and adding it again continues where its polls ended.
#[utoipa::path(delete, path = "/accounts/{username}", tag = "accounts", operation_id = "unwatch",
    params(("username" = String, Path, description = "The handle, in any case.", example = "sharp_sally")),
    responses(
        (status = 200, description = "It is not watched any more.", body = WatchedAccount),
        (status = 404, description = "It is not watched.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn remove(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(username): Path<String>,
) -> ApiResult<Json<WatchedAccount>> {
    let account = find(&app, &username).await?;
    if account.removed_at.is_some() {
        return Err(unknown(&username));
    }
    let row = app.store.accounts().remove(&account.handle, &caller.actor()).await?;
    app.audit(&caller, "account.remove", &row.username, json!({})).await;
    WatchList::new(&app.settings)?.seen(row, Utc::now()).map(Json).ok_or_else(|| unknown(&username))
}
