//! Checks that need no server.

use std::collections::BTreeMap;

use perch_base::{Settings, chain};
use perch_jobs::QueueName;

use super::check::Check;
use crate::{app::bots, process::posts_are};

/// Findings about the configuration alone.
pub fn checks(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![Check::ok(
        "configuration",
        format!("{} is valid, keys under {}, posts are {}", settings.env, settings.env.prefix(), posts_are(settings)),
    )];
    checks.push(queues(settings));
    checks.extend(cron(settings));
    checks.push(posting(settings));
    checks.push(model(settings));
    checks
}

fn queues(settings: &Settings) -> Check {
    let types = bots().job_types();
    let needed: Vec<&QueueName> = types.iter().map(|job_type| &job_type.queue).collect();
    let unused: Vec<&str> =
        settings.queues.keys().filter(|name| !needed.contains(name)).map(QueueName::as_str).collect();
    if unused.is_empty() {
        Check::ok("queues", format!("{} queues, each with its job types", settings.queues.len()))
    } else {
        Check::warn("queues", format!("no job type belongs to {}", unused.join(", ")))
            .mend("add the job type to the release, or remove the block from config/")
    }
}

fn cron(settings: &Settings) -> Option<Check> {
    let off: Vec<&str> =
        settings.cron.iter().filter(|(_, entry)| !entry.enabled).map(|(name, _)| name.as_str()).collect();
    (!off.is_empty()).then(|| {
        Check::info("cron", format!("disabled: {}", off.join(", "))).mend("set enabled = true in config/ to fire them")
    })
}

fn posting(settings: &Settings) -> Check {
    let secrets = &settings.secrets;
    let mut missing = Vec::new();
    if secrets.x_bearer_token.is_none() {
        missing.push("X_API_BEARER_TOKEN".to_owned());
    }
    if secrets.x_consumer.is_none() {
        missing.push("X_API_KEY and X_API_SECRET".to_owned());
    }
    for account in settings.x.accounts.keys().filter(|account| !secrets.x_accounts.contains_key(*account)) {
        let name = account.as_str().to_ascii_uppercase();
        missing.push(format!("X_{name}_ACCESS_TOKEN and X_{name}_ACCESS_SECRET"));
    }
    if missing.is_empty() {
        return Check::ok("X credentials", "there for reading and for every account");
    }
    let found = format!("not set: {}", missing.join(", "));
    let mend = "set them in the environment of the process";
    if settings.live_posts {
        Check::fail("X credentials", format!("posts are to be sent, and there is {found}")).mend(mend)
    } else {
        Check::info("X credentials", found).mend(format!("{mend} to read from X; without them use the sandbox"))
    }
}

fn model(settings: &Settings) -> Check {
    let providers = &settings.models.providers;
    let asked = match bots().providers(settings) {
        Ok(asked) => asked,
        Err(error) => return Check::fail("models", chain(&error)),
    };
    let (with, without): (Vec<_>, Vec<_>) = asked
        .values()
        .flatten()
        .filter_map(|name| providers.get_key_value(name))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .partition(|(name, _)| settings.secrets.model_keys.contains_key(*name));
    let variables: Vec<&str> = without.iter().map(|(_, provider)| provider.api_key_env.as_str()).collect();
    if !with.is_empty() {
        let named: Vec<String> = with.iter().map(|(name, provider)| format!("{name} ({})", provider.model)).collect();
        let rest =
            if variables.is_empty() { String::new() } else { format!("; not asked without {}", variables.join(", ")) };
        return Check::ok("models", format!("{} with a key{rest}", named.join(", ")));
    }
    let found = format!("no provider has a key: {} not set", variables.join(", "));
    let mend = "set one of them, or name other providers in the files of config/bots";
    if settings.live_posts {
        Check::fail("models", found).mend(mend)
    } else {
        Check::info("models", found).mend(format!("{mend}; without it use the sandbox"))
    }
}
