//! `perch health`: asks a running process for its health.

use std::{net::IpAddr, time::Duration};

use serde_json::{Value, json};
use url::Url;

use crate::{
    app::App,
    error::{CommandError, chain},
    format::line::{Line, Tone},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The address of the process, such as http://127.0.0.1:8080; what http.bind says when it is left out
    #[arg(long)]
    pub url: Option<Url>,
    /// Only whether the process lives, not whether it can work
    #[arg(long)]
    pub live: bool,
    /// How long to wait for an answer
    #[arg(long, value_parser = crate::parse::time::duration, default_value = "5s", value_name = "DURATION")]
    pub timeout: Duration,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let base = match &args.url {
        Some(url) => url.clone(),
        None => own_address(app.settings()?.http.bind)?,
    };
    let http = reqwest::Client::builder()
        .timeout(args.timeout)
        .build()
        .map_err(|error| CommandError::Part { part: "http", reason: chain(&error) })?;
    let mut answers = Vec::new();
    let mut is_well = true;
    for path in if args.live { &["health"][..] } else { &["health", "ready"][..] } {
        let url = base.join(path).map_err(|error| CommandError::Usage(format!("{base} is no base URL: {error}")))?;
        let (status, body) = ask(&http, &url).await?;
        let ok = (200..300).contains(&status);
        is_well &= ok;
        if !app.out.is_json() {
            let (tone, word) = if ok { (Tone::Good, "ok") } else { (Tone::Bad, "failed") };
            let more = if body.is_null() { String::new() } else { format!("  {body}") };
            let line = Line::new(format_args!("{path:<7}")).toned(tone, word).then(format_args!(" ({status}){more}"));
            app.out.styled(&line)?;
        }
        answers.push(json!({ "check": path, "ok": ok, "status": status, "body": body }));
    }
    if app.out.is_json() {
        app.out.json(&json!({ "ok": is_well, "url": base.as_str(), "checks": answers }))?;
    }
    if is_well { Ok(()) } else { Err(CommandError::Reported) }
}

async fn ask(http: &reqwest::Client, url: &Url) -> Result<(u16, Value), CommandError> {
    let away = |error: reqwest::Error| {
        CommandError::Refused(format!(
            "{url} does not answer: {}; is the process running?",
            chain(&error.without_url())
        ))
    };
    let response = http.get(url.clone()).send().await.map_err(away)?;
    let status = response.status().as_u16();
    let text = response.text().await.map_err(away)?;
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
    Ok((status, body))
}

/// The URL of a process with this address, from its own machine.
fn own_address(bind: std::net::SocketAddr) -> Result<Url, CommandError> {
    let host = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(ip) if ip.is_unspecified() => "[::1]".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let url = format!("http://{host}:{}", bind.port());
    url.parse().map_err(|error| CommandError::Usage(format!("http.bind cannot be asked at {url}: {error}; give --url")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_listens_everywhere_is_asked_on_the_loopback_address() {
        let address = |bind: &str| own_address(bind.parse().expect("an address")).expect("a URL").to_string();
        assert_eq!(address("0.0.0.0:8080"), "http://127.0.0.1:8080/");
        assert_eq!(address("[::]:8080"), "http://[::1]:8080/");
        assert_eq!(address("10.0.0.7:80"), "http://10.0.0.7/");
    }
}
