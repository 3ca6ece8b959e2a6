//! Where jobs stand, whoever is asked and however far Postgres is behind.

use chrono::{DateTime, Utc};
use perch_jobs::JobId;
use perch_queue::{Fail, Lease, testing, testing::AttemptEnd};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::world::World;

fn enqueue(world: &World, username: &str) -> String {
    let id = world.json(&["enqueue", "poll_account", &json!({ "username": username }).to_string()])["id"].clone();
    id.as_str().expect("an id").to_owned()
}

fn state(world: &World, id: &str) -> String {
    world.json(&["jobs", "show", id])["state"].as_str().expect("a state").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_just_ended_is_shown_as_it_ended_before_the_sync() {
    let world = World::start().await;
    let id = enqueue(&world, "bert");
    world.sync().await;
    world.let_succeed().await;
    let shown = world.json(&["jobs", "show", &id]);
    assert_eq!(
        (&shown["state"], &shown["attempt_history"][0]["outcome"]),
        (&"done".into(), &"succeeded".into()),
        "{shown}"
    );
    world.sync().await;
    assert_eq!(state(&world, &id), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_brought_back_and_ended_is_not_shown_as_dead() {
    let world = World::start().await;
    world.let_die(&["alice"]).await;
    world.sync().await;
    let id = world.list(&["dead", "list"])[0]["id"].as_str().expect("an id").to_owned();
    world.run(&["dead", "replay", "--id", &id]).went_well();
    assert_eq!(state(&world, &id), "waiting");
    world.let_succeed().await;
    assert_eq!(state(&world, &id), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_which_nothing_tells_how_it_ended_is_not_known() {
    let world = World::start().await;
    let id = enqueue(&world, "bert");
    world.sync().await;
    world.redis.wipe().await;
    let shown = world.json(&["jobs", "show", &id]);
    assert_eq!((&shown["state"], &shown["postgres"]["state"]), (&"unknown".into(), &"waiting".into()), "{shown}");
    let text = world.run(&["jobs", "show", &id]).went_well().stdout;
    assert!(text.contains("not known: it was waiting") && text.contains("perch recover"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_a_recovery_finds_nothing_on_a_healthy_system_that_works() {
    let world = World::start().await;
    for username in ["bert", "carl", "dora"] {
        enqueue(&world, username);
    }
    world.sync().await;
    world.let_succeed().await;
    // They have ended, and Postgres does not know it yet.
    let planned = world.json(&["recover", "--dry-run"]);
    assert_eq!(planned["queues"], json!({}), "{planned}");
    assert_eq!(world.json(&["recover", "--yes"])["queues"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tail_shows_all_that_happened_in_order_and_with_its_kind_wherever_it_is_kept_by_now() {
    let world = World::start().await;
    let mut expected = Vec::new();
    for (username, is_synced) in [("bert", true), ("carl", true), ("dora", false)] {
        let id = enqueue(&world, username);
        world.run(&["enqueue", "collect_metrics", r#"{"post_ids":["1"]}"#, "--in", "1h"]).went_well();
        world.let_succeed().await;
        if is_synced {
            world.sync().await;
        }
        expected.extend(["enqueued", "started", "succeeded"].map(|event| (id.clone(), event.to_owned())));
    }
    let tailed = world.run(&["tail", "--since", "5m", "--no-follow", "--json"]).went_well().stdout;
    let lines: Vec<Value> = tailed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let times: Vec<DateTime<Utc>> =
        lines.iter().map(|line| line["at"].as_str().and_then(|at| at.parse().ok()).expect("a time")).collect();
    assert!(times.is_sorted(), "{tailed}");
    assert!(lines.iter().all(|line| line["kind"].is_string()), "{tailed}");
    let polls = lines.iter().filter(|line| line["kind"] == "poll_account");
    let told: Vec<(String, String)> = polls
        .map(|line| {
            let of = |name: &str| line[name].as_str().expect("a text").to_owned();
            (of("job_id"), of("event"))
        })
        .collect();
    assert_eq!(told, expected);
    assert_eq!(lines.iter().filter(|line| line["kind"] == "collect_metrics").count(), 3, "{tailed}");

    let text = world.run(&["tail", "--since", "5m", "--no-follow", "--kind", "poll_account"]).went_well().stdout;
    assert_eq!(text.lines().count(), 9, "{text}");
    let misspelt = world.run(&["tail", "--kind", "nope"]);
    assert!(misspelt.code == 1 && misspelt.stderr.contains("there is no kind nope"), "{misspelt:?}");
}

/// What is done to a job, and what it is after that.
struct Model {
    world: World,
    id: String,
    lease: Option<Lease>,
    is: &'static str,
}

impl Model {
    async fn step(&mut self, dice: u32) -> Option<&'static str> {
        let queue = self.world.queue("extraction");
        let id: JobId = self.id.parse().expect("an id");
        Some(match (self.is, dice) {
            (_, 0..=2) => {
                self.world.sync().await;
                "sync"
            }
            ("waiting", 3..=8) => {
                let fetched = testing::fetch(&queue, "model", 1, 100).await.expect("Redis answers");
                self.lease = fetched.jobs.into_iter().next().map(|(lease, _)| lease);
                self.is = "running";
                "fetch"
            }
            ("waiting", 9) => {
                queue.cancel(id, "model", "a test").await.expect("Redis answers");
                self.is = "cancelled";
                "cancel"
            }
            ("running", 3..=9) => {
                let view = queue.job(id).await.expect("Redis answers").expect("it is there");
                let envelope = view.decoded().expect("readable");
                let lease = self.lease.take().expect("it runs");
                let (end, is) = match dice {
                    3..=5 => (AttemptEnd::Failed(Fail::Dead("no".into())), "dead"),
                    6 if lease.attempt() >= envelope.max_attempts => {
                        (AttemptEnd::Failed(Fail::Retry("for the last time".into())), "dead")
                    }
                    6 => (AttemptEnd::Failed(Fail::Retry("later".into())), "delayed"),
                    7 => (AttemptEnd::Interrupted, "waiting"),
                    _ => (AttemptEnd::Succeeded, "done"),
                };
                assert!(testing::finish(&queue, &lease, &envelope, end).await.expect("Redis answers"));
                self.is = is;
                is
            }
            ("delayed", 3..=8) => {
                assert!(queue.run_now(id).await.expect("Redis answers"));
                self.is = "waiting";
                "run now"
            }
            ("dead", 3..=7) => {
                self.world.run(&["dead", "replay", "--id", &self.id]).went_well();
                self.is = "waiting";
                "replay"
            }
            ("dead", 8) => {
                self.world.run(&["dead", "discard", "--id", &self.id, "--yes"]).went_well();
                self.is = "discarded";
                "discard"
            }
            _ => return None,
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_a_job_never_goes_backwards_whenever_postgres_hears_of_it() {
    let seed = std::env::var("PERCH_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::start().await;
    let id = enqueue(&world, "bert");
    let mut model = Model { world, id, lease: None, is: "waiting" };
    let mut done = Vec::new();
    for _ in 0..120 {
        let Some(step) = model.step(rng.random_range(0..10)).await else { continue };
        done.push(step);
        assert_eq!(state(&model.world, &model.id), model.is, "after {done:?}, with PERCH_FUZZ_SEED={seed}");
        if ["done", "cancelled", "discarded"].contains(&model.is) {
            model.id = enqueue(&model.world, &format!("bert{}", done.len()));
            model.is = "waiting";
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_cannot_be_read_hides_no_other() {
    let world = World::start().await;
    let jobs = world.queue("extraction").keys().jobs();
    let mut raw = world.redis.raw().await;
    // Who comes upon it sets it aside.
    redis::cmd("SET").arg(&jobs).arg("odd").exec_async(&mut raw).await.expect("Redis answers");
    let shown = world.run(&["queues"]);
    assert!(shown.code == 0 && shown.stdout.contains("pending_posts"), "{shown:?}");
    assert!(!shown.stdout.contains("extraction") && shown.stderr.contains("extraction cannot be read"), "{shown:?}");
    redis::cmd("SET").arg(&jobs).arg("odd").exec_async(&mut raw).await.expect("Redis answers");
    let odd = &world.json(&["queues"])["unreadable"][0];
    assert!(odd["queue"] == "extraction" && odd["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{odd}");
}
