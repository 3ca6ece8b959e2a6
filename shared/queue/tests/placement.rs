//! Where the keys are: inside the prefix of the environment, and on one node of a cluster for each queue.

mod support;

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use perch_base::Clock;
use perch_queue::{
    EventKind, Fail, Redis, Replay, Subscription,
    worker::{HandlerResult, Handlers},
};
use perch_testkit::{OwnRedis, TestRedis, free_port, redis_settings};
use secrecy::SecretString;
use support::{Chore, OnlyOne, World, engine, eventually, queue_settings};

/// Uses all operations of the engine, through `world`.
async fn exercise(world: &World) {
    let working = world.work(
        Handlers::new()
            .on(|chore: Chore| async move { if chore.n == 13 { Err(Fail::Dead("unlucky".into())) } else { Ok(()) } })
            .on(|_: OnlyOne| async { HandlerResult::Ok(()) }),
    );
    for n in 0..20 {
        world.client.enqueue(&Chore::of_group(n, if n % 2 == 0 { "even" } else { "odd" })).await.expect("accepted");
    }
    world.client.enqueue(&OnlyOne { key: "k".into() }).await.expect("accepted");
    let run_at = Some(chrono::Utc::now() + chrono::TimeDelta::milliseconds(30));
    let options = perch_queue::EnqueueOptions { run_at, ..Default::default() };
    world.client.enqueue_with(&Chore::number(50), options).await.expect("accepted");
    world.drained().await;
    assert_eq!(world.count(EventKind::Succeeded).await, 21);
    let letters = world.queue.dead_page(None, 10).await.expect("Redis").letters;
    assert_eq!(letters.len(), 1);
    let replay = Replay { letter: letters[0].clone(), payload: None };
    world.queue.replay(&[replay], Duration::ZERO, "ann").await.expect("Redis");
    eventually("it is dead again", || async { world.queue.stats().await.expect("Redis").dead == 1 }).await;
    world.queue.discard(&[letters[0].id], "ann").await.expect("Redis");
    world.queue.pause("ann").await.expect("Redis");
    world.queue.resume("ann").await.expect("Redis");
    assert_eq!(world.queue.purge_some("ann").await.expect("Redis"), 0);
    world.queue.prune_some().await.expect("Redis");
    assert_eq!(world.queue.workers(Duration::from_secs(60)).await.expect("Redis").len(), 1);
    let mut follow = Subscription::new(&world.queue, Some(perch_queue::EntryId::default()));
    assert!(!follow.next(Duration::from_millis(50)).await.expect("Redis").is_empty());
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_for_a_redis_user_that_may_touch_its_prefix_alone() {
    let server = OwnRedis::start().await;
    let mut admin = TestRedis::at(&server.url()).raw().await;
    redis::cmd("ACL")
        .arg(&[
            "SETUSER",
            "perch",
            "on",
            ">sesame",
            "resetchannels",
            "~stg:*",
            "+@all",
            "-@admin",
            "-@dangerous",
            "+info",
        ])
        .exec_async(&mut admin)
        .await
        .expect("ACL SETUSER");
    let redis = TestRedis::at(&format!("redis://perch:sesame@127.0.0.1:{}", server.port()));
    let door = redis.door();
    let mut settings = queue_settings();
    settings.group_concurrency = 1;
    let world = World::on(redis, door, settings, &engine(), &Clock::system());
    exercise(&world).await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut admin).await.expect("KEYS");
    assert!(keys.iter().all(|key| key.starts_with("stg:")), "{keys:?}");
}

struct Cluster {
    nodes: Vec<(u16, Child)>,
    _dir: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let dir = tempfile::TempDir::new().expect("a folder");
        let mut nodes = Vec::new();
        for i in 0..3 {
            // The bus port is set by hand: the default of port + 10,000 may not exist.
            let (port, bus) = (free_port(), free_port());
            let home = dir.path().join(i.to_string());
            std::fs::create_dir(&home).expect("a folder");
            let child = Command::new("redis-server")
                .args([
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--cluster-enabled",
                    "yes",
                    "--cluster-node-timeout",
                    "2000",
                ])
                .args(["--port", &port.to_string(), "--cluster-port", &bus.to_string(), "--dir"])
                .arg(&home)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("redis-server is installed");
            nodes.push((port, child));
        }
        let cluster = Self { nodes, _dir: dir };
        for port in cluster.ports() {
            eventually("a node answers", || async move { answers(port).await }).await;
        }
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        create.args(cluster.ports().map(|port| format!("127.0.0.1:{port}")));
        let made = create.args(["--cluster-yes"]).stdout(Stdio::null()).status().expect("redis-cli is installed");
        assert!(made.success());
        for port in cluster.ports() {
            eventually("the cluster is up", || async move { info(port).await.contains("cluster_state:ok") }).await;
        }
        cluster
    }

    fn ports(&self) -> impl Iterator<Item = u16> + '_ {
        self.nodes.iter().map(|(port, _)| *port)
    }

    fn url(&self) -> String {
        self.ports().map(|port| format!("redis://127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (_, child) in &mut self.nodes {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn answers(port: u16) -> bool {
    let Ok(client) = redis::Client::open(format!("redis://127.0.0.1:{port}")) else { return false };
    client.get_multiplexed_async_connection().await.is_ok()
}

async fn info(port: u16) -> String {
    let mut conn = TestRedis::at(&format!("redis://127.0.0.1:{port}")).raw().await;
    redis::cmd("CLUSTER").arg("INFO").query_async(&mut conn).await.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_runs_unchanged_on_a_cluster_of_three_masters() {
    let cluster = Cluster::start().await;
    let door = Redis::new(&SecretString::from(cluster.url()), &redis_settings()).expect("URLs");
    assert!(door.is_cluster());
    let mut settings = queue_settings();
    settings.group_concurrency = 1;
    let first = cluster.ports().next().expect("three nodes");
    let redis = TestRedis::at(&format!("redis://127.0.0.1:{first}"));
    let world = World::on(redis, door, settings, &engine(), &Clock::system());
    exercise(&world).await;
}
