//! The jobs of a deployment, page by page, as the HTTP API and the command line list them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use perch_base::{Cursor, InvalidCursor, Page, Paging};
use perch_jobs::{JobId, JobState, Priority, QueueName};
use perch_queue::{JobCursor, JobFilter, JobView, Queue, QueueError};
use perch_store::{JobRecord, Store, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::look_up::JobStanding;

/// Jobs read from Redis in one call; each may have a payload of the largest size.
const AT_ONCE: usize = 100;
/// The most jobs read for one page.
const LOOKED_THROUGH: usize = 20_000;
/// The name of the list in its cursors.
const LIST: &str = "jobs";

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The cursor is of another list.
    #[error("cursor: {0}")]
    Cursor(#[from] InvalidCursor),
    /// Redis.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Postgres.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for ListError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Cursor(bad) => Self::Cursor(bad),
            error => Self::Store(error),
        }
    }
}

/// A job in a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobSummary {
    /// Its id.
    #[schema(value_type = String)]
    pub id: JobId,
    /// Its kind; missing when its envelope cannot be read.
    pub kind: Option<String>,
    /// Its queue.
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// Its state.
    pub state: JobState,
    /// Its priority among the waiting jobs of its queue.
    pub priority: Priority,
    /// What its limits are counted by.
    pub group: Option<String>,
    /// The job whose handler enqueued it.
    #[schema(value_type = Option<String>)]
    pub parent: Option<JobId>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it runs next, or was last meant to.
    pub run_at: Option<DateTime<Utc>>,
    /// When it was done, dead, cancelled or discarded, as far as the history has it.
    pub finished_at: Option<DateTime<Utc>>,
    /// Attempts begun.
    pub attempts: u32,
    /// Attempts in all.
    pub max_attempts: Option<u32>,
    /// How often an operator brought it back from the dead letters.
    pub replays: u32,
    /// The worker that has it, or had it last.
    pub worker: Option<String>,
    /// When its lease ends, if it runs.
    pub lease_ends: Option<DateTime<Utc>>,
    /// True when it runs and was asked to stop.
    pub cancelling: bool,
    /// The last error.
    pub last_error: Option<String>,
}

impl From<&JobView> for JobSummary {
    fn from(view: &JobView) -> Self {
        let envelope = view.salvaged();
        let of = envelope.as_ref();
        Self {
            id: view.id,
            kind: of.map(|envelope| envelope.kind.to_string()),
            queue: view.queue.clone(),
            state: view.state,
            priority: of.map(|envelope| envelope.priority).unwrap_or_default(),
            group: of.and_then(|envelope| envelope.group.clone()),
            parent: of.and_then(|envelope| envelope.parent),
            created_at: view.id.created_at(),
            run_at: view.due.or_else(|| of.and_then(|envelope| envelope.run_at)),
            finished_at: None,
            attempts: view.attempts,
            max_attempts: of.map(|envelope| envelope.max_attempts),
            replays: of.map_or(0, |envelope| envelope.replays),
            worker: view.worker.clone(),
            lease_ends: view.lease_ends,
            cancelling: view.cancelling,
            last_error: view.errors.first().and_then(|error| error.error.clone()),
        }
    }
}

impl From<&JobRecord> for JobSummary {
    fn from(record: &JobRecord) -> Self {
        Self {
            id: record.id,
            kind: record.kind.clone(),
            queue: record.queue.clone(),
            state: record.state,
            priority: record.priority,
            group: record.group.clone(),
            parent: record.parent,
            created_at: record.created_at,
            run_at: record.run_at,
            finished_at: record.finished_at,
            attempts: record.attempts,
            max_attempts: record.max_attempts,
            replays: record.replays,
            worker: record.worker.clone(),
            lease_ends: None,
            cancelling: false,
            last_error: record.last_error.clone(),
        }
    }
}

impl From<&JobStanding> for JobSummary {
    fn from(standing: &JobStanding) -> Self {
        let summary = Self::from(&standing.record);
        Self { state: if standing.is_known { summary.state } else { JobState::Unknown }, ..summary }
    }
}

/// Finished jobs, which only the history has, the newest first.
///
/// # Errors
///
/// Postgres is away, or the cursor is of another list.
pub async fn finished(
    store: &Store,
    filter: &JobFilter,
    paging: &Paging,
    now: DateTime<Utc>,
) -> Result<Page<JobSummary>, ListError> {
    Ok(store.history().page(filter, paging, now).await?.map(|record| JobSummary::from(&record)))
}

/// Where a page of unfinished jobs ends: the state, the queue, and the last job in it; no job for the start of the queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ListPosition(JobState, QueueName, Option<JobCursor>);

impl ListPosition {
    /// The state and queue, by which the list is ordered.
    fn section(&self) -> (JobState, &QueueName) {
        (self.0, &self.1)
    }
}

/// Unfinished jobs of these queues: running, waiting, delayed, then dead, and in each state queue by queue. A job that keeps its state is
/// in exactly one page of a walk. A page may have fewer jobs than its limit, because the jobs read for one page are limited.
///
/// # Errors
///
/// Redis is away, or the cursor is of another list.
pub async fn unfinished(queues: &[Queue], filter: &JobFilter, paging: &Paging) -> Result<Page<JobSummary>, ListError> {
    let from: Option<ListPosition> = paging.place(LIST)?;
    let states = filter.state.map_or(JobState::LIVE.to_vec(), |state| vec![state]);
    if from.as_ref().is_some_and(|ListPosition(state, ..)| !states.contains(state)) {
        return Err(InvalidCursor.into());
    }
    let Some(now) = queues.first().map(Queue::now) else { return Ok(Page { items: Vec::new(), next: None }) };
    let sections = sections(queues, &states, from.as_ref());
    let mut builder = PageBuilder { paging, rows: Vec::new(), seen: HashSet::new(), looked: 0 };
    for (state, queue) in sections {
        let is_first = from.as_ref().is_some_and(|from| from.section() == (state, queue.name()));
        let start = from.as_ref().filter(|_| is_first).and_then(|ListPosition(.., place)| place.clone());
        if let Some(end) = builder.section(&queue, state, filter, start, now).await? {
            return Ok(builder.page(Some(end)));
        }
    }
    Ok(builder.page(None))
}

/// The states and queues in the order of the list, from a position on.
fn sections(queues: &[Queue], states: &[JobState], from: Option<&ListPosition>) -> Vec<(JobState, Queue)> {
    let mut by_name = queues.to_vec();
    by_name.sort_by(|a, b| a.name().cmp(b.name()));
    by_name.dedup_by(|a, b| a.name() == b.name());
    let all = states.iter().flat_map(|state| by_name.iter().map(|queue| (*state, queue.clone())));
    all.filter(|(state, queue)| from.is_none_or(|from| (*state, queue.name()) >= from.section())).collect()
}

/// Collects the rows of a page.
struct PageBuilder<'a> {
    paging: &'a Paging,
    rows: Vec<(ListPosition, JobSummary)>,
    /// A job that changes its state meanwhile would be listed twice.
    seen: HashSet<JobId>,
    looked: usize,
}

impl PageBuilder<'_> {
    /// Adds the jobs of a queue in a state. Answers where to continue once the page is full or the most jobs were read.
    async fn section(
        &mut self,
        queue: &Queue,
        state: JobState,
        filter: &JobFilter,
        mut after: Option<JobCursor>,
        now: DateTime<Utc>,
    ) -> Result<Option<ListPosition>, QueueError> {
        let place = |after| ListPosition(state, queue.name().clone(), after);
        loop {
            // One row beyond the limit shows that there is a next page.
            if self.rows.len() > self.paging.limit() || self.looked >= LOOKED_THROUGH {
                return Ok(Some(place(after)));
            }
            let page = queue.job_page(state, after.as_ref(), AT_ONCE).await?;
            self.looked += AT_ONCE;
            for (at, view) in &page.jobs {
                if filter.fits(view, now) && self.seen.insert(view.id) {
                    self.rows.push((place(Some(at.clone())), view.into()));
                }
            }
            match page.end {
                Some(end) => after = Some(end),
                None => return Ok(None),
            }
        }
    }

    /// The page. It ends at its last row where there are more rows, and otherwise at `end`.
    fn page(mut self, end: Option<ListPosition>) -> Page<JobSummary> {
        let limit = self.paging.limit();
        let is_more = self.rows.len() > limit;
        self.rows.truncate(limit);
        let last = self.rows.last().map(|(place, _)| place.clone()).filter(|_| is_more);
        let next = last.or(end).map(|place| Cursor::at(LIST, &place));
        Page { items: self.rows.into_iter().map(|(_, row)| row).collect(), next }
    }
}
