//! Picks: list, look at, settle; the record that they come to.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use chrono::{DateTime, Utc};
use perch_bot::http::{
    ApiResult, BULK, BotState, Caller, Cause, Document, JsonBody, Page, Paged, Paging, Params, Path, Problem, time,
};
use perch_odds::{
    record::{By, Record},
    settle::Grade,
};
use perch_store::ActionRecord;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::{
    PicksSettings,
    extraction::{self, ConfirmError, Confirmed},
    store::{
        BetFilter, BetRow, Found, PickFilter, PicksStore as _, SettleSource, SettledBy, SettlementRow, TrackedPick,
    },
    tracking::{self, Entry, Import, Imported, ResultEntry, Settled, TrackError, Verdict},
};

fn own(app: &BotState) -> ApiResult<Arc<PicksSettings>> {
    Ok(app.settings.sections.get()?)
}

/// Results of one request.
const MOST_RESULTS: usize = 10_000;

/// Which picks to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// `true` for open ones only, `false` for settled ones only.
    open: Option<bool>,
    /// Only those that this account named.
    account: Option<String>,
    /// Only of this sport; parlays with a leg of it too.
    sport: Option<String>,
    /// Only of this market: `moneyline`, `spread`, `total`, `prop`, `future`, `parlay`.
    market: Option<String>,
    /// `true` for those that only the rules have read and nobody has confirmed.
    #[serde(default)]
    unconfirmed: bool,
    /// Only first seen from then on.
    #[serde(default, deserialize_with = "time")]
    since: Option<DateTime<Utc>>,
}

/// A pick and where it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrackedPick)]
pub struct PickAnswer {
    /// Its number.
    pub number: u64,
    /// Its key.
    pub key: String,
    /// `open`, `won`, `lost`, `push`, `void`, `half_won` or `half_lost`.
    pub state: String,
    /// How the legs of a parlay ended; null where that is open.
    pub legs: Vec<Option<String>>,
    /// The pick, as a model answers it.
    #[schema(value_type = Object)]
    pub pick: Value,
    /// The post that had it first.
    pub source_post: String,
    /// The handle of its author.
    pub author: String,
    /// When that post was written.
    pub posted_at: DateTime<Utc>,
    /// Accounts that named it.
    pub accounts: u64,
    /// The units that it came to for the account that named it first.
    pub units: Option<f64>,
    /// The odds when its game began.
    pub closing_odds: Option<String>,
    /// When it was settled.
    pub settled_at: Option<DateTime<Utc>>,
    /// By whom.
    pub settled_by: Option<String>,
    /// On what grounds: `stated`, `score`, `import`, `results`.
    pub source: Option<String>,
    /// Whether it was opened again by hand: results do not settle it until somebody does.
    pub held: bool,
    /// What was noted about it.
    pub note: Option<String>,
    /// Who read it out of its post: a provider, or `rules`.
    pub read_by: Option<String>,
    /// Whether nothing is done about it yet, as only the rules have read it.
    pub unconfirmed: bool,
    /// Who confirmed what only the rules had read.
    pub confirmed_by: Option<String>,
    /// When.
    pub confirmed_at: Option<DateTime<Utc>>,
}

impl From<TrackedPick> for PickAnswer {
    fn from(pick: TrackedPick) -> Self {
        Self {
            number: pick.number,
            key: pick.key,
            state: crate::store::state_word(pick.grade).to_owned(),
            legs: pick.legs.iter().map(|leg| leg.map(|grade| grade.as_str().to_owned())).collect(),
            pick: json!(pick.pick),
            source_post: pick.source_post.to_string(),
            author: pick.author,
            posted_at: pick.posted_at,
            accounts: pick.accounts,
            units: pick.units,
            closing_odds: pick.closing_odds,
            settled_at: pick.settled_at,
            settled_by: pick.settled_by,
            source: pick.source,
            held: pick.held,
            note: pick.note,
            read_by: pick.read_by,
            unconfirmed: pick.unconfirmed,
            confirmed_by: pick.confirmed_by,
            confirmed_at: pick.confirmed_at,
        }
    }
}

/// A pick with what it came to, and how it was settled.
#[derive(Debug, Serialize, ToSchema)]
pub struct PickDetails {
    /// The pick.
    #[serde(flatten)]
    pub pick: PickAnswer,
    /// What it came to for each account that named it, with `odds` and `stake` of its own or assumed.
    #[schema(value_type = Vec<Object>)]
    pub bets: Vec<BetRow>,
    /// Every settlement, the first one first.
    #[schema(value_type = Vec<Object>)]
    pub settlements: Vec<SettlementRow>,
    /// What the bots did about it: kind, state, text, and why it was chosen or failed.
    #[schema(value_type = Vec<Object>)]
    pub actions: Vec<ActionRecord>,
    /// Its odds (American, decimal, implied), stake, league and start in figures, as the first post has them.
    #[schema(value_type = Object)]
    pub terms: Value,
}

/// How a pick ended: by `outcome`, or by `score` or `counted`, which decide it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleRequest {
    /// `won`, `lost`, `push`, `void`, `half_won`, `half_lost`, or `open` to take a settlement back; then results leave the
    /// pick alone until somebody settles it.
    #[schema(example = "won")]
    pub outcome: Option<String>,
    /// What both sides scored: in the order of the pick's event, or the side it backs first.
    #[schema(value_type = Option<Vec<f64>>, min_items = 2, max_items = 2, example = json!([112, 104]))]
    pub score: Option<[f64; 2]>,
    /// What the player of a prop has of what it counts.
    pub counted: Option<f64>,
    /// The leg of a parlay that this is about, from 1.
    pub leg: Option<usize>,
    /// The odds when the game began.
    #[schema(example = "-120")]
    pub closing: Option<String>,
    /// A note about it.
    pub note: Option<String>,
}

/// Results of games to keep and to settle by.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultsRequest {
    /// The results, at most 10,000.
    #[schema(max_items = 10_000)]
    pub results: Vec<ResultEntry>,
    /// Says what would be settled, and writes nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Which bets to add up, and how.
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
    /// Only posted from then on.
    #[serde(default, deserialize_with = "time")]
    since: Option<DateTime<Utc>>,
    /// Only posted before.
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
    /// Of all of them.
    #[schema(value_type = Object)]
    pub total: Record,
    /// Of each group.
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
        Found::One(pick) => Ok(*pick),
        Found::Nothing => {
            Err(Problem::new(Cause::NotFound, format!("There is no pick {shown:?}; GET /api/v1/picks lists them.")))
        }
        Found::Several(some) => {
            let numbers: Vec<String> = some.iter().map(|pick| pick.number.to_string()).collect();
            let detail =
                format!("Several keys begin with {shown:?}, those of the picks {} among them.", numbers.join(", "));
            Err(Problem::new(Cause::Conflict, detail))
        }
    }
}

/// List picks
#[utoipa::path(get, path = "/picks", tag = "picks", operation_id = "picks", params(ListParams, Paging),
    responses((status = 200, description = "The picks.", body = Page<PickAnswer>)))]
pub(super) async fn list(
    State(app): State<BotState>,
    Paged(params, paging): Paged<ListParams>,
) -> ApiResult<Json<Page<PickAnswer>>> {
    let filter = PickFilter {
        open: params.open,
        account: params.account,
        sport: params.sport,
        market: params.market,
        unconfirmed: params.unconfirmed,
        since: params.since,
        until: None,
    };
    Ok(Json(app.store.tracking().list(&filter, &paging).await?.map(PickAnswer::from)))
}

/// Look at a pick
///
/// What it came to for each account that named it, and every settlement there was.
#[utoipa::path(get, path = "/picks/{key}", tag = "picks", operation_id = "pick",
    params(("key" = String, Path, description = "Its number, its key, or how its key begins.", example = "1")),
    responses(
        (status = 200, description = "The pick.", body = PickDetails),
        (status = 404, description = "There is no such pick.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Several keys begin so.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn one(State(app): State<BotState>, Path(key): Path<String>) -> ApiResult<Json<PickDetails>> {
    let pick = find(&app, &key).await?;
    let tracking = app.store.tracking();
    let (bets, settlements) = (tracking.bets_of(&pick.key).await?, tracking.history(&pick.key).await?);
    let actions = app.store.picks().actions_of(&pick.key).await?;
    let terms = json!(pick.terms);
    Ok(Json(PickDetails { pick: pick.into(), bets, settlements, actions, terms }))
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
/// One that only the rules have read: what was planned about it is done now, once, however often this is asked.
#[utoipa::path(post, path = "/picks/{key}/confirm", tag = "picks", operation_id = "confirm_pick",
    params(("key" = String, Path, description = "Its number, its key, or how its key begins.")),
    responses(
        (status = 200, description = "It is confirmed.", body = Confirmed),
        (status = 404, description = "There is no such pick.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Several keys begin so, it needs no confirmation, or its post was edited and does not have it any more.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn confirm(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
) -> ApiResult<Json<Confirmed>> {
    let pick = find(&app, &key).await?;
    let confirmed = extraction::confirm(&app.client, &app.store, pick, &caller.actor()).await.map_err(not_confirmed)?;
    app.audit(&caller, "pick.confirm", &confirmed.key, json!(confirmed)).await;
    Ok(Json(confirmed))
}

/// Settle a pick
///
/// Also one that is settled already: the last settlement holds, and the history keeps each. Every account that named the pick
/// has it in its record, at its own odds and stake.
#[utoipa::path(post, path = "/picks/{key}/settle", tag = "picks", operation_id = "settle_pick",
    params(("key" = String, Path, description = "Its number, its key, or how its key begins.", example = "1")), request_body = SettleRequest,
    responses(
        (status = 200, description = "It is settled.", body = Settled),
        (status = 404, description = "There is no such pick.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Several keys begin so, or somebody else settles it.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "This does not decide it.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn settle(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
    JsonBody(body): JsonBody<SettleRequest>,
) -> ApiResult<Json<Settled>> {
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
        Some("open") => Some(Verdict::Reopened),
        Some(word) => {
            let grade: Result<Grade, _> = word.parse();
            Some(Verdict::Stated(grade.map_err(|error| refuse("$.outcome", error.to_string()))?))
        }
    };
    let score = body.score.map(|[first, second]| Verdict::Score(first, second));
    let mut said = [stated, score, body.counted.map(Verdict::Counted)].into_iter().flatten();
    let verdict = said.next();
    if said.next().is_some() {
        return Err(refuse("$.outcome", "give one of outcome, score and counted".into()));
    }
    Ok(Entry { verdict, leg: body.leg, closing: body.closing, note: body.note })
}

/// Enter results of games
///
/// They are kept, and every open pick that they decide is settled: all of it or nothing. A result that came before is
/// replaced, and picks that it settled are settled again by it; what somebody settled by hand stays as it is, and the answer
/// lists it where the results say otherwise.
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
    let by = word.parse().ok().filter(|by: &By| by.to_string() == word).ok_or_else(|| {
        let unknown = perch_odds::record::UnknownGrouping(word.chars().take(80).collect());
        Problem::field(Cause::InvalidQuery, "by", unknown.to_string())
    })?;
    let RecordParams { account, sport, market, since, until, .. } = params;
    let filter = BetFilter { account, sport, market, since, until };
    let (total, groups) = tracking::record(&app.store, &filter, by).await.map_err(Problem::from)?;
    let groups = groups.into_iter().map(|(group, record)| GroupRecord { group, record }).collect();
    Ok(Json(RecordAnswer { total, groups }))
}
