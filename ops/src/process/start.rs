//! What every long-running process does first.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use perch_base::{Environment, Settings, telemetry};
use perch_queue::Client;
use perch_store::{Store, StoreError};
use perch_workers::api::{ApiState, Health};
use tokio::{net::TcpListener, time::Instant};
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::stop::{Stop, on_signals};
use crate::{
    app,
    commands::doctor,
    error::{OpsError, chain},
};

/// Where log lines go.
pub enum Logs {
    /// To standard error.
    Plain,
    /// To a view that has the terminal for itself.
    To(BoxMakeWriter),
}

/// What the parts of a process stand on.
pub struct Base {
    /// Settings, queues, store, health and metrics; the HTTP API stands on all of them.
    pub state: ApiState,
    /// When the process ends.
    pub stop: Stop,
    telemetry: telemetry::TelemetryGuard,
}

/// How long a process waits for Postgres before it gives up, so that both may be started together.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(1);

impl Base {
    /// Starts telemetry, connects, and refuses a database whose schema does not fit. In staging, with `migrates`, an older
    /// schema is brought up to date instead.
    pub async fn start(settings: Settings, service: &str, logs: Logs, migrates: bool) -> Result<Self, OpsError> {
        let telemetry = match logs {
            Logs::Plain => telemetry::init(service, &settings.telemetry)?,
            Logs::To(writer) => telemetry::init_to(service, &settings.telemetry, writer)?,
        };
        let metrics = telemetry::metrics()?;
        let store = app::store(&settings)?;
        let queues = app::queues(&settings)?.with_ledger(Arc::new(store.clone()));
        let stop = Stop::default();
        on_signals(&stop)?;
        schema(&store, migrates && settings.env == Environment::Staging).await?;
        doctor::warn_at_start(queues.redis()).await;
        let state = ApiState {
            client: Client::new(queues.clone()),
            health: Health::new(queues.redis().clone(), store.clone()),
            settings: Arc::new(settings),
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

async fn schema(store: &Store, migrates: bool) -> Result<(), OpsError> {
    let start = Instant::now();
    loop {
        let error = match store.require_schema().await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match error {
            StoreError::SchemaMissing { .. } | StoreError::SchemaBehind { .. } if migrates => {
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

/// A listener on that address; the error names the setting that moves it.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, OpsError> {
    TcpListener::bind(address).await.map_err(|error| {
        OpsError::Refused(format!(
            "cannot listen on {address}: {error}; give another address with --bind, http.bind or PERCH__HTTP__BIND"
        ))
    })
}
