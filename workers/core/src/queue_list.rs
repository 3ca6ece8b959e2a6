//! The queues of a deployment, page by page, as the HTTP API and the command line list them.

use futures::future::join_all;
use perch_base::{Page, Paging};
use perch_jobs::QueueName;
use perch_queue::{Queue, QueueError, QueueStats};
use serde::Serialize;
use utoipa::ToSchema;

use crate::job_list::ListError;

/// A queue at one moment.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Queue)]
pub struct QueueSummary {
    /// Its numbers.
    #[serde(flatten)]
    pub stats: QueueStats,
    /// Jobs that are ready or parked.
    pub waiting: u64,
    /// True when no worker fetches from it.
    pub paused: bool,
    /// Jobs that one process runs at once.
    pub concurrency: usize,
    /// Jobs running at once over all processes; 0 stands for no limit.
    pub global_concurrency: usize,
    /// Jobs of one group running at once; 0 stands for no limit.
    pub group_concurrency: usize,
}

impl QueueSummary {
    /// The summary of a queue with these numbers.
    pub fn of(queue: &Queue, stats: QueueStats) -> Self {
        let settings = queue.settings();
        Self {
            waiting: stats.waiting(),
            paused: stats.paused_by.is_some(),
            stats,
            concurrency: settings.concurrency,
            global_concurrency: settings.global_concurrency,
            group_concurrency: settings.group_concurrency,
        }
    }
}

/// A page of queues.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct QueueList {
    /// Those that can be read, by name.
    #[serde(flatten)]
    pub page: Page<QueueSummary>,
    /// Queues of the page that cannot be read; the others are listed all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableQueue>,
}

/// A queue that cannot be read.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UnreadableQueue {
    /// Its name.
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// Why.
    pub reason: String,
}

/// The queues, by name, with the numbers of each. `reason` says why one cannot be read.
///
/// # Errors
///
/// No queue can be read, as while Redis is away; or the cursor is of another list.
pub async fn queues(
    all: &[Queue],
    paging: &Paging,
    reason: impl Fn(&Queue, &QueueError) -> String,
) -> Result<QueueList, ListError> {
    let mut all = all.to_vec();
    all.sort_by(|a, b| a.name().cmp(b.name()));
    let Page { items, next } = Page::of_all("queues", all, paging, |queue| queue.name().clone())?;
    let (mut read, mut unreadable, mut first) = (Vec::new(), Vec::new(), None);
    for (queue, answer) in items.iter().zip(join_all(items.iter().map(Queue::stats)).await) {
        match answer {
            Ok(stats) => read.push(QueueSummary::of(queue, stats)),
            Err(error) => {
                unreadable.push(UnreadableQueue { queue: queue.name().clone(), reason: reason(queue, &error) });
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(error) if read.is_empty() => Err(error.into()),
        _ => Ok(QueueList { page: Page { items: read, next }, unreadable }),
    }
}
