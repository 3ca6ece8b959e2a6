//! The layers of the workspace: which crate may depend on which.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The crates by layer, the lowest first. A crate may depend only on crates of earlier layers, not on those of its own.
const FLOORS: [&[&str]; 16] = [
    &["perch-job", "perch-statements", "perch-readers"],
    &["perch-jobs", "perch-base", "perch-sandbox"],
    &["perch-odds"],
    &["perch-queue", "perch-clients"],
    &["perch-store", "perch-safety"],
    &["perch-core"],
    &["perch-publishing"],
    &["perch-bot"],
    &["perch-bot-picks", "perch-bot-mentions", "perch-bot-personas", "perch-bot-learner"],
    &["perch-workers", "perch-actor-picks", "perch-actor-mentions", "perch-actor-personas", "perch-actor-learner"],
    &["perch-api", "perch-actors"],
    &["perch-testkit"],
    &["perch-play"],
    &["perch-cli"],
    &["perch-rig", "perch-bench"],
    &["perch-bot-heartbeat"],
];

/// Crates for tests, benches and tools. In production only the sandbox of the CLI uses them.
const TOOLS: [&str; 8] = [
    "perch-sandbox",
    "perch-testkit",
    "perch-actor-picks",
    "perch-actor-mentions",
    "perch-actor-personas",
    "perch-actor-learner",
    "perch-actors",
    "perch-play",
];

/// The crates that may depend on these tools, besides the tools themselves.
const MAY_USE_TOOLS: [&str; 3] = ["perch-cli", "perch-rig", "perch-bench"];

/// The crates of the workspace, each with its dependencies within the workspace.
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
fn nothing_stands_on_a_bot_but_the_registry_and_the_actor_of_that_bot() {
    let mut wrong = Vec::new();
    for (name, stands_on) in edges() {
        let of_a_bot = stands_on.iter().filter_map(|other| other.strip_prefix("perch-bot-"));
        let may = |bot: &str| name == "perch-workers" || name == format!("perch-actor-{bot}");
        wrong.extend(of_a_bot.filter(|bot| !may(bot)).map(|bot| format!("{name} -> perch-bot-{bot}")));
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn nothing_that_runs_in_production_stands_on_what_serves_tests() {
    for (name, stands_on) in edges() {
        let tools: Vec<&String> = stands_on.iter().filter(|other| TOOLS.contains(&other.as_str())).collect();
        let may = MAY_USE_TOOLS.contains(&name.as_str()) || TOOLS.contains(&name.as_str());
        assert!(tools.is_empty() || may, "{name} stands on {tools:?}");
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
        // Code blocks are commands and do not name files.
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

/// The folders in which no bot may be named.
const NAMELESS: [&str; 3] = ["shared", "workers/core", "workers/publishing"];

/// The extensions of the files that are checked: code, scripts, SQL, pages and documents, but no data, which others wrote.
const READ: [&str; 6] = ["rs", "lua", "sql", "toml", "md", "html"];

/// Names of bots that are also words of X, for a timeline and for entities, or of the platform, for who an account speaks as. Such a word
/// counts only where it can mean only the bot.
const SHARED_WORDS: [&str; 2] = ["mentions", "personas"];

/// The ways in which a line of text may name a bot.
struct Naming {
    name: &'static str,
    /// Words that always mean the bot.
    forms: Vec<String>,
}

impl Naming {
    fn of(name: &'static str) -> Self {
        let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
        let one = name.strip_suffix('s').unwrap_or(name);
        let mut forms = vec![
            format!("{}Bot", capital(name)),
            format!("{}Actor", capital(name)),
            format!("{}Settings", capital(name)),
            format!("perch_bot_{name}"),
            format!("perch-bot-{name}"),
            format!("perch_actor_{name}"),
            format!("perch-actor-{name}"),
            format!("perch {name}"),
            format!("{name} bot"),
            format!("{one} bot"),
            format!("bots/{name}"),
            format!("workers/{name}"),
            format!("[{name}]"),
            format!("PERCH__{}__", name.to_uppercase()),
        ];
        if SHARED_WORDS.contains(&name) {
            forms.extend(keys(name).into_iter().map(|key| format!("{name}.{key}")));
        }
        Self { name, forms }
    }

    fn is_in(&self, line: &str) -> bool {
        let whole = |word: &str| has_word(line, word);
        let is_said = if SHARED_WORDS.contains(&self.name) {
            whole("bot") && line.contains(&format!("\"{}\"", self.name))
        } else {
            has_word(&line.to_lowercase(), self.name)
        };
        is_said || self.forms.iter().any(|form| whole(form))
    }
}

/// The keys of the settings of a bot, as in its file.
fn keys(bot: &str) -> Vec<String> {
    let file = root().join("config/bots").join(format!("{bot}.toml"));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let settings: toml::Table = text.parse().expect("the settings of a bot are TOML");
    settings.get(bot).and_then(toml::Value::as_table).into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

/// Whether the line has the word with no letter, digit or underscore next to it.
fn has_word(line: &str, word: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    // A word that ends in punctuation may be followed by anything.
    let closed = word.ends_with(|c: char| !c.is_alphanumeric());
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(goes_on) && (closed || !line[at + word.len()..].starts_with(goes_on)))
}

/// The lines of a folder that name a bot, by file.
fn naming(folder: &Path, bots: &[Naming], into: &mut BTreeMap<String, Vec<String>>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let file = path.strip_prefix(root()).expect("it is of the repository").to_string_lossy().replace('\\', "/");
        if path.is_dir() {
            naming(&path, bots, into);
        } else if path.extension().is_some_and(|extension| READ.iter().any(|read| extension == *read)) {
            let text = fs::read_to_string(&path).expect("a source is text");
            let lines = text.lines().enumerate().filter(|(_, line)| bots.iter().any(|bot| bot.is_in(line)));
            let lines: Vec<String> = lines.map(|(n, line)| format!("{file}:{}: {}", n + 1, line.trim())).collect();
            if !lines.is_empty() {
                into.insert(file, lines);
            }
        }
    }
}

#[test]
fn nothing_of_the_platform_names_a_bot() {
    let bots: Vec<Naming> = perch_workers::bots().iter().map(|bot| Naming::of(bot.name())).collect();
    let mut found = BTreeMap::new();
    for room in NAMELESS {
        naming(&root().join(room), &bots, &mut found);
    }
    assert!(found.is_empty(), "{:#?}", found.into_values().flatten().collect::<Vec<_>>());
}

#[test]
fn a_name_of_a_bot_is_told_from_a_word_of_x() {
    let [picks, mentions] = ["picks", "mentions"].map(Naming::of);
    for line in ["/// Picks of a post.", "check picks.results.url", "\"picks\"", "use perch_bot_picks::rules;"] {
        assert!(picks.is_in(line), "{line}");
    }
    for line in ["let picks_bot = 1;", "the one it picked", "perch_picks_total"] {
        assert!(!picks.is_in(line), "{line}");
    }
    for line in ["MentionsBot", "[mentions]", "mentions.interval is too short", "bot: \"mentions\"", "`perch mentions`"]
    {
        assert!(mentions.is_in(line), "{line}");
    }
    for line in
        ["/2/users/{id}/mentions", "entities[\"mentions\"]", "mentions.push(mention)", "mentions of the account"]
    {
        assert!(!mentions.is_in(line), "{line}");
    }
}
