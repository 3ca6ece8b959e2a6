use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use url::{Host, Url};

use crate::{Environment, settings::ModelSettings};

/// An invalid setting, by the path of its key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidSetting {
    pub key: String,
    pub wrong: String,
    pub allowed: String,
}

/// Collects the invalid settings, to report all of them at once.
#[derive(Debug, Default)]
pub struct Check(pub(crate) Vec<InvalidSetting>);

impl Check {
    /// Adds an invalid value: what is wrong, as in "is 7", and what is allowed.
    pub fn refuse(&mut self, key: impl Into<String>, wrong: impl Into<String>, allowed: impl Into<String>) {
        self.0.push(InvalidSetting { key: key.into(), wrong: wrong.into(), allowed: allowed.into() });
    }

    /// Checks that a number is within bounds.
    pub fn range<T: PartialOrd + Display + Copy>(
        &mut self,
        key: impl Into<String>,
        value: T,
        allowed: RangeInclusive<T>,
    ) {
        if !allowed.contains(&value) {
            self.refuse(key, format!("is {value}"), format!("{} to {}", allowed.start(), allowed.end()));
        }
    }

    /// Checks that a duration is within bounds.
    pub fn duration(&mut self, key: impl Into<String>, value: Duration, allowed: RangeInclusive<Duration>) {
        if !allowed.contains(&value) {
            let (least, most) =
                (humantime::format_duration(*allowed.start()), humantime::format_duration(*allowed.end()));
            self.refuse(key, format!("is {}", humantime::format_duration(value)), format!("{least} to {most}"));
        }
    }

    /// Checks a base URL of a service: TLS in production, because each request carries credentials.
    pub fn service_url(&mut self, key: &str, url: &Url, env: Environment) {
        let is_allowed = match url.scheme() {
            "https" => true,
            "http" => env == Environment::Staging || is_loopback(url),
            _ => false,
        };
        if !is_allowed {
            let allowed = match env {
                Environment::Staging => "a URL with http or https",
                Environment::Production => "in production a URL with https, or with http to a loopback address",
            };
            self.refuse(key, format!("has the scheme {}", url.scheme()), allowed);
        }
        self.bare_url(key, url);
    }

    /// Checks a URL to which paths are appended and that must not contain credentials.
    pub fn bare_url(&mut self, key: &str, url: &Url) {
        if !url.username().is_empty() || url.password().is_some() {
            self.refuse(key, "holds a user name or a password", "a URL without; credentials come from the environment");
        }
        if url.query().is_some() || url.fragment().is_some() {
            self.refuse(key, "has a query or a fragment", "a URL that ends with its path");
        }
    }

    /// Checks a name that environment variables can contain too.
    pub fn name(&mut self, key: &str, name: &str) {
        let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.len() <= 64
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !fits {
            self.refuse(key, "is not a name", "1 to 64 of a-z, 0-9 and _, starting with a letter");
        }
    }

    /// Checks the names of model providers.
    pub fn providers(&mut self, key: &str, names: &[String], models: &ModelSettings) {
        let known: Vec<&str> = models.providers.keys().map(String::as_str).collect();
        let allowed = if known.is_empty() { "a provider, once there is one".into() } else { known.join(", ") };
        if names.is_empty() {
            self.refuse(key, "names no provider", allowed);
            return;
        }
        for (at, name) in names.iter().enumerate() {
            if !models.providers.contains_key(name) {
                self.refuse(key, format!("is {name:?}, which [models.providers] does not have"), allowed.as_str());
            } else if names[..at].contains(name) {
                self.refuse(key, format!("names {name:?} twice"), "each provider once");
            }
        }
    }

    /// Checks a handle on X.
    pub fn handle(&mut self, key: impl Into<String>, handle: &str) {
        let fits = (1..=15).contains(&handle.len()) && handle.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !fits {
            let given: String = handle.chars().take(40).collect();
            self.refuse(key, format!("is {given:?}"), "a handle without @: 1 to 15 letters, digits and _");
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
