//! How long a job holds its uniqueness key.

mod support;

use std::sync::Arc;

use perch_base::Clock;
use perch_job::{Unique, UniqueScope};
use perch_queue::{
    EnqueueError, EnqueueOptions, EventKind, OnConflict,
    worker::{HandlerResult, Handlers},
};
use support::{Chore, World, eventually};
use tokio::sync::{Notify, Semaphore};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_held_until_the_job_starts_stays_held_when_the_job_is_given_back_unstarted() {
    let world = World::with(|queue, _| (queue.concurrency, queue.prefetch) = (1, 4), Clock::system()).await;
    let until_start = || EnqueueOptions {
        unique: Some(Unique { key: "poll".to_owned(), scope: UniqueScope::Queued }),
        on_conflict: OnConflict::Reject,
        ..EnqueueOptions::default()
    };
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    let working = world.work(Handlers::new().on(move |_: Chore| {
        let gate = closed.clone();
        async move {
            gate.acquire().await.expect("open").forget();
            HandlerResult::Ok(())
        }
    }));
    world.client.enqueue(&Chore::number(1)).await.expect("accepted");
    eventually("the only place is taken", || async { world.count(EventKind::Started).await == 1 }).await;
    let id = world.client.enqueue_with(&Chore::number(2), until_start()).await.expect("accepted").id;
    eventually("it is fetched ahead", || async { world.count(EventKind::Started).await == 2 }).await;
    let again = || async { world.client.enqueue_with(&Chore::number(3), until_start()).await };
    assert!(matches!(again().await, Err(EnqueueError::Conflict { holder, .. }) if holder == id), "it has not started");
    working.stop.cancel();
    eventually("it is given back", || async { world.queue.stats().await.expect("Redis").normal == 1 }).await;
    gate.add_permits(1);
    working.stop().await;
    assert!(matches!(again().await, Err(EnqueueError::Conflict { holder, .. }) if holder == id), "it waits again");

    let (started, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (started.clone(), may_end.clone());
    let working = world.work(Handlers::new().on(move |_: Chore| {
        let (tell, wait) = (tell.clone(), wait.clone());
        async move {
            tell.notify_one();
            wait.notified().await;
            HandlerResult::Ok(())
        }
    }));
    started.notified().await;
    assert!(again().await.is_ok(), "it has started, so its key is free");
    may_end.notify_one();
    started.notified().await;
    may_end.notify_one();
    world.drained().await;
    working.stop().await;
}
