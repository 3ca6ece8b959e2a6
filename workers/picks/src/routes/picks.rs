//! The routes of picks: list, show, confirm, settle; results and the record.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use chrono::{DateTime, Utc};
use perch_bot::http::{
    ApiResult, BULK, BotState, Caller, Cause, Document, JsonBody, Page, Paged, Paging, Params, Path, Problem, time,
};
use perch_odds::{
    record::{GroupBy, Record},
    settle::Grade,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::{
    PicksSettings,
    extraction::{self, ConfirmError, ConfirmedPick},
    store::{BetFilter, PickFilter, PickLookup, PicksStore as _, SettleSource, SettledBy, TrackedPick},
    tracking::{self, EnteredOutcome, Entry, Import, Imported, PickDetails, ResultEntry, SettledPick, TrackError},
};

fn own(app: &BotState) -> ApiResult<Arc<PicksSettings>> {
    Ok(app.settings.sections.get()?)
}

/// The most results of one request.
const MOST_RESULTS: usize = 10_000;

/// Which picks to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// `true` for open ones only, `false` for settled ones only.
    open: Option<bool>,
    /// Only picks that this account named.
    account: Option<String>,
    /// Only of this sport; parlays with a leg of it too.
    sport: Option<String>,
    /// Only of this market: `moneyline`, `spread`, `total`, `prop`, `future`, `parlay`.
    market: Option<String>,
    /// `true` for unconfirmed picks only, which only the rules have read.
    #[serde(default)]
    unconfirmed: bool,
    /// Only picks first seen since then.
    #[serde(default, deserialize_with = "time")]
    since: Option<DateTime<Utc>>,
}

/// How a pick ended: `outcome`, or `score` or `counted`, from which the outcome is computed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleRequest {
    /// `won`, `lost`, `push`, `void`, `half_won`, `half_lost`, or `open` to reopen it. Results do not settle a reopened pick until somebody
    /// settles it by hand.
    #[schema(example = "won")]
    pub outcome: Option<String>,
    /// The scores of both sides: in the order of the pick's event, or with the backed side first.
    #[schema(value_type = Option<Vec<f64>>, min_items = 2, max_items = 2, example = json!([112, 104]))]
    pub score: Option<[f64; 2]>,
    /// The value of the statistic for the player of a prop.
    pub counted: Option<f64>,
    /// The leg of a parlay that this is about, from 1.
    pub leg: Option<usize>,
    /// The odds when the game began.
    #[schema(example = "-120")]
    pub closing: Option<String>,
    /// A note about it.
    pub note: Option<String>,
}

/// Results of games to store and to settle picks by.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultsRequest {
    /// The results, at most 10,000.
    #[schema(max_items = 10_000)]
    pub results: Vec<ResultEntry>,
    /// Returns what would be settled, and writes nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Which bets the record covers, and how it is grouped.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RecordParams {
    /// Only of this account.
    account: Option<String>,
    /// Only of this sport.
    sport: Option<String>,
    /// Only of this market.
    market: Option<String>,
    /// Only bets posted since then.
    #[serde(default, deserialize_with = "time")]
    since: Option<DateTime<Utc>>,
    /// Only bets posted before then.
    #[serde(default, deserialize_with = "time")]
    until: Option<DateTime<Utc>>,
    /// Grouped by `account`, `sport`, `market`, `day`, `week`, `month` or `year`. Default account.
    #[param(value_type = Option<String>, pattern = "^(account|sport|market|day|week|month|year)$")]
    by: Option<String>,
}

/// The record of a group of bets.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupRecord {
    /// The account, sport, market or period.
    pub group: String,
    /// Bets, won, lost, pushed, void, halves, staked, units, roi, hit rate, streaks, closing-line value.
    #[schema(value_type = Object)]
    pub record: Record,
}

/// The record of settled bets.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordAnswer {
    /// The record of all bets.
    #[schema(value_type = Object)]
    pub total: Record,
    /// The record of each group.
    pub groups: Vec<GroupRecord>,
}

fn not_tracked(error: TrackError) -> Problem {
    match error {
        TrackError::Store(error) => error.into(),
        TrackError::Settle(error) => Problem::new(Cause::InvalidRequest, format!("{error}.")),
        TrackError::Entry { field, reason } => Problem::field(Cause::InvalidRequest, format!("$.{field}"), reason),
        TrackError::Meanwhile => Problem::new(Cause::Conflict, format!("{error}.")),
    }
}

async fn find(app: &BotState, key: &str) -> ApiResult<TrackedPick> {
    let shown: String = key.chars().take(80).collect();
    match app.store.tracking().find(key).await? {
        PickLookup::One(pick) => Ok(*pick),
        PickLookup::NotFound => {
            Err(Problem::new(Cause::NotFound, format!("There is no pick {shown:?}; GET /api/v1/picks lists them.")))
        }
        PickLookup::Several(some) => {
            let numbers: Vec<String> = some.iter().map(|pick| pick.number.to_string()).collect();
            let detail =
                format!("Several keys begin with {shown:?}, those of the picks {} among them.", numbers.join(", "));
            Err(Problem::new(Cause::Conflict, detail))
        }
    }
}

/// List picks
#[utoipa::path(get, path = "/picks", tag = "picks", operation_id = "picks", params(ListParams, Paging),
    responses((status = 200, description = "The picks.", body = Page<TrackedPick>)))]
pub(super) async fn list(
    State(app): State<BotState>,
    Paged(params, paging): Paged<ListParams>,
) -> ApiResult<Json<Page<TrackedPick>>> {
    let filter = PickFilter {
        open: params.open,
        account: params.account,
        sport: params.sport,
        market: params.market,
        unconfirmed: params.unconfirmed,
        since: params.since,
        until: None,
    };
    Ok(Json(app.store.tracking().list(&filter, &paging).await?))
}

/// Look at a pick
///
/// With the bets of the accounts that named it, and every settlement.
#[utoipa::path(get, path = "/picks/{key}", tag = "picks", operation_id = "pick",
    params(("key" = String, Path, description = "Its number, its key, or how its key begins.", example = "1")),
    responses(
        (status = 200, description = "The pick.", body = PickDetails),
        (status = 404, description = "There is no such pick.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Several keys begin so.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn one(State(app): State<BotState>, Path(key): Path<String>) -> ApiResult<Json<PickDetails>> {
    let pick = find(&app, &key).await?;
    Ok(Json(PickDetails::of(&app.store, pick).await?))
}

fn not_confirmed(error: ConfirmError) -> Problem {
    match error {
        ConfirmError::NotWaiting(_) | ConfirmError::Edited { .. } => Problem::new(Cause::Conflict, format!("{error}.")),
        ConfirmError::Store(error) => error.into(),
        ConfirmError::Enqueue(error) => error.into(),
    }
}

/// Confirm a pick
///
/// Confirms a pick that only the rules have read. Its planned actions are done now; repeating the request does not repeat them.
#[utoipa::path(post, path = "/picks/{key}/confirm", tag = "picks", operation_id = "confirm_pick",
    params(("key" = String, Path, description = "Its number, its key, or how its key begins.")),
    responses(
        (status = 200, description = "It is confirmed.", body = ConfirmedPick),
        (status = 404, description = "There is no such pick.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Several keys begin so, it needs no confirmation, or its post was edited and does not have it any more.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn confirm(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
) -> ApiResult<Json<ConfirmedPick>> {
    let pick = find(&app, &key).await?;
    let confirmed = extraction::confirm(&app.client, &app.store, pick, &caller.actor()).await.map_err(not_confirmed)?;
    app.audit(&caller, "pick.confirm", &confirmed.key, json!(confirmed)).await;
    Ok(Json(confirmed))
}

/// Settle a pick
///
/// A settled pick can be settled again: the last settlement counts, and the history keeps each. Every account that named the pick has
/// it in its record, at its own odds and stake.
#[utoipa::path(post, path = "/picks/{key}/settle", tag = "picks", operation_id = "settle_pick",
    params(("key" = String, Path, description = "Its number, its key, or how its key begins.", example = "1")), request_body = SettleRequest,
    responses(
        (status = 200, description = "It is settled.", body = SettledPick),
        (status = 404, description = "There is no such pick.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Several keys begin so, or somebody else settles it.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "This does not decide it.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn settle(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
    JsonBody(body): JsonBody<SettleRequest>,
) -> ApiResult<Json<SettledPick>> {
    let entry = entry(body)?;
    let pick = find(&app, &key).await?;
    let settings = own(&app)?;
    let settled = tracking::settle(&app.store, &settings, pick, &entry, &caller.actor()).await.map_err(not_tracked)?;
    app.audit(&caller, "pick.settle", &settled.key, json!(settled)).await;
    Ok(Json(settled))
}

fn entry(body: SettleRequest) -> ApiResult<Entry> {
    let refuse = |field: &str, reason: String| Problem::field(Cause::InvalidRequest, field, reason);
    let stated = match body.outcome.as_deref() {
        None => None,
        Some("open") => Some(EnteredOutcome::Reopened),
        Some(word) => {
            let grade: Result<Grade, _> = word.parse();
            Some(EnteredOutcome::Stated(grade.map_err(|error| refuse("$.outcome", error.to_string()))?))
        }
    };
    let score = body.score.map(|[first, second]| EnteredOutcome::Score(first, second));
    let mut said = [stated, score, body.counted.map(EnteredOutcome::Counted)].into_iter().flatten();
    let outcome = said.next();
    if said.next().is_some() {
        return Err(refuse("$.outcome", "give one of outcome, score and counted".into()));
    }
    Ok(Entry { outcome, leg: body.leg, closing: body.closing, note: body.note })
}

/// Enter results of games
///
/// Stores the results and settles every open pick that they decide, in one transaction. An earlier result of the same game is replaced,
/// and the picks that it settled are settled again. Picks settled by hand stay as they are; the answer lists those that contradict the
/// results.
#[utoipa::path(post, path = "/results", tag = "picks", operation_id = "enter_results", request_body = ResultsRequest,
    responses(
        (status = 200, description = "What is settled by them.", body = Imported),
        (status = 422, description = "A result cannot be used.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn results(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<ResultsRequest, BULK>,
) -> ApiResult<Json<Imported>> {
    if body.results.len() > MOST_RESULTS {
        let reason = format!("it has {} entries; at most {MOST_RESULTS} are taken", body.results.len());
        return Err(Problem::field(Cause::InvalidRequest, "$.results", reason));
    }
    let read = body.results.into_iter().enumerate().map(|(at, entry)| {
        entry.into_row().map_err(|error| {
            Problem::field(Cause::InvalidRequest, format!("$.results[{at}].{}", error.field), error.reason)
        })
    });
    let import = Import { games: read.collect::<ApiResult<Vec<_>>>()?, entries: Vec::new() };
    let by = SettledBy { actor: caller.actor(), source: SettleSource::Import };
    let settings = own(&app)?;
    let imported = tracking::import(&app.store, &settings, &import, &by, body.dry_run).await.map_err(not_tracked)?;
    if !body.dry_run {
        let (settled, corrected) = (imported.settled.len(), imported.corrected.len());
        let details = json!({ "games": imported.games, "settled": settled, "corrected": corrected });
        app.audit(&caller, "results.import", "results", details).await;
    }
    Ok(Json(imported))
}

/// The record
///
/// Won and lost, units, return on investment, hit rate, streaks and closing-line value of settled bets, in all and by account,
/// sport, market or period.
#[utoipa::path(get, path = "/record", tag = "picks", operation_id = "record", params(RecordParams),
    responses((status = 200, description = "The record.", body = RecordAnswer)))]
pub(super) async fn record(
    State(app): State<BotState>,
    Params(params): Params<RecordParams>,
) -> ApiResult<Json<RecordAnswer>> {
    let word = params.by.as_deref().unwrap_or("account");
    let by = word.parse().ok().filter(|by: &GroupBy| by.to_string() == word).ok_or_else(|| {
        let unknown = perch_odds::record::UnknownGrouping(word.chars().take(80).collect());
        Problem::field(Cause::InvalidQuery, "by", unknown.to_string())
    })?;
    let RecordParams { account, sport, market, since, until, .. } = params;
    let filter = BetFilter { account, sport, market, since, until };
    let (total, groups) = tracking::record(&app.store, &filter, by).await.map_err(Problem::from)?;
    let groups = groups.into_iter().map(|(group, record)| GroupRecord { group, record }).collect();
    Ok(Json(RecordAnswer { total, groups }))
}
