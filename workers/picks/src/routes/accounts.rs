//! The watched accounts: list, look at, add, change, remove.

use axum::{Extension, Json, extract::State, http::StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use perch_bot::http::{ApiResult, BotState, Caller, Cause, Document, JsonBody, Page, Paged, Paging, Path, Problem};
use perch_jobs::JobId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::{
    store::{AccountChange, PicksStore as _, PollJob, PollTotals},
    watch_list::{self, InvalidAccount, WatchList, Watched},
};

/// Polls shown of an account.
const POLLS: u32 = 20;
/// Days over which polls are added up.
const DAYS: i64 = 30;

/// Which accounts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Those too that are not watched any more.
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
    /// Where the job stands.
    pub state: String,
    /// When it was enqueued.
    pub at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Posts read and taken, and those left out by reason.
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

/// What the polls of an account came to in the last 30 days, as far as the history of jobs goes back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PollTotals)]
pub struct TotalsAnswer {
    /// Polls that ended well.
    pub polls: u64,
    /// Posts that X gave.
    pub read: u64,
    /// Of these, handed on to extraction.
    pub taken: u64,
    /// The others, by why they were left out.
    #[schema(value_type = Object, example = json!({ "too_old": 3, "processed": 1 }))]
    pub skipped: std::collections::BTreeMap<String, u64>,
    /// Picks that its posts named.
    pub picks: u64,
    /// Of these, named by it before anyone else.
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
    pub account: Watched,
    /// Its latest polls, newest first.
    pub polls: Vec<PollAnswer>,
    /// The last 30 days.
    pub totals: TotalsAnswer,
}

/// An account to watch. What is left out follows the configuration.
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
    /// Most pages of a poll, 1 to 64.
    #[schema(minimum = 1, maximum = 64)]
    pub pages: Option<u8>,
    /// The age from which posts are left out, in milliseconds.
    pub max_age_ms: Option<u64>,
    /// A note, at most 500 characters.
    #[schema(max_length = 500)]
    pub note: Option<String>,
}

/// What is to be different about an account. What is left out stays, null goes back to the configuration.
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
    /// Most pages of a poll, 1 to 64.
    #[schema(minimum = 1, maximum = 64)]
    pub pages: Option<u8>,
    /// The age from which posts are left out, in milliseconds.
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

async fn find(app: &BotState, handle: &str) -> ApiResult<Watched> {
    let handle = watch_list::handle(handle).map_err(|_| unknown(handle))?;
    WatchList::new(&app.settings)?.one(&app.store, handle).await?.ok_or_else(|| unknown(handle))
}

/// List watched accounts
///
/// Those of the configuration and those that operators added, with their schedule and how their last poll ended.
#[utoipa::path(get, path = "/accounts", tag = "accounts", operation_id = "accounts", params(ListParams, Paging),
    responses((status = 200, description = "The accounts, by handle.", body = Page<Watched>)))]
pub(super) async fn list(
    State(app): State<BotState>,
    Paged(ListParams { all }, paging): Paged<ListParams>,
) -> ApiResult<Json<Page<Watched>>> {
    Ok(Json(WatchList::new(&app.settings)?.page(&app.store, all, &paging).await?))
}

/// Look at a watched account
///
/// Its settings, its latest polls, and what they came to by the reasons for which posts were left out.
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
/// One that was removed is watched again. Of one that is watched already, what the request names becomes different.
#[utoipa::path(post, path = "/accounts", tag = "accounts", operation_id = "watch", request_body = NewAccount,
    responses(
        (status = 201, description = "It is watched from now on.", body = Watched),
        (status = 200, description = "It was watched already.", body = Watched),
        (status = 422, description = "The handle or a setting cannot be used.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn add(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<NewAccount>,
) -> ApiResult<(StatusCode, Json<Watched>)> {
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
/// A schedule of its own counts from now on: ticks that passed before are not made up for.
#[utoipa::path(patch, path = "/accounts/{username}", tag = "accounts", operation_id = "change_account",
    params(("username" = String, Path, description = "The handle, in any case.", example = "sharp_sally")), request_body = ChangeBody,
    responses(
        (status = 200, description = "The account as it is now.", body = Watched),
        (status = 404, description = "It is not watched and never was.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It was removed; add it again first.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "A setting cannot be used.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn change(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(username): Path<String>,
    JsonBody(change): JsonBody<AccountChange>,
) -> ApiResult<Json<Watched>> {
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

/// Watch an account no more
///
/// Also one that the configuration names. What is known of it stays, and adding it again goes on where its polls ended.
#[utoipa::path(delete, path = "/accounts/{username}", tag = "accounts", operation_id = "unwatch",
    params(("username" = String, Path, description = "The handle, in any case.", example = "sharp_sally")),
    responses(
        (status = 200, description = "It is not watched any more.", body = Watched),
        (status = 404, description = "It is not watched.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn remove(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(username): Path<String>,
) -> ApiResult<Json<Watched>> {
    let account = find(&app, &username).await?;
    if account.removed_at.is_some() {
        return Err(unknown(&username));
    }
    let row = app.store.accounts().remove(&account.handle, &caller.actor()).await?;
    app.audit(&caller, "account.remove", &row.username, json!({})).await;
    WatchList::new(&app.settings)?.seen(row, Utc::now()).map(Json).ok_or_else(|| unknown(&username))
}
