//! Replays or discards dead letters.

use std::{collections::BTreeMap, time::Duration};

use axum::{Extension, Json, extract::State};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use perch_bot::http::{ApiResult, Cause, Document, Problem};
use perch_core::dead_list::DeadPages;
use perch_jobs::{JobId, QueueName};
use perch_queue::{DeadLetter, Queue, Replay, ReplayOutcome};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    App,
    dead::DeadFilter,
    guard::Caller,
    input::{BULK, JsonBody, queues},
};

/// Most letters of one request.
const MOST: usize = 10_000;
/// Default limit of letters of one request.
const USUAL: usize = 1_000;
/// Letters looked up by id and handled in one step, and concurrent look-ups.
const IDS_AT_ONCE: usize = 100;
const LOOKED_UP_AT_ONCE: usize = 32;

/// Which dead letters to bring back or discard: by id, or by what they have in common.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadRequest {
    /// These letters, at most 10,000.
    #[schema(value_type = Option<Vec<String>>, max_items = 10_000)]
    pub ids: Option<Vec<JobId>>,
    /// All that fit, the latest first. `{}` means every letter.
    pub filter: Option<DeadFilter>,
    /// At most so many of those that fit, 1 to 10,000. Default 1,000.
    #[schema(minimum = 1, maximum = 10_000)]
    pub limit: Option<usize>,
    /// Only says what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeadOutcome {
    /// It waits again, with as many attempts as it had before.
    Replayed,
    /// It is removed for good.
    Discarded,
    /// It would be brought back; this was a dry run.
    WouldReplay,
    /// It would be removed; this was a dry run.
    WouldDiscard,
    /// It is not in the dead letters.
    Gone,
    /// It was changed since it was read.
    Changed,
    /// A newer job holds its unique key.
    Conflict,
    /// Its envelope cannot be read, was damaged, or was refused before it was a job: repair it with `perch dead replay --edit`, or
    /// discard it.
    Unreadable,
}

impl From<ReplayOutcome> for DeadOutcome {
    fn from(replayed: ReplayOutcome) -> Self {
        match replayed {
            ReplayOutcome::Replayed => Self::Replayed,
            ReplayOutcome::Gone => Self::Gone,
            ReplayOutcome::Changed => Self::Changed,
            ReplayOutcome::Conflict => Self::Conflict,
            ReplayOutcome::Unreadable => Self::Unreadable,
        }
    }
}

/// One letter of the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadResult {
    /// The job.
    #[schema(value_type = String)]
    pub id: JobId,
    /// Its queue; missing when no queue has it.
    #[schema(value_type = Option<String>)]
    pub queue: Option<QueueName>,
    /// What became of it.
    pub outcome: DeadOutcome,
}

/// What became of the letters.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = DeadActionAnswer)]
pub struct DeadActionAnswer {
    /// How many letters had each outcome.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub counts: BTreeMap<DeadOutcome, u64>,
    /// Each letter.
    pub results: Vec<DeadResult>,
}

impl DeadActionAnswer {
    fn add(&mut self, results: Vec<DeadResult>) {
        for result in &results {
            *self.counts.entry(result.outcome).or_default() += 1;
        }
        self.results.extend(results);
    }
}

/// An action on letters.
#[derive(Debug, Clone, Copy)]
enum DeadAction<'a> {
    Replay { by: &'a str },
    Discard { by: &'a str },
    SayReplay,
    SayDiscard,
}

/// Bring dead letters back
///
/// Each waits again with as many attempts as it had before. A letter keeps its id, so an effect that it already had is not
/// repeated.
#[utoipa::path(post, path = "/dead/replay", tag = "dead letters", operation_id = "replay", request_body = DeadRequest,
    responses(
        (status = 200, description = "What became of each letter.", body = DeadActionAnswer),
        (status = 422, description = "The request has the wrong form.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn replay(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    JsonBody(request): JsonBody<DeadRequest, BULK>,
) -> ApiResult<Json<DeadActionAnswer>> {
    let by = caller.actor();
    let action = if request.dry_run { DeadAction::SayReplay } else { DeadAction::Replay { by: &by } };
    carry_out(&app, &caller, "dead.replay", action, &request).await
}

/// Discard dead letters
///
/// They are removed for good; the history keeps what happened to them.
#[utoipa::path(post, path = "/dead/discard", tag = "dead letters", operation_id = "discard", request_body = DeadRequest,
    responses(
        (status = 200, description = "What became of each letter.", body = DeadActionAnswer),
        (status = 422, description = "The request has the wrong form.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn discard(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    JsonBody(request): JsonBody<DeadRequest, BULK>,
) -> ApiResult<Json<DeadActionAnswer>> {
    let by = caller.actor();
    let action = if request.dry_run { DeadAction::SayDiscard } else { DeadAction::Discard { by: &by } };
    carry_out(&app, &caller, "dead.discard", action, &request).await
}

async fn carry_out(
    app: &App,
    caller: &Caller,
    audit_action: &str,
    action: DeadAction<'_>,
    request: &DeadRequest,
) -> ApiResult<Json<DeadActionAnswer>> {
    let mut acted = DeadActionAnswer::default();
    let ended = match checked(request)? {
        Selection::Ids(ids) => by_id(app, ids, action, &mut acted).await,
        Selection::Filter(filter, limit) => by_filter(app, filter, limit, action, &mut acted).await,
    };
    // Also when Redis went away half-way, so that the audit log has what was done until then.
    if !request.dry_run && !acted.results.is_empty() {
        let object = request.filter.as_ref().and_then(|filter| filter.queue.as_deref()).unwrap_or("all queues");
        let ids: Vec<JobId> = acted.results.iter().map(|result| result.id).take(100).collect();
        let details = json!({ "counts": acted.counts, "filter": request.filter, "ids": ids });
        app.audit(caller, audit_action, object, details).await;
    }
    ended.map(|()| Json(acted))
}

enum Selection<'a> {
    Ids(&'a [JobId]),
    Filter(&'a DeadFilter, usize),
}

fn checked(request: &DeadRequest) -> ApiResult<Selection<'_>> {
    let refuse = |field: &str, reason: String| Err(Problem::field(Cause::InvalidRequest, field, reason));
    let limit = request.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return refuse("$.limit", format!("it is {limit}; 1 to {MOST} are allowed"));
    }
    match (&request.ids, &request.filter) {
        (Some(ids), None) if ids.len() > MOST => {
            refuse("$.ids", format!("there are {}; {MOST} are allowed", ids.len()))
        }
        (Some(ids), None) => Ok(Selection::Ids(ids)),
        (None, Some(filter)) => Ok(Selection::Filter(filter, limit)),
        (Some(_), Some(_)) => refuse("$.filter", "give either ids or filter, not both".into()),
        (None, None) => refuse("$", "give ids or a filter; the filter {} means every letter".into()),
    }
}

async fn by_id(app: &App, ids: &[JobId], action: DeadAction<'_>, acted: &mut DeadActionAnswer) -> ApiResult<()> {
    let queues = queues(app, [])?;
    for chunk in ids.chunks(IDS_AT_ONCE) {
        let looked_up: Vec<_> = chunk.iter().map(|id| find(&queues, *id)).collect();
        let found: Vec<Option<(usize, DeadLetter)>> =
            stream::iter(looked_up).buffered(LOOKED_UP_AT_ONCE).try_collect().await?;
        let mut letters: Vec<Vec<DeadLetter>> = queues.iter().map(|_| Vec::new()).collect();
        for (id, found) in chunk.iter().zip(found) {
            match found {
                Some((place, letter)) => letters[place].push(letter),
                None => acted.add(vec![DeadResult { id: *id, queue: None, outcome: DeadOutcome::Gone }]),
            }
        }
        for (queue, letters) in queues.iter().zip(letters) {
            acted.add(act(queue, letters, action).await?);
        }
    }
    Ok(())
}

async fn find(queues: &[Queue], id: JobId) -> ApiResult<Option<(usize, DeadLetter)>> {
    for (place, queue) in queues.iter().enumerate() {
        if let Some(letter) = queue.dead_letter(id).await? {
            return Ok(Some((place, letter)));
        }
    }
    Ok(None)
}

async fn by_filter(
    app: &App,
    filter: &DeadFilter,
    limit: usize,
    action: DeadAction<'_>,
    acted: &mut DeadActionAnswer,
) -> ApiResult<()> {
    let queues = queues(app, filter.queue.as_deref()).map_err(|problem| problem.in_body("queue", "$.filter.queue"))?;
    for queue in queues {
        let mut pages = DeadPages::of(&queue, filter.died(), None);
        while acted.results.len() < limit
            && let Some(page) = pages.next().await?
        {
            let left = limit - acted.results.len();
            let meant = page.into_iter().filter(|letter| filter.fits(letter)).take(left).collect();
            let results = act(&queue, meant, action).await?;
            acted.add(results);
        }
    }
    Ok(())
}

async fn act(queue: &Queue, letters: Vec<DeadLetter>, action: DeadAction<'_>) -> ApiResult<Vec<DeadResult>> {
    if letters.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<JobId> = letters.iter().map(|letter| letter.id).collect();
    let all = |outcome: DeadOutcome| ids.iter().map(|id| (*id, outcome)).collect();
    let outcomes: Vec<(JobId, DeadOutcome)> = match action {
        DeadAction::SayReplay => letters
            .iter()
            .map(|letter| {
                (letter.id, if letter.needs_repair() { DeadOutcome::Unreadable } else { DeadOutcome::WouldReplay })
            })
            .collect(),
        DeadAction::SayDiscard => all(DeadOutcome::WouldDiscard),
        DeadAction::Discard { by } => {
            queue.discard(&ids, by).await?;
            all(DeadOutcome::Discarded)
        }
        DeadAction::Replay { by } => {
            let replays: Vec<Replay> = letters.into_iter().map(|letter| Replay { letter, payload: None }).collect();
            let done = queue.replay(&replays, Duration::ZERO, by).await?;
            done.into_iter().map(|(id, replayed)| (id, replayed.into())).collect()
        }
    };
    let queue = queue.name();
    Ok(outcomes.into_iter().map(|(id, outcome)| DeadResult { id, queue: Some(queue.clone()), outcome }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> DeadRequest {
        serde_json::from_str(json).expect("a request")
    }

    #[test]
    fn a_request_has_to_say_which_letters_it_means() {
        assert!(checked(&request("{}")).is_err());
        assert!(checked(&request(r#"{"ids":[],"filter":{}}"#)).is_err());
        assert!(matches!(checked(&request(r#"{"filter":{}}"#)), Ok(Selection::Filter(_, USUAL))));
        assert!(matches!(checked(&request(r#"{"ids":[]}"#)), Ok(Selection::Ids([]))));
    }

    #[test]
    fn a_limit_out_of_range_is_refused() {
        assert!(checked(&request(r#"{"filter":{},"limit":0}"#)).is_err());
        assert!(checked(&request(r#"{"filter":{},"limit":10001}"#)).is_err());
    }
}
