//! A foreign crate, which depends on the engine by path and on nothing else of this repository.

use std::{fs, path::Path, process::Command};

use perch_testkit::TestRedis;

const MANIFEST: &str = r#"
[package]
name = "outside"
version = "0.1.0"
edition = "2024"

[workspace]

[dependencies]
perch-queue = { path = "QUEUE" }
serde = { version = "1", features = ["derive"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }

[profile.dev]
debug = false
"#;

const PROGRAM: &str = r#"
use perch_queue::{App, Job, worker::JobContext};

#[derive(serde::Serialize, serde::Deserialize)]
struct Hello(String);

impl Job for Hello {
    const KIND: &'static str = "hello";
    const QUEUE: &'static str = "greetings";
}

async fn greet(hello: Hello, cx: JobContext) {
    println!("Hello, {}! ({})", hello.0, cx.attempt());
    std::process::exit(0);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = App::connect(std::env::var("REDIS_URL")?)?.on(greet);
    app.client().enqueue(&Hello("outside".into())).await?;
    Ok(app.run().await?)
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_crate_outside_of_the_workspace_runs_a_job_with_three_dependencies() {
    let redis = TestRedis::claim().await;
    let (queue, folder) = (Path::new(env!("CARGO_MANIFEST_DIR")), tempfile::tempdir().expect("a folder"));
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("it is one's own");
    fs::create_dir(folder.path().join("src")).expect("it is one's own");
    write("Cargo.toml", &MANIFEST.replace("QUEUE", &queue.to_string_lossy().replace('\\', "/")));
    write("src/main.rs", PROGRAM);
    // The versions of the workspace, so that nothing is resolved anew.
    fs::copy(queue.join("../../Cargo.lock"), folder.path().join("Cargo.lock")).expect("the lock file");
    let tests = std::env::current_exe().expect("the path of this test");
    let target = tests.ancestors().nth(3).expect("target").join("outside");
    let ran = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["run", "--quiet", "--offline"])
        .current_dir(folder.path())
        .env("CARGO_TARGET_DIR", target)
        .env("REDIS_URL", redis.url())
        .output()
        .expect("cargo runs the tests");
    let (said, told) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert_eq!(said.trim(), "Hello, outside! (1)", "{told}");
}
