//! Parts of a deployment as `perch` runs them, with the queues and handlers of the bench added.

use std::{collections::BTreeMap, sync::Arc};

use perch_api::{self as api, ApiState, Health};
use perch_base::{Clock, Settings, telemetry};
use perch_jobs::QueueName;
use perch_queue::{Client, Queues, Redis, worker::Runtime};
use perch_store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{DeploymentRole, HandlerBehaviour, Orders, say, worker};
use crate::{
    error::{BenchError, Outcome},
    jobs::{Pool, QUEUES, settings, types},
};

/// Runs one role of a deployment until it is killed.
pub async fn run(mut orders: Orders, duty: DeploymentRole, redis: &str, database: &str, pool: &Pool) -> Outcome {
    // Uses the schedule of production, since staging syncs more often.
    let schedule = production_schedule()?;
    let settings = settings(&[
        ("PERCH__CRON__SYNC_HOT_STATE__SCHEDULE", &schedule),
        ("PERCH__CRON__POLL_MENTIONS__ENABLED", "false"),
        ("REDIS_URL", redis),
        ("DATABASE_URL", database),
        // Lifts the rate limit of keys, which would stop the bench.
        ("PERCH__HTTP__RATE_PER_SECOND", "100000"),
        ("PERCH__HTTP__RATE_BURST", "1000000"),
    ])?;
    let _telemetry = telemetry::init("bench-deployment", &settings.telemetry).map_err(BenchError::setup)?;
    let metrics = telemetry::metrics().map_err(BenchError::setup)?;
    let store = Store::of(&settings).map_err(BenchError::setup)?;
    let queues = queues(&settings, pool)?.with_ledger(Arc::new(store.clone()));
    let client = Client::new(queues.clone());
    let stop = CancellationToken::new();
    let bots = perch_workers::bots();
    let platform = bots.platform(&settings, &store, &client).map_err(BenchError::setup)?;
    match duty {
        DeploymentRole::Pools => {
            let deps = bots.deps(&platform).map_err(BenchError::setup)?;
            let handlers = worker::handlers(bots.handlers(), HandlerBehaviour::Nothing);
            let runtime = Runtime::new(client, handlers, deps).map_err(BenchError::setup)?;
            orders.wait().await;
            runtime.run(&[], stop).await.map_err(BenchError::setup)
        }
        DeploymentRole::Scheduler => {
            orders.wait().await;
            bots.schedule(&platform, stop).await;
            Ok(())
        }
        DeploymentRole::Api => {
            let listener = TcpListener::bind("127.0.0.1:0").await.map_err(BenchError::io("listen"))?;
            let address = listener.local_addr().map_err(BenchError::io("listen"))?;
            orders.wait().await;
            say(&address.to_string());
            let health = Health::new(queues.redis().clone(), store.clone());
            let platform = Arc::new(platform);
            let state =
                ApiState { settings: Arc::new(settings), queues, client, store, metrics, health, bots, platform };
            api::serve(listener, state, stop).await;
            Ok(())
        }
    }
}

/// When production fires the sync, as the configuration is shipped.
pub fn production_schedule() -> Outcome<String> {
    let variables = [("APP_ENV".to_owned(), "production".to_owned())];
    let settings = Settings::load_from(&perch_base::config_dir(), perch_workers::bots().config_schema(), variables)
        .map_err(BenchError::setup)?;
    let entry = settings.cron.get("sync_hot_state");
    entry.map(|entry| entry.schedule.clone()).ok_or_else(|| BenchError::Setup("no cron entry fires the sync".into()))
}

/// The queues of the configuration, and those of the bench.
fn queues(settings: &Settings, pool: &Pool) -> Outcome<Queues> {
    let door = Redis::new(settings.redis_url().map_err(BenchError::setup)?, &settings.redis)?;
    let mut blocks: BTreeMap<_, _> = settings.queues.clone();
    blocks.extend(QUEUES.iter().take(pool.queues).map(|&name| (QueueName::from_static(name), pool.block())));
    Ok(Queues::of(door, settings.env, &blocks, &settings.engine, types(), &Clock::system()))
}
