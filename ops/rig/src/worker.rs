//! A worker process: the pools of Perch and the chaos jobs, configured by the environment like any process of Perch.

use std::{io::Read as _, sync::Arc};

use perch_base::{Settings, config_dir, telemetry};
use perch_jobs::{JobTypes, PublishPost};
use perch_queue::{Client, Queues, Redis, worker::Runtime};
use perch_store::Store;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    chaos::{Chaos, chaos},
    error::RigError,
    publisher::{Publisher, publish},
    sabotage::Sabotage,
};

/// The job types of a run.
pub fn job_types() -> JobTypes {
    perch_jobs::types().with::<Chaos>()
}

/// Works until SIGTERM, or until the process that started it is gone.
pub async fn run() -> Result<(), RigError> {
    let without = Sabotage::of_this_process();
    if let Some(part) = without {
        part.switch_off()?;
    }
    let settings = Settings::load(&config_dir(), perch_workers::bots().config_schema()).map_err(RigError::setup)?;
    let telemetry = telemetry::init("rig-worker", &settings.telemetry).map_err(RigError::setup)?;
    let redis = Redis::new(settings.redis_url().map_err(RigError::setup)?, &settings.redis)?;
    let store = Store::of(&settings).map_err(RigError::setup)?;
    let queues = Queues::new(redis.clone(), &settings, job_types()).with_ledger(Arc::new(store.clone()));
    let client = Client::new(queues);
    let bots = perch_workers::bots();
    let platform = bots.platform(&settings, &store, &client).map_err(RigError::setup)?;
    let mut deps = bots.deps(&platform).map_err(RigError::setup)?;
    let mut handlers = bots.handlers().on::<Chaos, _, _>(chaos);
    if let Some(without) = without {
        handlers = handlers.on::<PublishPost, _, _>(publish);
        deps = deps.with(Publisher::new(&settings, redis, store.clone(), without)?);
    }
    let runtime = Runtime::new(client, handlers, deps).map_err(RigError::setup)?;

    end_with_parent();
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(RigError::io("wait for SIGTERM"))?;
    let asked = stop.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        asked.cancel();
    });
    runtime.run(&[], stop).await.map_err(RigError::setup)?;
    store.close().await;
    telemetry.shutdown();
    Ok(())
}

/// The parent holds the other end of standard input. When it closes, this process must end.
fn end_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(1);
    });
}
