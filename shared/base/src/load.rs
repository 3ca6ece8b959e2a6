use std::{
    env,
    path::{Path, PathBuf},
};

use secrecy::SecretString;

use crate::{
    ConfigError, ConfigSchema, Environment, Origin, Problem, Sections, Settings,
    check::{Check, InvalidSetting},
    layers::Layers,
    reading::{self, ReadOutcome},
    secrets,
    section::SectionWithLayers,
    validate,
    variables::Variables,
};

/// The folder with `base.toml`: `PERCH_CONFIG_DIR`, or `config` in the working directory.
pub fn config_dir() -> PathBuf {
    env::var_os("PERCH_CONFIG_DIR").filter(|dir| !dir.is_empty()).map_or_else(|| "config".into(), PathBuf::from)
}

const PREFIX: &str = "PERCH__";

impl Settings {
    /// The settings of this process: the files in `dir` and the environment, validated. Each job type of `schema` must have a
    /// queue, and cron entries may name no other types.
    ///
    /// Later ones win: `base.toml`; `bots/<name>.toml` of each section of `schema`; `staging.toml` or `production.toml`, chosen
    /// by `APP_ENV`, and `bots/<name>.staging.toml` or `bots/<name>.production.toml`, if they exist; variables such as
    /// `PERCH__HTTP__MAX_BATCH` (a double underscore between the parts, the value as TOML or as plain text); and `LIVE_POSTS`,
    /// `PORT`, `RUST_LOG` and `X_<ACCOUNT>_USERNAME`, of which an empty one counts as not set. Names of other deployments, such as
    /// `REDIS_HOST` or `TWITTER_API_KEY`, stand in for those of ours that are not set.
    pub fn load(dir: &Path, schema: impl Into<ConfigSchema>) -> Result<Self, ConfigError> {
        load(dir, &schema.into(), &Variables::from_os(env::vars_os()).with_stand_ins())
    }

    /// Like [`Settings::load`], with `vars` instead of the environment of the process.
    pub fn load_from(
        dir: &Path,
        schema: impl Into<ConfigSchema>,
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        load(dir, &schema.into(), &Variables::new(vars).with_stand_ins())
    }

    /// `REDIS_URL`, or the error that it is missing.
    pub fn redis_url(&self) -> Result<&SecretString, ConfigError> {
        self.secrets.redis_url.as_ref().ok_or(ConfigError::MissingSecret {
            variable: "REDIS_URL",
            expected: "the URL of Redis, redis://… or rediss://… for TLS",
        })
    }

    /// `DATABASE_URL`, or the error that it is missing.
    pub fn database_url(&self) -> Result<&SecretString, ConfigError> {
        self.secrets.database_url.as_ref().ok_or(ConfigError::MissingSecret {
            variable: "DATABASE_URL",
            expected: "the URL of Postgres, postgres://…",
        })
    }
}

fn load(dir: &Path, schema: &ConfigSchema, vars: &Variables) -> Result<Settings, ConfigError> {
    let env: Environment = vars.get("APP_ENV").ok_or(ConfigError::MissingEnvironment)?.parse()?;
    let base = dir.join("base.toml");
    let mut layers = Layers::default();
    layers.push_file(&base)?;
    let mut problems = schema.push_files(&mut layers, dir)?;
    layers.push_file(&dir.join(format!("{env}.toml")))?;
    problems.extend(schema.push_files_of(env, &mut layers, dir)?);
    let base = Origin::File(base);

    problems.extend(push_prefixed(&mut layers, vars));
    problems.extend(push_well_known(&mut layers, vars));
    problems.extend(schema.push_variables(&mut layers, vars));
    let (sections, unreadable) = schema.take(&mut layers, dir);
    problems.extend(unreadable);
    let ReadOutcome { settings, problems: unreadable } = reading::read(&mut layers, &base, None);
    problems.extend(unreadable);

    let Some(file) = settings else { return Err(ConfigError::Invalid(problems)) };
    let findings = validate::validate(&file, &schema.types, env);
    problems.extend(findings.into_iter().map(|finding| located(finding, &layers, &base)));
    for SectionWithLayers { held, layers } in &sections {
        let mut check = Check::default();
        held.check(&file, env, &mut check);
        let own = held.file(dir);
        problems.extend(check.0.into_iter().map(|finding| located(finding, layers, &own)));
    }
    let (secrets, bad_secrets) = secrets::read(vars, &file);
    problems.extend(bad_secrets);
    let sections = Sections::new(sections.into_iter().map(|taken| taken.held));
    if problems.is_empty() {
        Ok(Settings { env, file, sections, secrets })
    } else {
        Err(ConfigError::Invalid(problems))
    }
}

/// Adds the origin of the value.
fn located(finding: InvalidSetting, layers: &Layers, base: &Origin) -> Problem {
    let path: Vec<String> = finding.key.split('.').map(str::to_owned).collect();
    let origin = layers.origin(&path).unwrap_or(base).clone();
    Problem { origin, key: finding.key, wrong: finding.wrong, allowed: finding.allowed }
}

fn push_prefixed(layers: &mut Layers, vars: &Variables) -> Vec<Problem> {
    let mut problems: Vec<Problem> = vars.garbled(|name| name.starts_with(PREFIX)).collect();
    for (rest, value) in vars.under(PREFIX) {
        let name = format!("{PREFIX}{rest}");
        let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
        if path.iter().any(String::is_empty) {
            problems.push(Problem {
                origin: Origin::Variable(name),
                key: String::new(),
                wrong: "does not name a setting".into(),
                allowed: "the parts of a key with two underscores between them, such as PERCH__HTTP__MAX_BATCH".into(),
            });
        } else {
            layers.push_variable(&name, &path, value);
            problems.extend(new_queue(layers, name, &path));
        }
    }
    problems
}

/// A variable for one setting of a queue that nothing else names is a typo, not a new queue.
fn new_queue(layers: &Layers, name: String, path: &[String]) -> Option<Problem> {
    let origin = Origin::Variable(name);
    let [queues, queue, _, ..] = path else { return None };
    let is_new = queues == "queues" && layers.introduced_by(&path[..2]) == Some(&origin);
    is_new.then(|| Problem {
        origin,
        key: format!("queues.{queue}"),
        wrong: "is not a queue".into(),
        allowed: "a queue with a block in base.toml".into(),
    })
}

fn push_well_known(layers: &mut Layers, vars: &Variables) -> Vec<Problem> {
    let known = ["APP_ENV", "LIVE_POSTS", "PORT", "RUST_LOG", "HEALTH_CHECK_PORT", "API_RATE_LIMIT"];
    let mut problems: Vec<Problem> = vars.garbled(|name| known.contains(&name)).collect();
    for account in layers.names_at(&["x", "accounts"]) {
        let name = secrets::username_of(&account);
        problems.extend(vars.garbled(|garbled| garbled == name));
        if let Some(handle) = vars.get(&name) {
            layers.push_variable(&name, &["x".into(), "accounts".into(), account, "username".into()], handle);
        }
    }
    let mut refuse = |name: &str, key: &str, value: &str, allowed: &str| {
        let wrong = format!("is {:?}", value.chars().take(40).collect::<String>());
        let origin = Origin::Variable(name.to_owned());
        problems.push(Problem { origin, key: key.to_owned(), wrong, allowed: allowed.to_owned() });
    };
    match vars.get("LIVE_POSTS") {
        Some(flag @ ("true" | "false")) => layers.push_variable("LIVE_POSTS", &["live_posts".into()], flag),
        Some(other) => refuse("LIVE_POSTS", "live_posts", other, "true or false"),
        None => {}
    }
    if let Some(text) = vars.get("PORT") {
        match text.parse::<u16>() {
            Ok(port @ 1..) => {
                let host = if layers.text_at(&["http", "bind"]).is_some_and(|bind| bind.starts_with('[')) {
                    "[::]"
                } else {
                    "0.0.0.0"
                };
                layers.push_variable("PORT", &["http".into(), "bind".into()], &format!("{host}:{port}"));
            }
            _ => refuse("PORT", "http.bind", text, "a port from 1 to 65535"),
        }
    }
    // These stand in for variables of ours, which come first. Unlike PORT, which platforms set, the port leaves the address as it is.
    let is_said = |layers: &Layers, key| matches!(layers.origin(&["http".into(), key]), Some(Origin::Variable(_)));
    if let Some(text) = vars.get("HEALTH_CHECK_PORT").filter(|_| !is_said(layers, "bind".to_owned())) {
        let host = layers.text_at(&["http", "bind"]).and_then(|bind| Some(bind.rsplit_once(':')?.0.to_owned()));
        match (text.parse::<u16>(), host) {
            (Ok(port @ 1..), Some(host)) => {
                layers.push_variable("HEALTH_CHECK_PORT", &["http".into(), "bind".into()], &format!("{host}:{port}"));
            }
            _ => refuse("HEALTH_CHECK_PORT", "http.bind", text, "a port from 1 to 65535"),
        }
    }
    if let Some(rate) = vars.get("API_RATE_LIMIT").filter(|_| !is_said(layers, "rate_per_second".to_owned())) {
        layers.push_variable("API_RATE_LIMIT", &["http".into(), "rate_per_second".into()], rate);
    }
    if let Some(filter) = vars.get("RUST_LOG") {
        layers.push_variable("RUST_LOG", &["telemetry".into(), "log_filter".into()], filter);
    }
    problems
}
