//! A client for the control endpoints of a running sandbox.

use std::time::Duration;

use perch_play::SandboxAction;
use reqwest::{Client, Method};
use serde::Serialize;
use serde_json::{Value, json};
use url::{Host, Url};

use crate::error::{CommandError, chain};

/// A running sandbox on this machine.
#[derive(Debug)]
pub struct Stage {
    http: Client,
    base: Url,
}

impl Stage {
    /// Connects to the sandbox at `base`. An error when it is not on this machine or is no sandbox.
    pub async fn open(base: Url) -> Result<Self, CommandError> {
        if !is_local(&base) {
            return Err(CommandError::Usage(format!(
                "{base} is not of this machine; a sandbox takes posts from its own machine only"
            )));
        }
        let http = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .build()
            .map_err(|error| CommandError::Part { part: "http", reason: chain(&error) })?;
        let stage = Self { http, base };
        let shown = stage.send(Method::GET, &["sandbox", "state"], None::<&Value>).await?;
        if shown["accounts"].is_array() {
            Ok(stage)
        } else {
            Err(CommandError::Refused(format!(
                "{} is no sandbox; start one with `perch sandbox` or `perch up`",
                stage.base
            )))
        }
    }

    /// Carries out an action. Returns the id of a published post.
    pub async fn carry_out(&self, order: &SandboxAction) -> Result<Option<String>, CommandError> {
        match order {
            SandboxAction::Publish { account, post } => {
                let path = ["sandbox", "accounts", account, "posts"];
                let made = self.send(Method::POST, &path, Some(post)).await?;
                Ok(made["id"].as_str().map(str::to_owned))
            }
            SandboxAction::Withdraw { id } => {
                self.done(Method::DELETE, &["sandbox", "posts", id], None::<&Value>).await
            }
            SandboxAction::Stand { account, standing } => {
                let body = json!({ "standing": standing });
                self.done(Method::PUT, &["sandbox", "accounts", account], Some(&body)).await
            }
            SandboxAction::Results(results) => self.done(Method::PUT, &["sandbox", "results"], Some(results)).await,
        }
    }

    /// Sets whether the accounts of the sandbox write by themselves.
    pub async fn flow(&self, flows: bool) -> Result<(), CommandError> {
        self.done(Method::PUT, &["sandbox", "flow"], Some(&json!({ "flows": flows }))).await.map(|_| ())
    }

    async fn done<T: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&T>,
    ) -> Result<Option<String>, CommandError> {
        self.send(method, path, body).await.map(|_| None)
    }

    async fn send<T: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&T>,
    ) -> Result<Value, CommandError> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(path),
            Err(()) => return Err(CommandError::Usage(format!("{} is no base URL", self.base))),
        };
        let away = |error: reqwest::Error| {
            let reason = chain(&error.without_url());
            CommandError::Refused(format!(
                "the sandbox at {} does not answer: {reason}; start one with `perch sandbox`",
                self.base
            ))
        };
        let mut request = self.http.request(method, url.clone());
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(away)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(away)?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        let detail = body["detail"].as_str().unwrap_or("is it a sandbox of this release?");
        Err(CommandError::Refused(format!("{url} answers {status}: {detail}")))
    }
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_played_on() {
        for (url, local) in [
            ("http://127.0.0.1:8090", true),
            ("http://localhost:8090", true),
            ("http://sandbox.localhost:8090", true),
            ("http://[::1]:8090", true),
            ("https://api.x.com", false),
            ("http://10.0.0.7:8090", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(is_local(&url.parse().expect("a URL")), local, "{url}");
        }
    }
}
