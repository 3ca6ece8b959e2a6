//! A second process beside one that has a sandbox.

use std::process::{Command, Stdio};

use perch_testkit::free_port;
use serde_json::Value;

use crate::world::{World, config_dir, run, until};

/// The command line as `./ops/perch` starts it, with what `./ops/run` wrote down.
fn with_written_env(world: &World, sandbox: &str, arguments: &[&str]) -> Command {
    let root = config_dir().join("..");
    let folder = tempfile::tempdir().expect("a folder").keep();
    let script = r#"
        set -eu
        . ops/lib/env.sh
        PERCH__SANDBOX__URL=$(sandbox_url config/base.toml "config/$APP_ENV.toml") write_env "$1/env"
        unset PERCH__SANDBOX__BIND REDIS_URL DATABASE_URL APP_ENV
        load_env "$1/env"
        rm -r "$1"
        shift
        exec "$@""#;
    let mut command = Command::new("bash");
    command.current_dir(root).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("APP_ENV", "staging").env("REDIS_URL", world.redis.url()).env("DATABASE_URL", world.database.url());
    command.env("PERCH__SANDBOX__BIND", sandbox).env("PERCH_CONFIG_DIR", config_dir());
    command.args(["-c", script, "bash"]).arg(folder).arg(env!("CARGO_BIN_EXE_perch")).args(arguments);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_finds_the_sandbox_of_the_first() {
    let world = World::start().await;
    let sandbox = format!("127.0.0.1:{}", free_port());
    let mut first = world.perch(&["sandbox", "--quiet", "--bind", &sandbox]);
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary is built");
    let url = format!("http://{sandbox}");
    until("the sandbox answers", || async { world.run(&["health", "--live", "--url", &url]).code == 0 }).await;

    let data = config_dir().join("../workers/picks/tests/data/examples.jsonl");
    let data = data.to_str().expect("UTF-8");
    let mut eval =
        with_written_env(&world, &sandbox, &["eval", "extraction", "--data", data, "--limit", "20", "--json"]);
    let report = run(&mut eval, b"").json();
    assert_eq!(report["failed"], 0, "{report}");
    let mut doctor = with_written_env(&world, &sandbox, &["doctor", "--json"]);
    let report: Value = serde_json::from_str(&run(&mut doctor, b"").stdout).expect("JSON");
    let found = crate::doctor::check(&report, "configuration")["found"].as_str().expect("a text").to_owned();
    assert!(found.contains("posts are sent to the sandbox"), "{found}");
    first.kill().and_then(|()| first.wait()).expect("it is a child");
}
