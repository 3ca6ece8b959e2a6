//! `perch up`: everything in one process.

use std::{env, io::IsTerminal as _, net::SocketAddr};

use perch_api::ApiState;
use perch_base::{Environment, Paging, Settings};
use perch_queue::Queue;
use perch_sandbox::Sandbox;
use perch_store::{Scope, Store};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use url::Url;

use crate::{
    app::App,
    commands::audit,
    error::{CommandError, chain},
    format::line::Tone,
    live::{follow_on_terminal, follow_plainly, log_lines},
    process::{Base, Listeners, Logs, Overlay, Parts, api, keeps_quiet, metrics, options, overlay, scheduler, worker},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the HTTP API listens; http.bind when it is left out
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<SocketAddr>,
    /// Log lines in place of the live view
    #[arg(long)]
    pub no_tui: bool,
    /// No sandbox, even where credentials are missing
    #[arg(long)]
    pub no_sandbox: bool,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let mut settings = app.settings_without_sandbox()?;
    let is_live = !args.no_tui && !app.out.is_json() && std::io::stdout().is_terminal();
    let (logs, lines) = if is_live {
        quieten(&mut settings);
        let (writer, lines) = log_lines();
        (Logs::To(writer), Some(lines))
    } else {
        (Logs::Plain, None)
    };
    let listeners = Listeners::open(&settings, args.bind).await?;
    let sandbox = sandbox(&mut settings, args).await?;
    let address = listeners.main.local_addr().unwrap_or(settings.http.bind);
    let base = Base::start(settings, "perch", logs, true).await?;
    let key = RunKey::make(&base.state).await?;
    announce(app, &base, address, sandbox.as_ref(), key.as_ref())?;

    let mut parts = Parts::new(&base.stop);
    parts.add("api", api(&base, listeners.main));
    if let Some(listener) = listeners.metrics {
        parts.add("metrics", metrics(&base, listener, true));
    }
    parts.add("scheduler", scheduler(&base));
    parts.add("workers", worker(&base, Vec::new())?);
    let queues: Vec<Queue> = base.state.queues.iter().cloned().collect();
    let (out, stop) = (app.out, base.stop.token());
    let view = tokio::spawn(async move {
        match lines {
            Some(lines) => follow_on_terminal(out, &queues, lines, stop).await,
            None => follow_plainly(out, &queues, stop).await,
        }
    });
    let outcome = parts.ended().await;
    if let Some((sandbox, _)) = sandbox {
        sandbox.stop().await;
    }
    if let Some(key) = key {
        key.revoke(&base.state.store).await;
    }
    base.end().await;
    view.abort();
    if outcome.is_ok() {
        app.out.note("stopped; what waits is kept for the next start");
    }
    outcome
}

/// Limits the log to warnings and errors: the live view shows the rest.
fn quieten(settings: &mut Settings) {
    let is_chosen = env::var_os("RUST_LOG").is_some_and(|filter| !filter.is_empty());
    if !is_chosen && settings.telemetry.log_filter == "info" {
        "warn".clone_into(&mut settings.file.telemetry.log_filter);
    }
}

/// Starts the sandbox where credentials are missing, and points the settings at it.
async fn sandbox(settings: &mut Settings, args: &Args) -> Result<Option<(Sandbox, Overlay)>, CommandError> {
    let needed = Overlay::needed(settings);
    if args.no_sandbox || !needed.is_any() {
        return Ok(None);
    }
    let failed = |reason: String| CommandError::Part { part: "sandbox", reason };
    let sandbox = Sandbox::start(settings.sandbox.bind, options(settings)?).await.map_err(|e| failed(chain(&e)))?;
    let url: Url = sandbox.base_url().parse().map_err(|error| failed(format!("its address is no URL: {error}")))?;
    overlay(settings, &needed, &url, keeps_quiet());
    Ok(Some((sandbox, needed)))
}

fn announce(
    app: &App,
    base: &Base,
    address: SocketAddr,
    sandbox: Option<&(Sandbox, Overlay)>,
    key: Option<&RunKey>,
) -> Result<(), CommandError> {
    let host = if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { bracketed(address) };
    let url = format!("http://{host}:{}", address.port());
    let posts = match (base.state.settings.live_posts, sandbox) {
        (false, _) => "simulated, never sent",
        (true, Some((_, Overlay { x: true, .. }))) => "sent to the sandbox",
        (true, _) => "SENT",
    };
    let mut facts = vec![
        (
            "Perch",
            format!("{}, keys under {}, posts are {posts}", base.state.settings.env, base.state.settings.env.prefix()),
        ),
        ("API", url.clone()),
        ("docs", format!("{url}/docs")),
        ("metrics", metrics_url(base, &url)),
    ];
    if let Some((sandbox, overlay)) = sandbox {
        facts.push(("sandbox", format!("{}  {}", sandbox.base_url(), overlay.said())));
    }
    let how = || "make one with `perch keys create NAME --scope enqueue,read,operate`".to_owned();
    let shown = key.map_or_else(how, |key| format!("{}  for this run", key.token.expose_secret()));
    facts.push(("API key", shown));
    for (name, value) in facts {
        app.out.styled(&Tone::Faint.line(format_args!("{name:<8}")).then(" ").then(value))?;
    }
    let perch = env::args().next().filter(|program| program.contains('/')).unwrap_or_else(|| "perch".to_owned());
    let hint = format!("Ctrl-C stops it; in another terminal: {perch} queues, top, tail");
    app.out.styled(&Tone::Faint.line(hint))
}

/// The URL of the metrics, and whether they need a key.
fn metrics_url(base: &Base, url: &str) -> String {
    match base.state.settings.http.metrics_bind {
        Some(address) => format!("http://{address}/metrics"),
        None => format!("{url}/metrics  with the API key as bearer token"),
    }
}

fn bracketed(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}

/// An API key for one run of a deployment that has no keys.
struct RunKey {
    id: String,
    token: SecretString,
}

/// The name of such keys.
const RUN_KEY: &str = "perch up";

impl RunKey {
    /// Makes a key in staging, unless people have made keys. In production it makes none, since the key is shown on the screen.
    async fn make(state: &ApiState) -> Result<Option<Self>, CommandError> {
        if state.settings.env != Environment::Staging {
            return Ok(None);
        }
        let keys = state.store.api_keys();
        let in_use = keys.list(&Paging::first(1_000)).await?.items.into_iter().filter(|key| key.revoked_at.is_none());
        let (of_runs, own): (Vec<_>, Vec<_>) = in_use.partition(|key| key.name == RUN_KEY);
        if !own.is_empty() {
            return Ok(None);
        }
        for left_behind in of_runs {
            keys.revoke(&left_behind.id).await?;
        }
        let made = keys.create(RUN_KEY, &Scope::ALL).await?;
        let details = json!({ "name": RUN_KEY, "scopes": Scope::ALL });
        audit::add(&state.settings, "key.create", &made.key.id, &details).await?;
        Ok(Some(Self { id: made.key.id, token: made.token }))
    }

    /// Revokes it.
    async fn revoke(self, store: &Store) {
        if let Err(error) = store.api_keys().revoke(&self.id).await {
            tracing::warn!(error = chain(&error), "the key of this run stays; the next run revokes it");
        }
    }
}
