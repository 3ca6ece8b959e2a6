use std::{io::Write as _, path::Path};

use perch_sandbox::{Endpoint, Fault, FaultKind, Sandbox, SandboxOptions};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::world::{Ran, perch, run};

fn examples() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workers/picks/tests/data/examples.jsonl");
    path.to_str().expect("a path of UTF-8").to_owned()
}

fn eval(arguments: &[&str]) -> Ran {
    run(perch().env("APP_ENV", "staging").args(["eval", "extraction"]).args(arguments), b"")
}

fn file_of(lines: &[&str]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(lines.join("\n").as_bytes()).expect("it can be written");
    file
}

#[test]
fn the_rules_are_measured_without_any_provider() {
    let ran = eval(&["--data", &examples(), "--provider", "rules"]).went_well();
    assert!(ran.stdout.contains("24 of 24 posts by rules right in every field: 100.0 %"), "{ran:?}");
    let report = eval(&["--data", &examples(), "--provider", "rules", "--json", "--limit", "10"]).json();
    assert_eq!((report["posts"].as_u64(), report["exact"].as_u64()), (Some(10), Some(10)), "{report}");
}

#[test]
fn false_picks_are_a_figure_of_their_own() {
    // The label is wrong on purpose, so that the rules read a bet too many.
    let file = file_of(&[
        r#"{"id": "a", "text": "Lakers -3.5 (-110) 2u", "expected": null}"#,
        r#"{"id": "b", "text": "Do NOT bet Lakers ML -120", "expected": null}"#,
    ]);
    let data = file.path().to_str().expect("a path of UTF-8");
    let ran = eval(&["--data", data, "--provider", "rules"]).went_well();
    assert!(ran.stdout.contains("1 false pick: bets read in posts that recommend none"), "{ran:?}");
    let report = eval(&["--data", data, "--provider", "rules", "--json"]).json();
    assert_eq!((report["false_picks"].as_u64(), report["nulls_right"].as_u64()), (Some(1), Some(1)), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_measured_by_the_way_that_workers_ask_it_and_never_sees_a_label() {
    let options = SandboxOptions { actors: perch_actors::actors(), ..SandboxOptions::default() };
    let address = "127.0.0.1:0".parse().expect("an address");
    let sandbox = Sandbox::start(address, options).await.expect("the sandbox starts");
    let base_url = format!("{}/v1", sandbox.base_url());
    // The second label is wrong on purpose: a reader that saw it would agree with it.
    let file = file_of(&[
        r#"{"id": "a", "text": "Good morning everyone, who are we on today?", "expected": null}"#,
        r#"{"id": "b", "text": "Nobody plays today.", "expected": {"type": "moneyline", "sport": "nba", "event": null,
           "selection": "Boston Celtics", "line": null, "side": null, "player": null, "stat": null, "odds": "-145",
           "units": null}}"#
            .replace('\n', " ")
            .as_str(),
    ]);
    let data = [examples(), file.path().to_str().expect("a path of UTF-8").to_owned()];
    let asked = tokio::task::spawn_blocking(move || {
        data.map(|data| {
            let mut command = perch();
            command.env("APP_ENV", "staging").env("GROK_API_KEY", "sandbox-model-key");
            command.env("PERCH__MODELS__PROVIDERS__GROK__BASE_URL", &base_url);
            run(command.args(["eval", "extraction", "--wrong", "--json", "--data", &data]), b"").json()
        })
    });
    let [all, own] = asked.await.expect("it runs");
    assert_eq!((all["provider"].as_str(), all["exact"].as_u64()), (Some("grok"), Some(24)), "{all}");
    assert!(all["tokens"]["prompt"].as_u64() > Some(1_000), "{all}");
    assert_eq!(all["wrong"], Value::Array(Vec::new()));
    assert_eq!((own["exact"].as_u64(), own["missed"].as_u64()), (Some(1), Some(1)), "{own}");
    assert_eq!(own["wrong"][0]["id"], "b");
    assert_eq!(own["fields"]["selection"]["recall"], 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_used_costs_what_it_took() {
    let address = "127.0.0.1:0".parse().expect("an address");
    let sandbox = Sandbox::start(address, SandboxOptions::default()).await.expect("the sandbox starts");
    sandbox.state().add_fault(Fault::new(Endpoint::Chat, FaultKind::Malformed));
    let base_url = format!("{}/v1", sandbox.base_url());
    let asked = tokio::task::spawn_blocking(move || {
        let mut command = perch();
        command.env("APP_ENV", "staging").env("GROK_API_KEY", "sandbox-model-key");
        command.env("PERCH__MODELS__PROVIDERS__GROK__BASE_URL", &base_url);
        run(command.args(["eval", "extraction", "--json", "--limit", "1", "--data", &examples()]), b"")
    });
    let ran = asked.await.expect("it runs");
    let report: Value = serde_json::from_str(&ran.stdout).expect("a report");
    assert_eq!((ran.code, report["failed"].as_u64(), report["missed"].as_u64()), (1, Some(1), Some(1)), "{ran:?}");
    assert!(report["tokens"]["completion"].as_u64() > Some(0), "{report}");
    assert!(report["cost_usd"].as_f64() > Some(0.0), "{report}");
}

#[test]
fn what_cannot_be_measured_is_refused_with_its_reason() {
    let broken = file_of(&[r#"{"text": "Lakers", "expected": null}"#, r#"{"text": "Lakers", "expected": 7}"#]);
    let broken = broken.path().to_str().expect("a path of UTF-8");
    let empty = file_of(&[]);
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--data", "/no/such/file", "--provider", "rules"], 1, "/no/such/file"),
        (&["--data", broken, "--provider", "rules"], 1, "line 2: expected: answer at $"),
        (&["--data", empty.path().to_str().expect("a path"), "--provider", "rules"], 1, "holds no examples"),
        (&["--data", &examples(), "--provider", "oracle"], 1, "configured are grok, openai, together"),
        (&["--data", &examples(), "--provider", "rules", "--limit", "0"], 2, "--limit"),
        (&["--provider", "rules"], 2, "--data"),
    ];
    for (arguments, code, said) in cases {
        let ran = eval(arguments);
        assert!(ran.code == code && ran.stderr.contains(said), "{arguments:?}: {ran:?}");
    }
    let unasked = eval(&["--data", &examples(), "--limit", "1", "--wrong"]);
    assert!(unasked.code == 1 && unasked.stdout.contains("GROK_API_KEY"), "{unasked:?}");
}
