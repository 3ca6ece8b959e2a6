//! The API held against its own description by Schemathesis, which makes up requests that fit it and requests that do not.

use std::path::Path;

use perch_jobs::PollAccount;
use perch_queue::{Fail, worker::Handlers};
use perch_store::Scope;
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::process::Command;

use crate::world::World;

/// Requests made up for each operation and phase. Another number of them, by chance, where fuzz tests are told to go on for long.
const USUAL: u64 = 20;

/// Jobs that wait and one that is dead, so that there is something to look at.
async fn with_jobs() -> World {
    let vars = [
        ("PERCH__HTTP__RATE_PER_SECOND", "100000"),
        ("PERCH__HTTP__RATE_BURST", "1000000"),
        ("PERCH__HTTP__REQUESTS_PER_KEY", "10000"),
    ];
    let world = World::with(&vars).await;
    world.enqueue(&json!({ "kind": "poll_account", "payload": { "username": "gone" } })).await;
    let handlers =
        Handlers::new().on::<PollAccount, _, _>(async |_: PollAccount| Err::<(), _>(Fail::Dead("gone".into())));
    let queue = world.queue("extraction");
    world.work_until(handlers, "it is dead", || async { queue.stats().await.is_ok_and(|stats| stats.dead == 1) }).await;
    for delay_ms in [60_000, 3_600_000] {
        let job =
            json!({ "kind": "poll_account", "payload": { "username": format!("u{delay_ms}") }, "delay_ms": delay_ms });
        world.enqueue(&job).await;
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_does_what_its_description_says_and_nothing_else() {
    let world = with_jobs().await;
    let key = world.store.api_keys().create("schemathesis", &Scope::ALL).await.expect("a key").token;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let longer = std::env::var("PERCH_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse::<u64>().ok());
    let mut command = Command::new(here.join("../lib/schemathesis"));
    command.arg("--config-file").arg(here.join("tests/api/schemathesis.toml"));
    command.args(["run", &format!("http://{}/openapi.json", world.address())]);
    command.args(["--header", &format!("Authorization: Bearer {}", key.expose_secret())]);
    command.args(["--phases", "examples,coverage,fuzzing,stateful", "--continue-on-failure"]);
    command.args(["--max-examples", &longer.map_or(USUAL, |seconds| USUAL * seconds).to_string()]);
    if longer.is_none() {
        command.arg("--generation-deterministic");
    }
    let output = command.env("NO_COLOR", "1").kill_on_drop(true).output().await.expect("bash is there");
    let told = String::from_utf8_lossy(&output.stdout);
    let (_, findings) = told.split_once("= FAILURES =").unwrap_or(("", &told));
    assert!(output.status.success(), "{findings}\n{}", String::from_utf8_lossy(&output.stderr));
    world.stop().await;
}
