//! The configuration in `config/` loads as it is shipped and explains itself.

use std::{fs, path::PathBuf, time::Duration};

use perch_base::{Environment, Settings, settings::LogFormat};

fn shipped() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config"))
}

fn load(env: &str) -> Settings {
    Settings::load_from(&shipped(), perch_jobs::types(), [("APP_ENV".to_owned(), env.to_owned())])
        .unwrap_or_else(|error| panic!("{env} does not load: {error}"))
}

#[test]
fn staging_sends_nothing_and_moves_fast() {
    let settings = load("staging");
    assert_eq!(settings.env, Environment::Staging);
    assert!(!settings.live_posts);
    assert_eq!(settings.telemetry.log_format, LogFormat::Text);
    assert_eq!(settings.cron["sync_hot_state"].schedule, "*/2 * * * * *");
    assert_eq!(settings.analytics.collect_after, [3, 10, 30].map(Duration::from_secs));
}

#[test]
fn production_sends_posts_and_logs_json() {
    let settings = load("production");
    assert_eq!(settings.env, Environment::Production);
    assert!(settings.live_posts);
    assert_eq!(settings.telemetry.log_format, LogFormat::Json);
    assert_eq!(settings.http.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.queues.len(), 7);
}

#[test]
fn every_key_of_every_file_has_a_comment_above_it() {
    for file in ["base.toml", "staging.toml", "production.toml"] {
        let text = fs::read_to_string(shipped().join(file)).expect("the file is shipped");
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let is_key = line.contains(" = ") && !line.starts_with('#');
            let is_explained = at > 0 && lines[at - 1].starts_with("# ");
            assert!(!is_key || is_explained, "{file}, line {}: {line:?} has no comment above it", at + 1);
        }
    }
}

#[test]
fn base_toml_states_every_setting_there_is() {
    let base: toml::Table = fs::read_to_string(shipped().join("base.toml"))
        .expect("the file is shipped")
        .parse()
        .expect("the file is TOML");
    let base = serde_json::to_value(base).expect("TOML fits in JSON");
    let all = serde_json::to_value(&load("staging").file).expect("settings fit in JSON");
    let mut missing = Vec::new();
    collect_missing(&all, &base, "", &mut missing);
    assert!(missing.is_empty(), "base.toml does not state {missing:?}");
}

fn collect_missing(all: &serde_json::Value, stated: &serde_json::Value, path: &str, missing: &mut Vec<String>) {
    // A setting that is absent by default is described in a comment.
    for (key, value) in all.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        let path = format!("{path}{key}");
        match stated.get(key) {
            Some(stated) => collect_missing(value, stated, &format!("{path}."), missing),
            None => missing.push(path),
        }
    }
}
