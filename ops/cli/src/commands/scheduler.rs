//! `perch scheduler`: fires cron entries, relays the outbox, runs intakes and prunes.

use std::net::SocketAddr;

use crate::{
    app::App,
    error::CommandError,
    process::{Base, Listeners, Logs, Parts, metrics, probes, scheduler},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where /health, /ready and /metrics are served; http.bind when it is left out
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<SocketAddr>,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let settings = app.settings()?;
    let listeners = Listeners::open(&settings, args.bind).await?;
    let base = Base::start(settings, "perch-scheduler", Logs::Plain, false).await?;
    let mut parts = Parts::new(&base.stop);
    parts.add("scheduler", scheduler(&base));
    parts.add("probes", probes(&base, listeners.main));
    if let Some(listener) = listeners.metrics {
        parts.add("metrics", metrics(&base, listener, false));
    }
    let outcome = parts.ended().await;
    base.end().await;
    outcome
}
