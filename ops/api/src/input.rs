//! Reads job ids and queue names from paths and queries.

use perch_bot::http::{ApiResult, Cause, Problem};
pub(super) use perch_bot::http::{
    BULK, JsonBody, MediaType, NoFilter, Page, Paged, Paging, Params, Path, from_json, media_type, parsed, read_body,
    text, time, wrong_type,
};
use perch_jobs::{JobId, QueueName};
use perch_queue::Queue;

use super::App;

/// The id in a path.
pub(super) fn job_id(text: &str) -> ApiResult<JobId> {
    text.parse().map_err(|error: perch_jobs::InvalidName| Problem::new(Cause::NotFound, error.to_string()))
}

/// The queue in a path.
pub(super) fn queue<'a>(app: &'a App, name: &str) -> ApiResult<&'a Queue> {
    let found = name.parse::<QueueName>().ok().and_then(|name| app.queues.get(&name));
    found.ok_or_else(|| Problem::new(Cause::NotFound, unknown_queue(app, name)))
}

/// The queues that a request is about: those it names, or all.
pub(super) fn queues<'a>(app: &App, names: impl IntoIterator<Item = &'a str>) -> ApiResult<Vec<Queue>> {
    let found = |name: &str| name.parse::<QueueName>().ok().and_then(|name| app.queues.get(&name)).cloned();
    let known = |name| found(name).ok_or_else(|| Problem::field(Cause::NotFound, "queue", unknown_queue(app, name)));
    let chosen: Vec<Queue> = names.into_iter().map(known).collect::<ApiResult<_>>()?;
    Ok(if chosen.is_empty() { app.queues.iter().cloned().collect() } else { chosen })
}

fn unknown_queue(app: &App, name: &str) -> String {
    let given: String = name.chars().take(80).collect();
    let known: Vec<String> = app.queues.names().iter().map(ToString::to_string).collect();
    format!("there is no queue {given:?}; there are {}", known.join(", "))
}
