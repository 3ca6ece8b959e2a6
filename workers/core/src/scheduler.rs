//! The scheduler runs the background duties of a deployment: cron, the intakes, the relay of the outbox, the recovery of ledger queues,
//! pruning of dead letters and of the history, and the gauges of the queues.
//!
//! Any number of schedulers may run: each tick of cron fires once, and each task of an intake is taken over once.

use std::{future::Future, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::Settings;
use perch_queue::{Client, CronEntry, Intake, Queue, QueueError, QueueStats};
use perch_store::{Store, StoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    recovery::{self, Reconciler},
    relay,
};

const PRUNE_EVERY: Duration = Duration::from_secs(60);
const PRUNE_HISTORY_EVERY: Duration = Duration::from_secs(600);
/// Jobs removed from the history in one transaction.
const PRUNED_AT_ONCE: u32 = 1_000;
const MEASURE_EVERY: Duration = Duration::from_secs(15);
/// The pause before a duty that panicked is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs every duty until `stop`. The failure of one ends neither it nor the others.
pub async fn run(
    settings: &Settings,
    client: &Client,
    store: &Store,
    reconciler: Arc<dyn Reconciler>,
    stop: CancellationToken,
) {
    let mut duties = JoinSet::new();
    for (name, entry) in &settings.cron {
        match CronEntry::new(name, entry, client) {
            Ok(entry) => {
                duties.spawn(kept_up(format!("cron {name}"), stop.clone(), move |stop| entry.clone().run(stop)));
            }
            Err(error) => tracing::error!(entry = name, %error, "the cron entry cannot fire; fix its schedule"),
        }
    }
    for queue in client.queues().iter() {
        let intake = Intake::new(queue, client);
        let name = format!("intake {}", queue.name());
        duties.spawn(kept_up(name, stop.clone(), move |stop| intake.clone().run(stop)));
    }
    let outbox = (store.clone(), client.clone());
    duties.spawn(kept_up("relay".into(), stop.clone(), move |stop| {
        let (store, client) = outbox.clone();
        relay::run(store, client, stop)
    }));
    let watched = (settings.clone(), client.queues().clone(), store.clone());
    duties.spawn(kept_up("recovery".into(), stop.clone(), move |stop| {
        let (settings, queues, store) = &watched;
        recovery::Watch::new(settings, queues, store, reconciler.clone()).run(stop)
    }));
    let queues: Vec<Queue> = client.queues().iter().cloned().collect();
    let pruned = queues.clone();
    duties.spawn(kept_up("pruning".into(), stop.clone(), move |stop| {
        let queues = pruned.clone();
        every(PRUNE_EVERY, stop, move || for_each(queues.clone(), prune))
    }));
    if !settings.sync.history_retention.is_zero() {
        let (history, retention) = (store.clone(), settings.sync.history_retention);
        duties.spawn(kept_up("history".into(), stop.clone(), move |stop| {
            let store = history.clone();
            every(PRUNE_HISTORY_EVERY, stop, move || prune_history(store.clone(), retention))
        }));
    }
    let texts = store.clone();
    duties.spawn(kept_up("texts".into(), stop.clone(), move |stop| {
        let store = texts.clone();
        every(PRUNE_HISTORY_EVERY, stop, move || prune_texts(store.clone()))
    }));
    duties.spawn(kept_up("gauges".into(), stop.clone(), move |stop| {
        let queues = queues.clone();
        every(MEASURE_EVERY, stop, move || for_each(queues.clone(), measure))
    }));
    tracing::info!(cron = settings.cron.len(), "scheduling");
    duties.join_all().await;
}

/// Runs a duty until `stop`, and starts it again when it panics.
async fn kept_up<Fut>(name: String, stop: CancellationToken, duty: impl Fn(CancellationToken) -> Fut)
where
    Fut: Future<Output = ()> + Send + 'static,
{
    loop {
        match tokio::spawn(duty(stop.clone())).await {
            Ok(()) => return,
            Err(error) => {
                tracing::error!(duty = name, %error, "a duty of the scheduler panicked; it is started again");
            }
        }
        if tokio::time::timeout(PAUSE, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

/// Runs `work` now and then once in each period, until `stop`, which also breaks it off.
async fn every<Fut: Future<Output = ()> + Send>(period: Duration, stop: CancellationToken, work: impl Fn() -> Fut) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let forever = async {
        loop {
            ticks.tick().await;
            work().await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = forever => {}
    }
}

/// Runs `work` for each queue; what fails for one keeps no other from it.
async fn for_each<Fut>(queues: Vec<Queue>, work: fn(Queue) -> Fut)
where
    Fut: Future<Output = Result<(), QueueError>> + Send,
{
    for queue in queues {
        let name = queue.name().clone();
        if let Err(error) = work(queue).await {
            tracing::warn!(queue = %name, %error, "a duty for a queue failed; it is tried again");
        }
    }
}

async fn prune(queue: Queue) -> Result<(), QueueError> {
    let mut pruned = 0;
    loop {
        match queue.prune_some().await? {
            0 => break,
            some => pruned += some,
        }
    }
    if pruned > 0 {
        tracing::info!(queue = %queue.name(), dead_letters = pruned, "dead letters beyond their retention are removed");
        metrics::counter!("perch_dead_pruned_total", "queue" => queue.name().to_string()).increment(pruned as u64);
    }
    Ok(())
}

/// Removes what is beyond its retention from the history in Postgres, in small transactions.
async fn prune_history(store: Store, retention: Duration) {
    match prune_jobs(&store, retention).await {
        Ok(0) => {}
        Ok(jobs) => tracing::info!(jobs, "beyond sync.history_retention; removed from the history"),
        Err(error) => tracing::warn!(%error, "the pruning of the history waits for Postgres"),
    }
}

/// Removes texts that are no longer compared with those of other accounts.
async fn prune_texts(store: Store) {
    match store.account_texts().prune().await {
        Ok(0) => {}
        Ok(texts) => tracing::info!(texts, "texts are a year old and no longer compared"),
        Err(error) => tracing::warn!(%error, "the pruning of texts waits for Postgres"),
    }
}

async fn prune_jobs(store: &Store, retention: Duration) -> Result<u64, StoreError> {
    let older_than = TimeDelta::from_std(retention).ok().and_then(|ago| Utc::now().checked_sub_signed(ago));
    let Some(older_than) = older_than else { return Ok(0) };
    let mut jobs = 0;
    loop {
        let pruned = store.history().prune(older_than, PRUNED_AT_ONCE).await?.jobs;
        jobs += pruned;
        if pruned < u64::from(PRUNED_AT_ONCE) {
            return Ok(jobs);
        }
    }
}

async fn measure(queue: Queue) -> Result<(), QueueError> {
    show(&queue.stats().await?, queue.now());
    Ok(())
}

/// Sets the gauges of a queue: `perch_queue_jobs` by state, `perch_queue_oldest_seconds`, `perch_queue_overdue`,
/// `perch_queue_paused`, `perch_queue_workers`, `perch_queue_events`.
fn show(stats: &QueueStats, now: DateTime<Utc>) {
    #[expect(clippy::cast_precision_loss, reason = "gauges are floats, and counts stay far below 2^52")]
    let float = |n: u64| n as f64;
    let queue = stats.queue.to_string();
    let by_state = [
        ("waiting", stats.high + stats.normal + stats.low),
        ("parked", stats.parked),
        ("delayed", stats.delayed),
        ("running", stats.running),
        ("dead", stats.dead),
    ];
    for (state, jobs) in by_state {
        metrics::gauge!("perch_queue_jobs", "queue" => queue.clone(), "state" => state).set(float(jobs));
    }
    let oldest = stats.oldest.and_then(|oldest| (now - oldest).to_std().ok()).unwrap_or_default();
    metrics::gauge!("perch_queue_oldest_seconds", "queue" => queue.clone()).set(oldest.as_secs_f64());
    metrics::gauge!("perch_queue_overdue", "queue" => queue.clone()).set(float(stats.overdue));
    metrics::gauge!("perch_queue_workers", "queue" => queue.clone()).set(float(stats.workers));
    metrics::gauge!("perch_queue_events", "queue" => queue.clone()).set(float(stats.events));
    let paused = if stats.paused_by.is_some() { 1.0 } else { 0.0 };
    metrics::gauge!("perch_queue_paused", "queue" => queue).set(paused);
}
