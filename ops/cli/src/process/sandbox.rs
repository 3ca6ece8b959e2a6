//! Uses the sandbox for services without credentials.

use perch_base::{
    ConfigError, Environment, Settings,
    settings::{Budget, KeyPair, SandboxSettings, XPlan},
};
use perch_sandbox::{Plan, SandboxOptions};
use secrecy::SecretString;
use url::Url;

use crate::app::bots;

/// Which services the sandbox replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// X, because none of its credentials is set.
    pub x: bool,
    /// The language models, because no provider has a key.
    pub models: bool,
}

impl Overlay {
    /// Which services the sandbox replaces with these settings. None in production: there a missing credential is an error,
    /// and no reason to use the sandbox.
    pub fn needed(settings: &Settings) -> Self {
        let secrets = &settings.secrets;
        let is_staging = settings.env == Environment::Staging;
        Self {
            x: is_staging
                && secrets.x_bearer_token.is_none()
                && secrets.x_consumer.is_none()
                && secrets.x_accounts.is_empty(),
            models: is_staging && secrets.model_keys.is_empty(),
        }
    }

    /// Whether a sandbox is needed at all.
    pub fn is_any(&self) -> bool {
        self.x || self.models
    }

    /// Describes it in words.
    pub fn said(&self) -> &'static str {
        match (self.x, self.models) {
            (true, true) => "plays X and the language models",
            (true, false) => "plays X",
            (false, true) => "plays the language models",
            (false, false) => "is not used",
        }
    }
}

/// The options of a sandbox for these settings.
pub fn options(settings: &Settings) -> Result<SandboxOptions, ConfigError> {
    let SandboxSettings { post_every, rate_limits, plan, reader_speed, .. } = settings.sandbox;
    Ok(SandboxOptions {
        bot_accounts: (settings.x.accounts.values().map(|account| account.username.clone()))
            .filter(|username| !username.is_empty())
            .collect(),
        long_posts: (settings.x.accounts.values().filter(|account| account.long_posts))
            .map(|account| account.username.clone())
            .collect(),
        watched: bots().sandbox_roles(settings)?.authors,
        post_every: Some(post_every),
        rate_limits,
        plan: match plan {
            XPlan::SelfServe => Plan::SelfServe,
            XPlan::Enterprise => Plan::Enterprise,
        },
        topics: settings.sandbox.topics.clone(),
        reader_speed,
        actors: crate::app::actors(),
        ..SandboxOptions::default()
    })
}

/// Removes the budgets of the services that the sandbox replaces: they cost nothing.
pub fn without_budgets(settings: &mut Settings, overlay: &Overlay) {
    if overlay.x {
        settings.file.x.budget = Budget::default();
    }
    if overlay.models {
        settings.file.models.providers.values_mut().for_each(|provider| provider.budget = Budget::default());
    }
}

/// Points the settings at the sandbox that they name, if it has a service to replace.
pub fn use_named(settings: &mut Settings) {
    let needed = Overlay::needed(settings);
    // Validation has checked that it is a URL or empty.
    if let Ok(url) = Url::parse(&settings.sandbox.url)
        && needed.is_any()
    {
        overlay(settings, &needed, &url, keeps_quiet());
    }
}

/// Whether `LIVE_POSTS` is `false`, which keeps posts simulated even where the sandbox would receive them.
pub fn keeps_quiet() -> bool {
    std::env::var("LIVE_POSTS").is_ok_and(|text| text.trim() == "false")
}

/// Describes where posts go.
pub fn posts_are(settings: &Settings) -> &'static str {
    let x = &settings.x.base_url;
    let is_sandbox = settings.env == Environment::Staging
        && Url::parse(&settings.sandbox.url).is_ok_and(|sandbox| sandbox.origin() == x.origin());
    match (settings.live_posts, is_sandbox) {
        (true, true) => "sent to the sandbox",
        (true, false) => "sent",
        (false, _) => "simulated",
    }
}

/// Points the settings at the sandbox at `base_url`, with the credentials that it takes.
///
/// Where the sandbox replaces X, posts are sent to it and show on its page, unless `keeps_quiet` keeps them simulated. They
/// cannot leave the machine: this changes the address together with the switch.
pub fn overlay(settings: &mut Settings, overlay: &Overlay, base_url: &Url, keeps_quiet: bool) {
    without_budgets(settings, overlay);
    settings.file.sandbox.url = base_url.to_string();
    let secret = |text: String| SecretString::from(text);
    if overlay.x {
        settings.file.x.base_url = base_url.clone();
        settings.secrets.x_bearer_token = Some(secret("sandbox-bearer".into()));
        settings.secrets.x_consumer = Some(KeyPair {
            key: secret("sandbox-consumer-key".into()),
            secret: secret("sandbox-consumer-secret".into()),
        });
        for (account, of_account) in &settings.file.x.accounts {
            let name = &of_account.username;
            let pair = KeyPair {
                key: secret(format!("sandbox-{name}-token")),
                secret: secret(format!("sandbox-{name}-secret")),
            };
            settings.secrets.x_accounts.insert(account.clone(), pair);
        }
        settings.file.live_posts = !keeps_quiet;
    }
    if overlay.models {
        for (name, provider) in &mut settings.file.models.providers {
            if !settings.secrets.model_keys.contains_key(name) {
                let mut url = base_url.clone();
                url.set_path("/v1");
                provider.base_url = url;
                settings.secrets.model_keys.insert(name.clone(), secret("sandbox-model-key".into()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn settings(env: &str, more: &[(&str, &str)]) -> Settings {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
        let vars = [("APP_ENV", env)].into_iter().chain(more.iter().copied());
        Settings::load_from(
            &dir,
            crate::app::bots().config_schema(),
            vars.map(|(name, value)| (name.to_owned(), value.to_owned())),
        )
        .expect("valid settings")
    }

    fn url() -> Url {
        "http://127.0.0.1:8090".parse().expect("a URL")
    }

    #[test]
    fn without_credentials_everything_goes_to_the_sandbox_and_nothing_leaves_the_machine() {
        let mut settings = settings("staging", &[]);
        let needed = Overlay::needed(&settings);
        assert_eq!(needed, Overlay { x: true, models: true });
        overlay(&mut settings, &needed, &url(), false);
        assert!(settings.live_posts);
        assert_eq!(settings.x.base_url.host_str(), Some("127.0.0.1"));
        for provider in settings.models.providers.values() {
            assert_eq!(provider.base_url.as_str(), "http://127.0.0.1:8090/v1");
            assert_eq!(provider.budget, Budget::default());
        }
        assert_eq!(settings.x.budget, Budget::default());
        assert_eq!(settings.secrets.x_accounts.len(), settings.x.accounts.len());
    }

    #[test]
    fn credentials_of_ones_own_are_used_and_posts_stay_simulated_with_them() {
        let own = [("X_API_BEARER_TOKEN", "mine"), ("GROK_API_KEY", "mine")];
        let mut settings = settings("staging", &own);
        let needed = Overlay::needed(&settings);
        assert!(!needed.is_any());
        overlay(&mut settings, &needed, &url(), false);
        assert!(!settings.live_posts);
        assert_eq!(settings.x.base_url.host_str(), Some("api.x.com"));
        assert!(settings.x.budget.daily > 0.0 && settings.models.providers["grok"].budget.daily > 0.0);
    }

    #[test]
    fn a_sandbox_of_another_process_plays_what_has_no_credentials() {
        let named = ("PERCH__SANDBOX__URL", "http://127.0.0.1:18090");
        let mut settings_here = settings("staging", &[named, ("X_API_BEARER_TOKEN", "mine")]);
        use_named(&mut settings_here);
        assert_eq!(settings_here.x.base_url.host_str(), Some("api.x.com"));
        assert_eq!(settings_here.models.providers["grok"].base_url.as_str(), "http://127.0.0.1:18090/v1");
        assert_eq!(posts_are(&settings_here), "simulated");
        let mut settings_here = settings("staging", &[named]);
        use_named(&mut settings_here);
        assert_eq!(posts_are(&settings_here), "sent to the sandbox");
    }

    #[test]
    fn production_never_talks_to_the_sandbox() {
        assert!(!Overlay::needed(&settings("production", &[])).is_any());
        let mut named = settings("production", &[("PERCH__SANDBOX__URL", "http://127.0.0.1:18090")]);
        use_named(&mut named);
        assert_eq!(named.x.base_url.host_str(), Some("api.x.com"));
    }
}
