//! Broken configuration: files, variables, schedules, and URLs that must be redacted.

use std::{fs, path::Path};

use chrono::{DateTime, Utc};
use perch_base::{ConfigError, CronSchedule, Settings, redact::scrub_url};
use perch_testkit::fuzz;
use tempfile::TempDir;

fn corpus(name: &str) -> String {
    format!("{}/tests/corpus/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn shipped() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

fn load(dir: &Path, more: &[(String, String)]) -> Result<Settings, ConfigError> {
    let staging = ("APP_ENV".to_owned(), "staging".to_owned());
    Settings::load_from(dir, perch_jobs::types(), [staging].into_iter().chain(more.iter().cloned()))
}

/// Checks that every problem says where it is; returns how many there are.
fn told(error: &ConfigError) -> String {
    for problem in error.problems() {
        assert!(!problem.wrong.is_empty() && !problem.allowed.is_empty(), "{problem:?}");
    }
    match error {
        ConfigError::Invalid(problems) => {
            let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).take(3).collect();
            format!("{} {keys:?}", problems.len())
        }
        ConfigError::Malformed { line, .. } => {
            assert!(*line > 0);
            "malformed".to_owned()
        }
        _ => "unreadable".to_owned(),
    }
}

#[test]
fn a_configuration_file_is_refused_by_line_or_key_or_reads_the_same_when_written_again() {
    let folder = TempDir::new().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).expect("it can be written");
    let base = fs::read(shipped().join("base.toml")).expect("the shipped configuration");
    fuzz(corpus("files"), |input| {
        write("base.toml", &base);
        write("staging.toml", input);
        match load(folder.path(), &[]) {
            Ok(settings) => {
                let written = toml::to_string(&settings.file).expect("settings are TOML");
                write("base.toml", written.as_bytes());
                write("staging.toml", b"");
                let again = load(folder.path(), &[]).expect("what was written is read");
                assert_eq!(toml::to_string(&again.file).expect("settings are TOML"), written);
                "ok".to_owned()
            }
            Err(error) => told(&error),
        }
    });
}

#[test]
fn variables_are_refused_by_name_or_taken() {
    let dir = shipped();
    fuzz(corpus("variables"), |input| {
        let text = String::from_utf8_lossy(input);
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let vars: Vec<(String, String)> = lines
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .filter(|(name, _)| name != "APP_ENV")
            .collect();
        load(&dir, &vars).map_or_else(|error| told(&error), |_| "ok".to_owned())
    });
}

#[test]
fn a_schedule_is_refused_or_has_a_next_time_after_every_time() {
    fuzz(corpus("schedules"), |input| {
        let text = String::from_utf8_lossy(input);
        let (expression, zone) = text.split_once('@').unwrap_or((&text, "UTC"));
        let Ok(zone) = zone.trim().parse() else { return "no zone".to_owned() };
        let Ok(schedule) = CronSchedule::parse(expression, zone) else { return "refused".to_owned() };
        for seconds in [0, 1_793_000_000, 4_000_000_000] {
            let after = DateTime::<Utc>::from_timestamp(seconds, 0).expect("a time");
            assert!(schedule.next_after(after).is_none_or(|next| next > after), "{expression}");
            assert!(schedule.previous_at_or_before(after).is_none_or(|before| before <= after), "{expression}");
            assert!(schedule.ticks_between(after, after + chrono::TimeDelta::days(2), 100).len() <= 100);
        }
        "ok".to_owned()
    });
}

#[test]
fn the_password_of_a_connection_url_never_survives() {
    const PASSWORD: &str = "hunter2";
    fuzz(corpus("urls"), |input| {
        let text = String::from_utf8_lossy(input);
        let scrubbed = scrub_url(&text);
        assert_eq!(scrub_url(&scrubbed), scrubbed, "{text:?}");
        // The user information of a URL is removed, whatever text surrounds it.
        let clean = !text.contains(PASSWORD) && !text.contains(|c: char| c.is_whitespace() || "\"'`,".contains(c));
        if clean {
            let url = format!("redis://user:{PASSWORD}@host/{}", text.replace("://", ""));
            assert!(!scrub_url(&url).contains(PASSWORD), "{url:?}: {:?}", scrub_url(&url));
        }
        format!("{} {}", scrubbed == text, scrubbed.matches("://").count().min(3))
    });
}
