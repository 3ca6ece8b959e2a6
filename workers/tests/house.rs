//! The rooms of the house and the walls between them: which crate may stand on which.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The crates, from the ground up. Each stands on crates above it in this list at most, never on its neighbours in a row.
const FLOORS: [&[&str]; 14] = [
    &["perch-job"],
    &["perch-jobs", "perch-base"],
    &["perch-odds"],
    &["perch-queue", "perch-clients"],
    &["perch-store", "perch-safety"],
    &["perch-core"],
    &["perch-publishing"],
    &["perch-bot"],
    &["perch-bot-picks", "perch-bot-mentions"],
    &["perch-workers"],
    &["perch-api"],
    &["perch-sandbox", "perch-testkit"],
    &["perch-cli", "perch-rig", "perch-bench"],
    &["perch-bot-heartbeat"],
];

/// What serves tests, benches and tools, and nothing that runs in production but the sandbox of the CLI.
const TOOLS: [&str; 2] = ["perch-sandbox", "perch-testkit"];

/// The crates of the workspace, each with those of them that it stands on.
fn edges() -> BTreeMap<String, Vec<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .expect("cargo runs the tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages").iter();
    packages
        .map(|package| {
            let normal = |dependency: &&Value| dependency["kind"].is_null();
            let dependencies = package["dependencies"].as_array().expect("a list").iter().filter(normal);
            let names = dependencies.filter_map(|dependency| dependency["name"].as_str());
            let own = names.filter(|name| name.starts_with("perch-")).map(str::to_owned).collect();
            (package["name"].as_str().expect("a name").to_owned(), own)
        })
        .collect()
}

fn floor(name: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&name)).unwrap_or_else(|| panic!("{name} has no floor"))
}

#[test]
fn every_crate_stands_on_those_below_it_and_no_bot_on_a_bot() {
    let mut wrong = Vec::new();
    for (name, stands_on) in edges() {
        wrong.extend(
            stands_on
                .into_iter()
                .filter(|other| floor(other) >= floor(&name))
                .map(|other| format!("{name} -> {other}")),
        );
    }
    assert!(wrong.is_empty(), "edges that run up or sideways: {wrong:?}");
}

#[test]
fn nothing_but_the_list_of_bots_stands_on_a_bot() {
    let is_bot = |name: &String| name.starts_with("perch-bot-");
    let stand_on_one = edges().into_iter().filter(|(_, stands_on)| stands_on.iter().any(is_bot)).map(|(name, _)| name);
    assert_eq!(stand_on_one.collect::<Vec<_>>(), ["perch-sandbox", "perch-workers"]);
}

#[test]
fn nothing_that_runs_in_production_stands_on_what_serves_tests() {
    let allowed = ["perch-cli", "perch-rig", "perch-bench", "perch-testkit", "perch-sandbox"];
    for (name, stands_on) in edges() {
        let tools: Vec<&String> = stands_on.iter().filter(|other| TOOLS.contains(&other.as_str())).collect();
        assert!(tools.is_empty() || allowed.contains(&name.as_str()), "{name} stands on {tools:?}");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All sources of the workspace, as one text.
fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).expect("a source is text"));
        }
    }
}

#[test]
fn every_path_and_every_test_that_the_front_door_names_is_there() {
    let mut all = String::new();
    sources(&root(), &mut all);
    let mut missing = Vec::new();
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"] {
        let text = fs::read_to_string(root().join(document)).expect("the document is there");
        // Code in a block of its own is typed, and names no files.
        let prose = text.split("```").step_by(2).flat_map(|text| text.split('`').skip(1).step_by(2));
        for word in prose.filter(|word| !word.contains(' ')) {
            let is_test =
                word.len() >= 30 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            let is_path = word.contains('/') && !word.starts_with('/') && !word.contains(['<', '{', '*']);
            let is_there = match (is_test, is_path) {
                (true, _) => all.contains(&format!("fn {word}(")),
                (_, true) => root().join(word).exists(),
                _ => true,
            };
            if !is_there {
                missing.push(format!("{document}: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
