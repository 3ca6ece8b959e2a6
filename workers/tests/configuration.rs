//! The configuration as it is shipped, with the files of the bots.

use std::{fs, path::PathBuf};

use perch_base::{ConfigError, Settings};
use perch_bot_picks::PicksSettings;

fn shipped() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../config"))
}

fn load(env: &str, vars: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let vars = [("APP_ENV", env)].into_iter().chain(vars.iter().copied());
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Settings::load_from(&shipped(), perch_workers::bots().config_schema(), vars)
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn it_loads_in_both_environments() {
    for env in ["staging", "production"] {
        load(env, &[]).unwrap_or_else(|error| panic!("{env} does not load: {error}"));
    }
}

#[test]
fn a_variable_of_a_bot_is_read_under_its_own_name_and_an_error_names_it() {
    let vars = [("BOT_NAME", "template-bot"), ("BOT_PERSONALITY", "You are kind."), ("POSTING_SCHEDULE", "0 9 * *")];
    let error = load("production", &vars).expect_err("four fields").to_string();
    says(&error, &["variable POSTING_SCHEDULE", "personas.posting_schedule", "4 fields"]);
    let own = [("PERCH__PERSONAS__BOT_NAME", "Template Bot"), ("BOT_NAME", "template-bot")];
    let error = load("production", &own).expect_err("a space").to_string();
    says(&error, &["variable PERCH__PERSONAS__BOT_NAME", "personas.bot_name"]);
}

#[test]
fn a_name_of_another_deployment_gives_way_to_a_variable_of_ours_and_leaves_the_address_as_it_is() {
    let theirs = [("HEALTH_CHECK_PORT", "3000"), ("API_RATE_LIMIT", "7")];
    let settings = load("production", &theirs).expect("valid");
    assert_eq!((settings.http.bind.to_string().as_str(), settings.http.rate_per_second), ("127.0.0.1:3000", 7));
    let ours = [("PERCH__HTTP__BIND", "127.0.0.1:9000"), ("PERCH__HTTP__RATE_PER_SECOND", "9")];
    let settings = load("production", &[&theirs[..], &ours].concat()).expect("valid");
    assert_eq!((settings.http.bind.port(), settings.http.rate_per_second), (9000, 9));
    let error = load("production", &[("HEALTH_CHECK_PORT", "web")]).expect_err("no port").to_string();
    says(&error, &["variable HEALTH_CHECK_PORT", "http.bind"]);
}

#[test]
fn every_bot_has_a_file_that_states_each_of_its_settings_with_a_comment_above() {
    let settings = load("production", &[]).expect("valid");
    let mut files: Vec<String> = fs::read_dir(shipped().join("bots"))
        .expect("the folder is shipped")
        .map(|file| file.expect("a file").file_name().into_string().expect("a name"))
        .collect();
    files.sort();
    for file in &files {
        let text = fs::read_to_string(shipped().join("bots").join(file)).expect("the file is shipped");
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let is_key = line.contains(" = ") && !line.starts_with('#');
            let is_explained = at > 0 && lines[at - 1].starts_with("# ");
            assert!(!is_key || is_explained, "{file}, line {}: {line:?} has no comment above it", at + 1);
        }
    }
    for (name, section) in settings.sections.shown() {
        assert!(files.contains(&format!("{name}.toml")), "{name} has no file");
        let text = fs::read_to_string(shipped().join(format!("bots/{name}.toml"))).expect("the file is shipped");
        let stated: toml::Table = text.parse().expect("the file is TOML");
        let stated = serde_json::to_value(&stated[name]).expect("TOML fits in JSON");
        for (key, value) in section.as_object().expect("a table").iter().filter(|(_, value)| !value.is_null()) {
            assert!(stated.get(key).is_some(), "bots/{name}.toml does not state {key} ({value})");
        }
    }
}

#[test]
fn what_the_bot_that_answers_mentions_cannot_work_with_is_named() {
    let refused = load(
        "staging",
        &[
            ("PERCH__MENTIONS__ACCOUNTS", r#"["main", "other", "main"]"#),
            ("PERCH__MENTIONS__INTERVAL", "10ms"),
            ("PERCH__MENTIONS__REVIEW", "some"),
            ("PERCH__MENTIONS__TEMPERATURE", "3.5"),
            ("PERCH__MENTIONS__BANNED_TOPICS", r#"["elections", "{a|b"]"#),
            ("PERCH__MENTIONS__ALLOWED_HOSTS", r#"["https://example.com"]"#),
            ("PERCH__MENTIONS__BLOCKED_USERS", r#"["@troll", "4711", "fan_one"]"#),
        ],
    );
    let text = refused.expect_err("nothing of it can work").to_string();
    says(&text, &["mentions.accounts.1 is \"other\"", "mentions.accounts.2 is \"main\" a second time"]);
    says(&text, &["mentions.interval is 10ms", "mentions.temperature is 3.5"]);
    says(&text, &["mentions.review is \"some\"; allowed: none, flagged, all"]);
    says(
        &text,
        &["mentions.banned_topics.1 is \"{a|b\"", "mentions.allowed_hosts.0", "mentions.blocked_users.0 is \"@troll\""],
    );
    assert!(!text.contains("blocked_users.1") && !text.contains("banned_topics.0"), "{text}");
    let text = load("staging", &[("PERCH__MENTIONS__PERSONA", " ")]).expect_err("nobody replies").to_string();
    says(&text, &["mentions.persona is empty"]);
}

#[test]
fn what_the_bot_that_reads_picks_cannot_work_with_is_named() {
    for (name, value, key, allowed) in [
        ("PERCH__PICKS__PROVIDERS", "gork", "picks.providers is \"gork\"", "grok"),
        ("PERCH__PICKS__ACCOUNT", "other", "picks.account is \"other\"", "main"),
        ("PERCH__PICKS__WATCH", "[\"Same\", \"same\"]", "picks.watch.1 is \"same\" a second time", "once"),
        ("PERCH__PICKS__POSTS_PER_POLL", "4", "picks.posts_per_poll is 4", "5 to 100"),
        ("PERCH__PICKS__PAGES", "65", "picks.pages is 65", "1 to 64"),
        ("PERCH__PICKS__TRACKING__ASSUMED_ODDS", "-50", "picks.tracking.assumed_odds is \"-50\"", "American"),
        ("PERCH__PICKS__TRACKING__ASSUMED_STAKE", "0", "picks.tracking.assumed_stake is 0", "0.01 to 1000"),
        ("PERCH__PICKS__RESULTS__URL", "results", "picks.results.url is not a URL", "or empty"),
        ("PERCH__PICKS__SUMMARY__TEXT", "{pick}", "picks.summary.text is empty or has other braces", "{picks}"),
        ("PERCH__PICKS__PROCESSED_TTL", "1h", "picks.processed_ttl is shorter", "1day"),
        ("PERCH__PICKS__COMMENT", "{pick} by {auhtor}", "picks.comment has \"{auhtor}\"", "{author}"),
        ("PERCH__PICKS__COMMENT", "nice", "picks.comment does not say {pick}", "{pick}"),
    ] {
        let text = load("staging", &[(name, value)]).expect_err(name).to_string();
        says(&text, &[&format!("variable {name}: "), key, allowed]);
    }
    let text = load("staging", &[("PERCH__PICKS__WATCH", r#"["a", 5]"#)]).expect_err("5 is no handle").to_string();
    says(&text, &["variable PERCH__PICKS__WATCH: picks.watch.1 is 5; allowed: text"]);
}

#[test]
fn production_watches_nobody_who_was_not_named() {
    let picks = load("production", &[]).expect("valid").sections.get::<PicksSettings>().expect("the bot is there");
    assert_eq!(picks.watch, [""; 0]);
    let named = load("production", &[("PERCH__PICKS__WATCH", r#"["one", "two"]"#)]).expect("valid");
    assert_eq!(named.sections.get::<PicksSettings>().expect("the bot is there").watch, ["one", "two"]);
}

#[test]
fn the_query_of_the_source_of_results_is_never_shown() {
    let url = "https://results.example.com/latest.json?apiKey=hunter2&days=2";
    let settings = load("staging", &[("PERCH__PICKS__RESULTS__URL", url)]).expect("valid");
    assert_eq!(settings.sections.get::<PicksSettings>().expect("the bot is there").results.url.as_str(), url);
    let printed = format!("{settings:?}{}", serde_json::json!(settings.sections.shown()));
    assert!(
        !printed.contains("hunter2") && printed.contains("https://results.example.com/latest.json?***"),
        "{printed}"
    );
}
