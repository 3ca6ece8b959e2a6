//! `perch config`: checks and shows the merged configuration.

use perch_base::{ConfigError, Settings, redact};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::{app::App, error::CommandError, format::text::count, process::posts_are};

#[derive(Debug, clap::Subcommand)]
pub enum Config {
    /// Reads and validates the configuration of the environment
    Check,
    /// The settings that are in force, all layers merged; credentials are masked
    Show,
}

pub fn run(app: &App, command: &Config) -> Result<(), CommandError> {
    match command {
        Config::Check => check(app),
        Config::Show => show(app, &app.settings()?),
    }
}

fn check(app: &App) -> Result<(), CommandError> {
    let settings = match app.settings() {
        Ok(settings) => settings,
        Err(CommandError::Config(error)) if app.out.is_json() => {
            app.out.json(&json!({ "valid": false, "problems": problems(&error) }))?;
            return Err(CommandError::Reported);
        }
        Err(error) => return Err(error),
    };
    app.out.answer(
        &json!({ "valid": true, "environment": settings.env.as_str(), "problems": [] }),
        format_args!(
            "the configuration of {} is valid: {}, {}, {}, posts are {}",
            settings.env,
            count(settings.queues.len() as u64, "queue"),
            count(settings.cron.len() as u64, "cron entry"),
            count(settings.x.accounts.len() as u64, "account"),
            posts_are(&settings),
        ),
    )
}

fn problems(error: &ConfigError) -> Vec<Value> {
    if error.problems().is_empty() {
        return vec![json!({ "wrong": error.to_string() })];
    }
    let as_json = |problem: &perch_base::Problem| {
        json!({
            "origin": problem.origin.to_string(),
            "key": problem.key,
            "wrong": problem.wrong,
            "allowed": problem.allowed,
        })
    };
    error.problems().iter().map(as_json).collect()
}

fn show(app: &App, settings: &Settings) -> Result<(), CommandError> {
    let secrets = secrets(settings);
    if app.out.is_json() {
        let secrets: serde_json::Map<String, Value> =
            secrets.into_iter().map(|(name, shown)| (name, shown.map_or(Value::Null, Value::from))).collect();
        return app.out.json(
            &json!({ "environment": settings.env.as_str(), "settings": all(settings)?, "credentials": secrets }),
        );
    }
    let text = toml::to_string(&all(settings)?).map_err(|error| cannot_be_shown(&error))?;
    app.out.line(format_args!("# {}, keys under {}", settings.env, settings.env.prefix()))?;
    app.out.blank()?;
    app.out.text(0, &text)?;
    app.out.blank()?;
    app.out.line("# credentials, from the environment")?;
    for (name, shown) in secrets {
        app.out.line(format_args!("# {name}: {}", shown.unwrap_or_else(|| "not set".to_owned())))?;
    }
    Ok(())
}

/// The settings of the platform and of the bots.
fn all(settings: &Settings) -> Result<toml::Table, CommandError> {
    let mut all = toml::Table::try_from(&settings.file).map_err(|error| cannot_be_shown(&error))?;
    for (name, section) in settings.sections.shown() {
        let section = toml::Value::try_from(section).map_err(|error| cannot_be_shown(&error))?;
        all.insert(name.to_owned(), section);
    }
    Ok(all)
}

fn cannot_be_shown(error: &toml::ser::Error) -> CommandError {
    CommandError::Part { part: "config", reason: format!("the settings cannot be shown: {error}") }
}

/// Each variable with what may be shown: a URL without its password, a credential only as set.
fn secrets(settings: &Settings) -> Vec<(String, Option<String>)> {
    let secrets = &settings.secrets;
    let url = |url: &Option<secrecy::SecretString>| url.as_ref().map(|url| redact::scrub_url(url.expose_secret()));
    let masked = |is_set: bool| is_set.then(|| "***".to_owned());
    let mut shown = vec![
        ("REDIS_URL".to_owned(), url(&secrets.redis_url)),
        ("DATABASE_URL".to_owned(), url(&secrets.database_url)),
        ("DATABASE_SESSION_URL".to_owned(), url(&secrets.database_session_url)),
        ("X_API_BEARER_TOKEN".to_owned(), masked(secrets.x_bearer_token.is_some())),
        ("X_API_KEY".to_owned(), masked(secrets.x_consumer.is_some())),
        ("X_API_SECRET".to_owned(), masked(secrets.x_consumer.is_some())),
    ];
    for account in settings.x.accounts.keys() {
        let name = account.as_str().to_ascii_uppercase();
        let is_set = secrets.x_accounts.contains_key(account);
        shown.push((format!("X_{name}_ACCESS_TOKEN"), masked(is_set)));
        shown.push((format!("X_{name}_ACCESS_SECRET"), masked(is_set)));
    }
    for (name, provider) in &settings.models.providers {
        shown.push((provider.api_key_env.clone(), masked(secrets.model_keys.contains_key(name))));
    }
    shown
}
