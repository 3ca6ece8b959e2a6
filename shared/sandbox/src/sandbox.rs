use std::{
    collections::BTreeMap,
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{Router, extract::connect_info::IntoMakeServiceWithConnectInfo, middleware::from_fn};
use chrono::Utc;
use tokio::{net::TcpListener, task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    SandboxError, SandboxOptions, SandboxState, analytics,
    app::App,
    audience::Audience,
    chat, control,
    faults::Faults,
    flow,
    limits::Windows,
    media::{self, Files},
    pages::no_foreign_page,
    reads, stage,
    state::{SharedState, is_username},
    wire::{CuttableListener, Cutter},
    world::World,
    writes,
};

/// A running sandbox. Dropping it stops it at once; [`Sandbox::stop`] lets running requests finish.
#[derive(Debug)]
pub struct Sandbox {
    app: App,
    address: SocketAddr,
    server: Option<JoinHandle<std::io::Result<()>>>,
    writer: Option<JoinHandle<()>>,
}

/// How long running requests may take after a stop.
const GRACE: Duration = Duration::from_secs(5);

impl Sandbox {
    /// Starts to listen; port 0 takes a free one. When this returns, the sandbox answers.
    pub async fn start(bind: SocketAddr, options: SandboxOptions) -> Result<Self, SandboxError> {
        let failed = |source| SandboxError::Bind { bind, source };
        let listener = TcpListener::bind(bind).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let app = App {
            state: SandboxState::new(inner(&options)?),
            actors: options.actors.into(),
            stopping: CancellationToken::new(),
        };
        flow::backlog(&app);
        let stopped = app.stopping.clone().cancelled_owned();
        let serve = axum::serve(CuttableListener(listener), service(&app)).with_graceful_shutdown(stopped);
        let server = tokio::spawn(async move { serve.await });
        let writer = options
            .post_every
            .filter(|_| !options.watched.is_empty())
            .map(|every| tokio::spawn(write(app.clone(), every, options.watched.len())));
        tracing::info!(%address, "sandbox listens");
        Ok(Self { app, address, server: Some(server), writer })
    }

    /// Its URL on this machine, without a slash at the end. X is under the root; models are under `/v1`.
    pub fn base_url(&self) -> String {
        let ip = match self.address.ip() {
            ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        format!("http://{}", SocketAddr::new(ip, self.address.port()))
    }

    /// A handle on its posts, calls and faults.
    pub fn state(&self) -> SandboxState {
        self.app.state.clone()
    }

    /// Accepts no more connections, ends requests that a fault holds, and lets the others finish for up to 5 seconds.
    pub async fn stop(mut self) {
        self.app.stopping.cancel();
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(GRACE, &mut server).await.is_err()
        {
            server.abort();
        }
    }

    /// Runs until the future is ready, then stops. Ends early with an error when the server does.
    pub async fn run_until(mut self, cancelled: impl Future<Output = ()>) -> Result<(), SandboxError> {
        if let Some(mut server) = self.server.take() {
            tokio::select! {
                () = cancelled => self.server = Some(server),
                ended = &mut server => {
                    return ended.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(SandboxError::Serve);
                }
            }
        }
        self.stop().await;
        Ok(())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.app.stopping.cancel();
        if let Some(server) = &self.server {
            server.abort();
        }
        if let Some(writer) = &self.writer {
            writer.abort();
        }
    }
}

/// The initial state of a sandbox.
fn inner(options: &SandboxOptions) -> Result<SharedState, SandboxError> {
    let audience = Audience::new(options.seed, options.topics.clone(), options.reader_speed);
    let mut inner = SharedState {
        world: World::new(Utc::now(), options.plan, audience),
        faults: Faults::new(options.seed),
        windows: Windows::new(options.rate_limits),
        calls: BTreeMap::new(),
        bots: options.bot_accounts.clone(),
        long_posts: options.long_posts.clone(),
        watched: options.watched.clone(),
        seed: options.seed,
        flows: true,
        results: Vec::new(),
        files: Files::default(),
    };
    for username in options.bot_accounts.iter().chain(&options.watched) {
        if !is_username(username) {
            return Err(SandboxError::Username(username.clone()));
        }
        inner.world.account(username);
    }
    Ok(inner)
}

fn service(app: &App) -> IntoMakeServiceWithConnectInfo<Router, Cutter> {
    Router::new()
        .merge(reads::routes(app))
        .merge(writes::routes(app))
        .merge(media::routes(app))
        .merge(analytics::routes(app))
        .merge(chat::routes(app))
        .merge(control::routes(app))
        .merge(stage::routes(app))
        .layer(from_fn(no_foreign_page))
        .into_make_service_with_connect_info()
}

/// Lets the watched accounts take turns, each once in the period.
async fn write(app: App, every: Duration, accounts: usize) {
    let turns = u32::try_from(accounts).unwrap_or(u32::MAX);
    let period = (every / turns).max(Duration::from_millis(1));
    let mut clock = tokio::time::interval(period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // Counted from the epoch, so that a restarted sandbox does not repeat posts.
    let period_ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
    let mut turn = u64::try_from(Utc::now().timestamp_millis()).unwrap_or(0) / period_ms;
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = clock.tick() => flow::write_next(&app, turn),
        }
        turn += 1;
    }
}
