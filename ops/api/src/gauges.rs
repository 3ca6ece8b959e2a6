//! The state of the queues as metrics, read at a scrape.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::future::join_all;
use perch_base::Settings;
use perch_bot::{Bots, http::BodyBudget};
use perch_queue::{QueueStats, Queues};
use perch_store::{Brakes, Store, Syncer};
use tokio::sync::Mutex;

/// How long values are cached, so that many scrapes read once.
const FRESH: Duration = Duration::from_secs(1);
/// How long a server may take; Prometheus gives up longer scrapes.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sets the gauges of all queues.
pub(super) struct Gauges {
    queues: Queues,
    syncer: Syncer,
    brakes: Brakes,
    budget: Option<BodyBudget>,
    last: Mutex<Option<Instant>>,
}

impl Gauges {
    pub fn new(queues: &Queues, store: &Store, settings: &Settings, bots: &Bots, budget: Option<BodyBudget>) -> Self {
        let names = queues.names();
        let syncer = Syncer::new(queues.redis().clone(), store.clone(), settings.env, &names, settings.sync.batch);
        let brakes = bots.brakes(settings, queues.redis(), store);
        Self { queues: queues.clone(), syncer, brakes, budget, last: Mutex::new(None) }
    }

    /// Reads the queues and the lag of the sync. When a server is away, its gauges keep their values, and
    /// `perch_up` is 0.
    pub async fn refresh(&self) {
        if let Some(budget) = &self.budget {
            bodies(budget.held());
        }
        let mut last = self.last.lock().await;
        if last.is_some_and(|read| read.elapsed() < FRESH) {
            return;
        }
        let stats = tokio::time::timeout(PATIENCE, join_all(self.queues.iter().map(perch_queue::Queue::stats)));
        let lag = tokio::time::timeout(PATIENCE, self.syncer.lag());
        let brakes = tokio::time::timeout(PATIENCE, self.brakes.states());
        let (stats, lag, brakes) = tokio::join!(stats, lag, brakes);
        let mut redis_is_up = stats.is_ok();
        for read in stats.into_iter().flatten() {
            match read {
                Ok(stats) => show(&stats, self.queues.now()),
                Err(error) => {
                    redis_is_up = false;
                    tracing::warn!(%error, "the gauges of a queue are stale");
                }
            }
        }
        match brakes {
            Ok(Ok(all)) => {
                for brake in all {
                    metrics::gauge!("perch_brake", "scope" => brake.scope.to_string())
                        .set(f64::from(u8::from(brake.on)));
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "the gauges of the brakes are stale"),
            Err(_) => {}
        }
        up("redis", redis_is_up);
        // The lag needs both servers, so it shows that Postgres is up only if Redis is too.
        let lag_is_known = matches!(lag, Ok(Ok(_)));
        if let Ok(Err(error)) = lag {
            tracing::warn!(%error, "the lag of the sync is not known");
        }
        if redis_is_up {
            up("postgres", lag_is_known);
        }
        *last = Some(Instant::now());
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and no machine has 2^53 bytes")]
fn bodies(held: usize) {
    metrics::gauge!("perch_http_body_bytes").set(held as f64);
}

fn up(server: &'static str, is_up: bool) {
    metrics::gauge!("perch_up", "server" => server).set(f64::from(u8::from(is_up)));
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and no queue holds 2^53 jobs")]
fn show(stats: &QueueStats, now: DateTime<Utc>) {
    let queue = stats.queue.to_string();
    let counts =
        [("waiting", stats.waiting()), ("delayed", stats.delayed), ("running", stats.running), ("dead", stats.dead)];
    for (state, count) in counts {
        metrics::gauge!("perch_queue_jobs", "queue" => queue.clone(), "state" => state).set(count as f64);
    }
    let age = stats.oldest.and_then(|since| (now - since).to_std().ok()).unwrap_or_default();
    metrics::gauge!("perch_queue_oldest_seconds", "queue" => queue.clone()).set(age.as_secs_f64());
    metrics::gauge!("perch_queue_overdue_jobs", "queue" => queue.clone()).set(stats.overdue as f64);
    metrics::gauge!("perch_queue_workers", "queue" => queue.clone()).set(stats.workers as f64);
    let paused = f64::from(u8::from(stats.paused_by.is_some()));
    metrics::gauge!("perch_queue_paused", "queue" => queue.clone()).set(paused);
    metrics::gauge!("perch_queue_events", "queue" => queue).set(stats.events as f64);
}

/// Registers the descriptions of the metrics.
pub(super) fn describe() {
    metrics::describe_gauge!("perch_up", "1 when the server answers, else 0");
    metrics::describe_gauge!("perch_queue_jobs", "Jobs of a queue by state");
    metrics::describe_gauge!("perch_queue_oldest_seconds", "Age of the oldest ready job, 0 when none is ready");
    metrics::describe_gauge!("perch_queue_overdue_jobs", "Delayed jobs that are due and that nobody fetched");
    metrics::describe_gauge!("perch_queue_workers", "Workers seen within the last minute");
    metrics::describe_gauge!("perch_queue_paused", "1 when the queue is paused, else 0");
    metrics::describe_gauge!(
        "perch_brake",
        "1 when the brake of the scope (everything, an account, a bot) is on, else 0"
    );
    metrics::describe_counter!("perch_publications_held_total", "Publications that had to wait, by what held them");
    metrics::describe_gauge!("perch_queue_events", "Events of the queue that Redis holds");
    metrics::describe_gauge!("perch_sync_lag_seconds", "Age of the oldest entry that is not in Postgres yet");
    metrics::describe_counter!("perch_http_requests_total", "Requests by route, method and status");
    metrics::describe_histogram!("perch_http_request_seconds", "Duration of requests by route and method");
    metrics::describe_counter!("perch_http_rate_limited_total", "Requests refused because their key made too many");
    metrics::describe_gauge!("perch_http_body_bytes", "Bytes of request bodies held in memory");
    metrics::describe_counter!(
        "perch_http_bodies_refused_total",
        "Bodies refused because others fill the room for them"
    );
    metrics::describe_gauge!("perch_http_connections", "Connections there are");
    metrics::describe_counter!("perch_http_connections_closed_total", "Connections closed to make room for others");
    metrics::describe_counter!("perch_idempotency_unreadable_total", "Idempotency keys whose record could not be read");
    metrics::describe_counter!("perch_audit_failures_total", "Lines that could not be written to the audit log");
}
