//! A Redis that hangs: it accepts connections but never replies.

mod support;

use std::{sync::Arc, time::Duration};

use perch_base::{Clock, settings::RedisSettings};
use perch_queue::{EnqueueError, Redis};
use perch_testkit::{OwnRedis, TestRedis};
use secrecy::SecretString;
use support::{Chore, World, engine, eventually, queue_settings};

/// A door whose attempts to connect last far longer than a test may.
fn patient_door(server: &OwnRedis) -> Redis {
    let settings = RedisSettings {
        pool_size: 4,
        connect_timeout: Duration::from_secs(600),
        command_timeout: Duration::from_secs(1),
    };
    Redis::new(&SecretString::from(server.url()), &settings).expect("a URL")
}

fn world_on(server: &OwnRedis) -> World {
    World::on(TestRedis::at(&server.url()), patient_door(server), queue_settings(), &engine(), &Clock::system())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_redis_that_hangs_fail_at_once_and_none_waits_for_another() {
    let server = OwnRedis::start().await;
    let world = Arc::new(world_on(&server));
    world.client.enqueue(&Chore::number(0)).await.expect("accepted");
    server.freeze();
    let failed = world.client.enqueue(&Chore::number(1)).await;
    assert!(matches!(failed, Err(EnqueueError::Queue(error)) if error.is_unavailable()));
    // The current attempt to connect takes ten minutes; a caller that waited for it would not return in time.
    for n in 0..10 {
        let failed = world.client.enqueue(&Chore::number(n)).await;
        assert!(matches!(failed, Err(EnqueueError::Queue(error)) if error.is_unavailable()));
    }
    let together = (0..200).map(|n| {
        let world = world.clone();
        tokio::spawn(async move { world.client.enqueue(&Chore::number(n)).await.is_err() })
    });
    for failed in together.collect::<Vec<_>>() {
        assert!(failed.await.expect("no panic"));
    }
    server.thaw();
    eventually("it works again", || async { world.client.enqueue(&Chore::number(2)).await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_who_wait_for_the_first_connection_share_it() {
    let server = OwnRedis::start().await;
    let world = Arc::new(world_on(&server));
    let together = (0..50).map(|n| {
        let world = world.clone();
        tokio::spawn(async move { world.client.enqueue(&Chore::number(n)).await.is_ok() })
    });
    for accepted in together.collect::<Vec<_>>() {
        assert!(accepted.await.expect("no panic"));
    }
    let mut raw = world.redis.raw().await;
    let info: String = redis::cmd("INFO").arg("stats").query_async(&mut raw).await.expect("INFO");
    let connections = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    // One of the server start, one for the calls, and one for this check.
    assert_eq!(connections.and_then(|n| n.trim().parse::<u32>().ok()), Some(3));
}
