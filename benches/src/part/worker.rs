use std::time::Duration;

use perch_base::telemetry;
use perch_queue::{
    Client,
    worker::{Deps, HandlerResult, Handlers, Runtime},
};
use tokio_util::sync::CancellationToken;

use super::{HandlerBehaviour, Orders, say};
use crate::{
    error::{BenchError, Outcome},
    jobs::{Idle, Pool, now_us, settings},
};

/// A worker as production runs it, with its log and its metrics.
pub async fn run(mut orders: Orders, redis: &str, pool: &Pool, work: HandlerBehaviour) -> Outcome {
    let settings = settings(&[])?;
    let _telemetry = telemetry::init("bench-worker", &settings.telemetry).map_err(BenchError::setup)?;
    telemetry::metrics().map_err(BenchError::setup)?;
    let client = Client::new(pool.queues(redis, &settings)?);
    let runtime = Runtime::new(client, handlers(Handlers::new(), work), Deps::new()).map_err(BenchError::setup)?;
    orders.wait().await;
    runtime.run(&[], CancellationToken::new()).await.map_err(BenchError::setup)
}

/// Handlers for all queues of the bench, beside those given.
pub fn handlers(handlers: Handlers, work: HandlerBehaviour) -> Handlers {
    let handlers = on::<0>(on::<1>(on::<2>(handlers, work), work), work);
    on::<3>(on::<4>(on::<5>(handlers, work), work), work)
}

fn on<const N: usize>(handlers: Handlers, work: HandlerBehaviour) -> Handlers {
    match work {
        HandlerBehaviour::Nothing => handlers.on(|_: Idle<N>| async { HandlerResult::Ok(()) }),
        HandlerBehaviour::Wait(ms) => handlers.on(move |_: Idle<N>| async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            HandlerResult::Ok(())
        }),
        HandlerBehaviour::Tell => handlers.on(|job: Idle<N>| async move {
            say(&now_us().saturating_sub(job.sent).to_string());
            HandlerResult::Ok(())
        }),
        HandlerBehaviour::Hold => handlers.on(|_: Idle<N>| async {
            say("running");
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            HandlerResult::Ok(())
        }),
    }
}
