//! A Redis that is failed over.

mod support;

use perch_base::Clock;
use perch_testkit::{OwnRedis, TestRedis};
use redis::Cmd;
use support::{World, engine, eventually, queue_settings};

fn replica_of(master: Option<u16>) -> Cmd {
    let mut cmd = redis::cmd("REPLICAOF");
    match master {
        Some(port) => cmd.arg("127.0.0.1").arg(port),
        None => cmd.arg("NO").arg("ONE"),
    };
    cmd
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_failed_over_and_back_to_the_same_process_is_held_against_postgres_anew() {
    let (here, there) = (OwnRedis::start().await, OwnRedis::start().await);
    let redis = TestRedis::at(&here.url());
    let world = World::on(redis, TestRedis::at(&here.url()).door(), queue_settings(), &engine(), &Clock::system());
    let run = world.queue.new_run().await.expect("Redis").expect("it was never held against anything");
    world.queue.mark_compared(&run).await.expect("Redis");
    assert_eq!(world.queue.new_run().await.expect("Redis"), None);

    // The other has what this one has, and takes over; then this one is promoted again.
    let (mut this, mut other) = (world.redis.raw().await, TestRedis::at(&there.url()).raw().await);
    replica_of(Some(here.port())).exec_async(&mut other).await.expect("REPLICAOF");
    eventually("the other is a replica", || async {
        let mut conn = TestRedis::at(&there.url()).raw().await;
        let info: String = redis::cmd("INFO").arg("replication").query_async(&mut conn).await.expect("INFO");
        info.contains("master_link_status:up")
    })
    .await;
    replica_of(None).exec_async(&mut other).await.expect("REPLICAOF");
    replica_of(Some(there.port())).exec_async(&mut this).await.expect("REPLICAOF");
    replica_of(None).exec_async(&mut this).await.expect("REPLICAOF");

    let again = world.queue.new_run().await.expect("Redis");
    assert!(again.as_ref().is_some_and(|again| *again != run), "{again:?}");
}
