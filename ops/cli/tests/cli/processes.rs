use std::{
    io::Write as _,
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use perch_testkit::free_port;
use serde_json::{Value, json};

use crate::world::{World, until};

/// A process that is killed when a test ends early.
pub struct Running(Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary is built"))
    }

    /// Sends a signal and waits for the exit code.
    pub async fn end_with(mut self, signal: &str) -> Option<i32> {
        let sent = Command::new("kill").args(["-s", signal, &self.0.id().to_string()]).status().expect("kill is there");
        assert!(sent.success(), "the process is there");
        let child = std::cell::RefCell::new(&mut self.0);
        until("the process ends", || async { child.borrow_mut().try_wait().expect("it is a child").is_some() }).await;
        self.0.wait().expect("it is a child").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub async fn get(url: &str) -> reqwest::Response {
    perch_base::tls::install();
    reqwest::get(url).await.expect("it answers")
}

pub async fn is_ready(world: &World, address: &str) {
    let url = format!("http://{address}");
    until("the process is ready", || async { world.run(&["health", "--url", &url]).code == 0 }).await;
}

pub fn address() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// Starts everything, and waits until it has published something and Postgres knows of it.
pub async fn publishes(world: &World, api: &str, mut up: Command) -> Running {
    let sandbox = address();
    // Comments are replies to people who have not asked, which the other plan does not allow.
    up.args(["--bind", api]).env("PERCH__SANDBOX__PLAN", "enterprise").env("PERCH__SANDBOX__BIND", &sandbox);
    let up = Running::start(&mut up);
    is_ready(world, api).await;
    assert_eq!(world.run(&["cron", "run", "poll_accounts"]).code, 0);
    until("a comment shows on the page of the sandbox", || async {
        let state = get(&format!("http://{sandbox}/sandbox/state")).await;
        let state: Value = state.json().await.expect("JSON");
        state["posted"].as_array().is_some_and(|posted| !posted.is_empty())
    })
    .await;
    let published = ["jobs", "list", "--state", "done", "--kind", "publish_post"];
    until("Postgres knows of a published post", || async { world.list(&published) != json!([]) }).await;
    up
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_runs_in_one_process_and_ends_cleanly_at_ctrl_c() {
    let world = World::start().await;
    let (api, up) = (address(), world.perch(&["up", "--no-tui"]));
    let up = publishes(&world, &api, up).await;
    let published = ["jobs", "list", "--state", "done", "--kind", "publish_post"];
    let id = world.list(&published)[0]["id"].as_str().expect("an id").to_owned();
    let shown = world.json(&["jobs", "show", &id]);
    assert_eq!((&shown["state"], &shown["effects"][0]["state"]), (&"done".into(), &"confirmed".into()), "{shown}");
    assert_eq!(shown["attempt_history"][0]["outcome"], "succeeded");
    assert_eq!(world.list(&["workers"]).as_array().map(Vec::len), Some(7));
    let key = &world.list(&["keys", "list"])[0];
    assert!(key["name"] == "perch up" && key["revoked_at"].is_null(), "{key}");

    assert_eq!(up.end_with("INT").await, Some(0));
    assert!(world.list(&["keys", "list"])[0]["revoked_at"].is_string());
    assert_eq!(world.list(&["workers"]), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_runs_alone_and_ends_cleanly_at_sigterm() {
    let world = World::start().await;
    for role in [&["worker", "extraction"][..], &["scheduler"], &["api"]] {
        let (address, private) = (address(), address());
        let mut command = world.perch(role);
        command.args(["--bind", &address]).env("PERCH__HTTP__METRICS_BIND", &private);
        let process = Running::start(&mut command);
        is_ready(&world, &address).await;
        assert_eq!(get(&format!("http://{address}/metrics")).await.status(), 401, "{role:?}");
        assert!(get(&format!("http://{private}/metrics")).await.status().is_success(), "{role:?}");
        assert_eq!(process.end_with("TERM").await, Some(0), "{role:?}");
    }
    let address = address();
    let sandbox = Running::start(world.perch(&["sandbox"]).args(["--bind", &address]));
    let url = format!("http://{address}");
    until("the sandbox answers", || async { world.run(&["health", "--live", "--url", &url]).code == 0 }).await;
    assert_eq!(sandbox.end_with("TERM").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_take_no_descriptors_from_a_health_check_or_from_jobs() {
    let world = World::start().await;
    let (api, sandbox) = (address(), address());
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 256 && exec "$0" "$@""#, env!("CARGO_BIN_EXE_perch")]);
    let perch = world.perch(&["up", "--no-tui", "--bind", &api]);
    command.args(perch.get_args()).env_clear().envs(perch.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let up = Running::start(command.env("PERCH__SANDBOX__BIND", &sandbox));
    is_ready(&world, &api).await;
    let idle: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(&api).expect("it listens");
            // One that was closed to make room for another takes nothing.
            let _ = stream.write_all(b"GET /health HTTP/1.1\r\n");
            stream
        })
        .collect();
    assert_eq!(world.run(&["health", "--url", &format!("http://{api}")]).code, 0);
    let id = world.json(&["enqueue", "poll_account", r#"{"username":"sharp_sally"}"#])["id"].clone();
    let id = id.as_str().expect("an id");
    until("the job is done", || async { world.json(&["jobs", "show", id])["state"] == "done" }).await;
    let shown = world.json(&["jobs", "show", id]);
    let outcomes: Vec<&Value> =
        shown["attempt_history"].as_array().expect("attempts").iter().map(|one| &one["outcome"]).collect();
    assert!(outcomes.iter().all(|outcome| **outcome != "retried"), "{shown}");
    drop(idle);
    assert_eq!(up.end_with("TERM").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_address_is_taken_says_so_and_ends() {
    let world = World::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let ran = world.run(&["worker", "--bind", &address]);
    assert!(ran.code == 1 && ran.stderr.contains(&address) && ran.stderr.contains("--bind"), "{ran:?}");
}
