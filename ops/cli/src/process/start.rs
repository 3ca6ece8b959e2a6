//! Starts a long-running process: telemetry, connections, schema check, listeners.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use perch_api::{ApiState, Health};
use perch_base::{Environment, Settings, shortage, telemetry};
use perch_queue::Client;
use perch_store::{Store, StoreError};
use tokio::{net::TcpListener, time::Instant};
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::stop::{Stop, on_signals};
use crate::{
    app,
    commands::doctor,
    error::{CommandError, chain},
};

/// Where log lines go.
pub enum Logs {
    /// To standard error.
    Plain,
    /// To a live view that owns the terminal.
    To(BoxMakeWriter),
}

/// What the parts of a process share.
pub struct Base {
    /// Settings, queues, store, health and metrics.
    pub state: ApiState,
    /// Tells when the process has to end.
    pub stop: Stop,
    telemetry: telemetry::TelemetryGuard,
}

/// How long a process waits for Postgres before it gives up, so that both can be started together.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(1);

impl Base {
    /// Starts telemetry, connects, and refuses a database whose schema does not fit. In staging, with `migrates`, an older
    /// schema is brought up to date instead.
    pub async fn start(settings: Settings, service: &str, logs: Logs, migrates: bool) -> Result<Self, CommandError> {
        let telemetry = match logs {
            Logs::Plain => telemetry::init(service, &settings.telemetry)?,
            Logs::To(writer) => telemetry::init_to(service, &settings.telemetry, writer)?,
        };
        let metrics = telemetry::metrics()?;
        match shortage::raise_descriptors() {
            Ok(descriptors) => tracing::debug!(descriptors, "file descriptors that this process may have"),
            Err(error) => tracing::warn!(%error, "the limit of file descriptors stays as it is"),
        }
        let store = app::store(&settings)?;
        let queues = app::queues(&settings)?.with_ledger(Arc::new(store.clone()));
        let stop = Stop::default();
        on_signals(&stop)?;
        schema(&store, migrates && settings.env == Environment::Staging).await?;
        doctor::warn_at_start(queues.redis()).await;
        let client = Client::new(queues.clone());
        let platform = Arc::new(app::platform(&settings, &client, &store)?);
        let (bots, settings) = (app::bots().clone(), Arc::new(settings));
        let state = ApiState {
            client,
            health: Health::of_bots(queues.redis().clone(), store.clone(), bots.clone(), settings.clone()),
            bots,
            platform,
            settings,
            queues,
            store,
            metrics,
        };
        Ok(Self { state, stop, telemetry })
    }

    /// Sends the last traces and closes the connections.
    pub async fn end(self) {
        self.state.store.close().await;
        // The last traces are sent over a blocking client.
        let telemetry = self.telemetry;
        let _ = tokio::task::spawn_blocking(move || telemetry.shutdown()).await;
    }
}

async fn schema(store: &Store, migrates: bool) -> Result<(), CommandError> {
    let start = Instant::now();
    loop {
        let error = match store.require_schema().await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match error {
            StoreError::SchemaMissing { .. } | StoreError::SchemaBehind { .. } | StoreError::BotSchemaBehind { .. }
                if migrates =>
            {
                let report = store.migrate(|_| ()).await?;
                tracing::info!(from = report.from, to = report.to, "migrated the database");
                return Ok(());
            }
            error if error.is_unavailable() && start.elapsed() < PATIENCE => {
                tracing::warn!(error = chain(&error), "waiting for Postgres");
                tokio::time::sleep(AGAIN).await;
            }
            error => return Err(error.into()),
        }
    }
}

/// The addresses on which a process serves HTTP.
pub struct Listeners {
    /// The API or the probes.
    pub main: TcpListener,
    /// The metrics without a key, on a private network, if the settings have such an address.
    pub metrics: Option<TcpListener>,
}

impl Listeners {
    /// Opens the addresses of the settings; `bind` replaces `http.bind`. An error names the setting to change.
    pub async fn open(settings: &Settings, bind: Option<SocketAddr>) -> Result<Self, CommandError> {
        let way_out = "--bind, http.bind or PERCH__HTTP__BIND";
        let main = listen(bind.unwrap_or(settings.http.bind), way_out).await?;
        let metrics = match settings.http.metrics_bind {
            Some(address) => Some(listen(address, "http.metrics_bind or PERCH__HTTP__METRICS_BIND").await?),
            None => None,
        };
        Ok(Self { main, metrics })
    }
}

async fn listen(address: SocketAddr, way_out: &str) -> Result<TcpListener, CommandError> {
    TcpListener::bind(address).await.map_err(|error| {
        CommandError::Refused(format!("cannot listen on {address}: {error}; give another address with {way_out}"))
    })
}
