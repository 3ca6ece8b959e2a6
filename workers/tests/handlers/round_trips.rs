//! How often a process waits for Postgres: managed ones are milliseconds away.

use std::sync::Arc;

use perch_base::Environment;
use perch_jobs::PublishPost;
use perch_queue::{Client, NewJob, Queues};
use perch_store::Store;
use perch_testkit::{Gate, postgres_settings};
use perch_workers::bots;

use crate::world::{World, eventually, publication};

fn post(n: usize) -> PublishPost {
    publication(&format!("Post {n}"), None, None)
}

/// A store behind a gate that counts, and a client whose ledger it is.
async fn counted(world: &World) -> (Gate, Store, Client) {
    let (gate, url) = world.database().gated().await;
    let store = Store::connect_lazy(&url, Environment::Staging, &postgres_settings()).expect("a URL");
    let redis = world.client.queues().redis().clone();
    let queues = Queues::new(redis, &world.settings, perch_jobs::types()).with_ledger(Arc::new(store.clone()));
    (gate, store, Client::new(queues))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enqueue_into_a_ledger_queue_waits_for_postgres_twice_however_many_jobs_it_has() {
    let world = World::without_workers(&[]).await;
    let (gate, _, client) = counted(&world).await;
    // The driver learns its statements first.
    client.enqueue(&post(0)).await.expect("accepted");
    let before = gate.trips();
    client.enqueue(&post(1)).await.expect("accepted");
    assert_eq!(gate.trips() - before, 2, "one to keep it and one to say that Redis has it");
    let jobs = (2..400).map(|n| NewJob::of(&post(n)).expect("JSON")).collect();
    let before = gate.trips();
    assert!(client.submit_all(jobs).await.iter().all(Result::is_ok));
    assert_eq!(gate.trips() - before, 2, "the same for many");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_waits_for_postgres_six_times_at_most() {
    const POSTS: usize = 20;
    let world = World::without_workers(&[]).await;
    let (gate, store, client) = counted(&world).await;
    let runtime = bots().worker(&world.settings, &store, &client).expect("valid settings");
    let (queue, stop) = ("pending_posts".parse().expect("a name"), world.stop.clone());
    let working = tokio::spawn(async move { runtime.run(&[queue], stop).await });
    let mut before = 0;
    for n in 0..2 * POSTS {
        if n == POSTS {
            before = gate.trips();
        }
        // By another way, which is not counted.
        let id = world.enqueue(&post(n)).await;
        let queue = world.client.queues().get(&"pending_posts".parse().expect("a name")).expect("configured");
        let gone = || async { queue.job(id).await.ok()?.is_none().then_some(()) };
        eventually("it is done", gone).await;
    }
    let trips = gate.trips() - before;
    assert_eq!(world.x.made().len(), 2 * POSTS);
    working.abort();
    assert!(trips <= 6 * u64::try_from(POSTS).expect("few"), "{trips} trips for {POSTS} posts");
}
