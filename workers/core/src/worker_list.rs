//! The workers of a deployment, page by page, as the HTTP API and the command line list them.

use std::time::Duration;

use futures::future::try_join_all;
use perch_base::{Page, Paging};
use perch_queue::{Queue, WorkerView};

use crate::job_list::ListError;

/// The workers of these queues that were seen within `within`, by name, once for each of their queues.
///
/// # Errors
///
/// Redis is away, or the cursor is of another list.
pub async fn workers(queues: &[Queue], within: Duration, paging: &Paging) -> Result<Page<WorkerView>, ListError> {
    let read = try_join_all(queues.iter().map(|queue| queue.workers(within))).await?;
    let mut workers: Vec<WorkerView> = read.into_iter().flatten().collect();
    let place = |worker: &WorkerView| (worker.name.clone(), worker.queue.clone());
    workers.sort_by_key(place);
    Ok(Page::of_all("workers", workers, paging, place)?)
}
