//! Sections: from where and how they are read, and the errors for invalid ones.

use std::{fs, path::Path};

use perch_base::{Check, ConfigError, ConfigSchema, Environment, Section, Settings, settings::FileSettings};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gulls {
    count: u8,
    call: String,
}

impl Section for Gulls {
    const NAME: &'static str = "gulls";

    fn check(&self, _: &FileSettings, env: Environment, check: &mut Check) {
        check.range("gulls.count", self.count, 1..=if env == Environment::Production { 9 } else { 99 });
    }
}

/// The shipped configuration, with a file of a bot added.
struct Config(TempDir);

impl Config {
    fn with(files: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let shipped = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config"));
        for file in ["base.toml", "staging.toml", "production.toml"] {
            fs::copy(shipped.join(file), dir.path().join(file)).expect("the shipped file can be copied");
        }
        fs::create_dir(dir.path().join("bots")).expect("a folder");
        for (name, text) in files {
            fs::write(dir.path().join("bots").join(name), text).expect("a file");
        }
        Self(dir)
    }

    fn load(&self, env: &str, vars: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let vars = [("APP_ENV", env)].into_iter().chain(vars.iter().copied());
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Settings::load_from(self.0.path(), ConfigSchema::from(perch_jobs::types()).with::<Gulls>(), vars)
    }

    fn refused(&self, env: &str, vars: &[(&str, &str)]) -> String {
        self.load(env, vars).expect_err("it must be refused").to_string()
    }
}

const GULLS: (&str, &str) = ("gulls.toml", "[gulls]\ncount = 3\ncall = \"kee\"\n");

#[test]
fn a_section_is_read_from_its_own_file_then_that_of_the_environment_then_variables() {
    let config = Config::with(&[GULLS, ("gulls.staging.toml", "[gulls]\ncount = 40\n")]);
    let of = |env, vars: &[(&str, &str)]| {
        let gulls = config.load(env, vars).expect("valid").sections.get::<Gulls>().expect("it is there");
        (gulls.count, gulls.call.clone())
    };
    assert_eq!(of("production", &[]), (3, "kee".into()));
    assert_eq!(of("staging", &[]), (40, "kee".into()));
    assert_eq!(of("staging", &[("PERCH__GULLS__COUNT", "7"), ("PERCH__GULLS__CALL", "12")]), (7, "12".into()));
    let shown = config.load("staging", &[]).expect("valid").sections.shown();
    assert_eq!(shown["gulls"]["count"], 40);
}

#[test]
fn what_is_wrong_with_a_section_is_named_with_its_key_and_where_it_stands_all_of_it_at_once() {
    let config = Config::with(&[GULLS]);
    let text = config.refused(
        "production",
        &[("PERCH__GULLS__COUNT", "10"), ("PERCH__GULLS__FEATHERS", "many"), ("PERCH__HTTP__MAX_BATCH", "0")],
    );
    for part in [
        "variable PERCH__GULLS__COUNT: gulls.count is 10; allowed: 1 to 9",
        "variable PERCH__GULLS__FEATHERS: gulls.feathers is not a setting; allowed: count, call",
        "http.max_batch is 0",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let text = Config::with(&[("gulls.toml", "[gulls]\ncount = 3\n")]).refused("staging", &[]);
    assert!(text.contains("gulls.toml: gulls.call is not set"), "{text}");
    let text = Config::with(&[("gulls.toml", "")]).refused("staging", &[]);
    assert!(text.contains("gulls"), "{text}");
    let text = Config::with(&[]).refused("staging", &[]);
    assert!(text.contains("gulls.toml"), "{text}");
}

#[test]
fn the_file_of_a_bot_says_nothing_of_the_platform() {
    let config = Config::with(&[(GULLS.0, &format!("{}\n[http]\nmax_batch = 5\n", GULLS.1))]);
    let text = config.refused("staging", &[]);
    assert!(
        text.contains("gulls.toml: http does not belong here; allowed: [gulls], [cron.…] and [queues.…]"),
        "{text}"
    );
    let queue = "[queues.extraction]\nconcurrency = 2\n";
    let config = Config::with(&[(GULLS.0, &format!("{}\n{queue}", GULLS.1))]);
    assert_eq!(
        config.load("staging", &[]).expect("valid").queues[&"extraction".parse().expect("a name")].concurrency,
        2
    );
}

#[test]
fn the_settings_of_a_bot_that_is_not_there_are_no_settings() {
    let config = Config::with(&[GULLS]);
    let vars = |more: &[(&str, &str)]| {
        let all = [("APP_ENV", "staging")].into_iter().chain(more.iter().copied());
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>()
    };
    let without = Settings::load_from(config.0.path(), perch_jobs::types(), vars(&[])).expect("the file is not read");
    let error = without.sections.get::<Gulls>().expect_err("nobody has read it");
    assert!(error.to_string().contains("[gulls]"), "{error}");
    let error = Settings::load_from(config.0.path(), perch_jobs::types(), vars(&[("PERCH__GULLS__COUNT", "7")]));
    let text = error.expect_err("nobody knows it").to_string();
    assert!(text.contains("variable PERCH__GULLS__COUNT: gulls is not a setting"), "{text}");
}

#[test]
fn what_nobody_would_read_is_refused() {
    let leftover = Config::with(&[GULLS]);
    let base = leftover.0.path().join("base.toml");
    let text = fs::read_to_string(&base).expect("the file") + "\n[gulls]\ncount = 5\n";
    fs::write(&base, text).expect("the copy can be written");
    let text = leftover.refused("staging", &[]);
    assert!(
        text.contains("base.toml: gulls does not belong here; allowed: its settings stand in bots/gulls.toml"),
        "{text}"
    );

    let misnamed = Config::with(&[GULLS, ("gulls.prod.toml", "[gulls]\ncount = 5\n")]);
    let text = misnamed.refused("production", &[]);
    assert!(text.contains("gulls.prod.toml") && text.contains("\"prod\", which is no environment"), "{text}");
    let of_another = Config::with(&[GULLS, ("terns.toml", "[terns]\ncount = 5\n")]);
    of_another.load("staging", &[]).expect("the file of a bot that is not there is nobody's");

    let entry = "[cron.sync_hot_state]\nschedule = \"0 0 * * *\"\n";
    let taken = Config::with(&[(GULLS.0, &format!("{}\n{entry}", GULLS.1))]).refused("staging", &[]);
    assert!(taken.contains("cron.sync_hot_state is a cron entry of base.toml or of another bot"), "{taken}");
}

#[derive(Debug, Serialize, Deserialize)]
struct Terns {
    api_token: String,
    max_tokens: u32,
    warmth: f32,
    note: Option<String>,
}

impl Section for Terns {
    const NAME: &'static str = "terns";

    fn check(&self, _: &FileSettings, _: Environment, _: &mut Check) {}
}

#[test]
fn a_section_is_shown_as_it_is_written_but_for_what_may_be_a_credential() {
    let terns = Terns { api_token: "hunter2".into(), max_tokens: 7, warmth: 0.8, note: None };
    let sections = perch_base::Sections::default().with(terns);
    let shown = sections.shown();
    assert_eq!((&shown["terns"]["api_token"], &shown["terns"]["max_tokens"]), (&"***".into(), &7.into()));
    assert_eq!(shown["terns"]["warmth"].to_string(), "0.8");
    assert!(shown["terns"].get("note").is_none(), "{shown:?}");
    assert!(!format!("{sections:?}").contains("hunter2"), "{sections:?}");
    assert_eq!(sections.get::<Terns>().expect("it is there").api_token, "hunter2");
}
