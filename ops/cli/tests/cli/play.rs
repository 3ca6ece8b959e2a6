use std::process::Stdio;

use perch_testkit::free_port;
use serde_json::{Value, json};

use crate::world::{perch, run, until};

/// A sandbox of its own process, killed at the end.
struct Sandbox {
    child: std::process::Child,
    url: String,
}

impl Sandbox {
    async fn start() -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = perch();
        command.env("APP_ENV", "staging").args(["sandbox", "--quiet", "--bind", &address]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary is built");
        let url = format!("http://{address}");
        until("the sandbox answers", || async { run(&mut asked(&["health", "--live", "--url", &url]), b"").code == 0 })
            .await;
        Self { child, url }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn asked(arguments: &[&str]) -> std::process::Command {
    let mut command = perch();
    command.env("APP_ENV", "staging").args(arguments);
    command
}

async fn get(url: &str) -> Value {
    perch_base::tls::install();
    reqwest::get(url).await.expect("it answers").json().await.expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_played_into_a_running_sandbox_and_says_what_it_was() {
    let sandbox = Sandbox::start().await;
    let play = ["sandbox", "play", "--url", &sandbox.url, "--within", "0s", "--accounts", "8", "--mentions", "70"];
    let told = run(&mut asked(&[&play[..], &["--json"]].concat()), b"").json();

    assert_eq!(told["accounts"].as_array().map(Vec::len), Some(8));
    assert_eq!(told["accounts"][0], "sharp_sally", "those that are watched come first");
    assert_eq!((told["bot"].as_str(), told["mentions"].as_array().map(Vec::len)), (Some("perch_bot"), Some(70)));
    let state = get(&format!("{}/sandbox/state", sandbox.url)).await;
    let published = told["posts"].as_array().map_or(0, Vec::len) + 70;
    assert!(state["written_total"].as_u64() >= Some(published as u64), "{} posts", state["written_total"]);
    let results = get(&format!("{}/sandbox/results", sandbox.url)).await;
    assert_eq!(results.as_array().map(Vec::len), Some(18));
    let dry = run(&mut asked(&["sandbox", "play", "--accounts", "8", "--dry-run", "--json"]), b"").json();
    assert_eq!(dry["accounts"], told["accounts"], "known before anything is played");

    let table = run(&mut asked(&play), b"").went_well().stdout;
    for part in ["posts with bets", "mentions", "reply", "person", "recap", "won"] {
        assert!(table.contains(part), "{table}");
    }
}

#[test]
fn weeks_of_the_bots_that_learn_show_what_was_learned_beside_chance() {
    let ran = run(&mut asked(&["sandbox", "play", "--weeks", "1"]), b"");
    for part in ["1 weeks", "choosing uniformly", "learned", "followers gained"] {
        assert!(ran.code == 0 && ran.stdout.contains(part), "{part} is missing: {ran:?}");
    }
}

#[test]
fn what_cannot_be_played_says_why() {
    for (arguments, code, told) in [
        (&["--url", "https://api.x.com"][..], 2, "not of this machine"),
        (&["--url", "http://127.0.0.1:1"], 1, "start one with `perch sandbox`"),
        (&["--accounts", "2"], 2, "use 3 to 100"),
        (&["--mentions", "10001"], 2, "up to 10000"),
        (&["--bot", "not a handle"], 2, "no handle"),
        (&["--speed", "0"], 2, "no speed"),
        (&["--speed", "60", "--within", "1m"], 2, "cannot be used with"),
        (&["--weeks", "0"], 2, "weeks is 0; allowed: 1 to 104"),
        (&["--weeks", "2", "--within", "1m"], 2, "cannot be used with"),
    ] {
        let ran = run(&mut asked(&[&["sandbox", "play"], arguments].concat()), b"");
        assert!(ran.code == code && ran.stderr.contains(told), "{arguments:?}: {ran:?}");
    }
    let ran = run(&mut asked(&["sandbox", "play", "--url", "http://127.0.0.1:1", "--json"]), b"");
    let told: Value = serde_json::from_str(&ran.stderr).expect("an object");
    assert_ne!(told["error"], json!(null));
}
