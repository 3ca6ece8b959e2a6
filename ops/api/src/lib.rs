//! The HTTP API: enqueue, look up, operate; and the probes of every process.
//!
//! Every path under `/api/v1` needs a key with the scope that the OpenAPI document names for it (`guard`). Every refusal is a
//! problem document (`problem`). A job is accepted only once Redis has it, or Postgres if its queue is a ledger queue: when
//! neither can take it the answer is 503.

mod batch;
mod brake;
mod catalog;
mod dead;
mod docs;
mod enqueue;
mod gauges;
mod guard;
mod health;
mod idempotency;
mod input;
mod job_view;
mod jobs;
mod keys;
mod limits;
mod observe;
mod probes;
mod queues;
mod replay;
mod request;
mod server;
mod spend;

use std::{any::Any, ops::Deref, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{Method, Uri},
    middleware,
    response::{IntoResponse, Response},
};
use metrics_exporter_prometheus::PrometheusHandle;
use perch_base::Settings;
pub use perch_bot::http::{Cause, Document, FieldError, Problem};
use perch_bot::{
    Bots, Platform,
    http::{BodyBudget, BotState, Parts, ReadsBodies, internal},
};
use perch_queue::{Client, CronEntry, Queues};
use perch_store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use health::{Alive, Check, Health, Readiness};

use gauges::Gauges;
use guard::{AccessControl, RequiredScopes, guarded};
use probes::MetricsSource;
use server::Bounds;

/// What the API needs.
#[derive(Clone)]
pub struct ApiState {
    /// The queues.
    pub queues: Queues,
    /// Enqueues into them.
    pub client: Client,
    /// Postgres: keys, history, audit log.
    pub store: Store,
    /// Limits and cron entries.
    pub settings: Arc<Settings>,
    /// The metrics of this process.
    pub metrics: PrometheusHandle,
    /// The answer of `/ready`.
    pub health: Health,
    /// The bots of the deployment, whose routes it serves.
    pub bots: Bots,
    /// What their routes use.
    pub platform: Arc<Platform>,
}

/// The state that handlers share.
#[derive(Clone)]
struct App(Arc<Inner>);

struct Inner {
    state: ApiState,
    door: Arc<AccessControl>,
    budget: BodyBudget,
    cron: Vec<CronEntry>,
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Deref for Inner {
    type Target = ApiState;

    fn deref(&self) -> &ApiState {
        &self.state
    }
}

impl App {
    fn new(state: ApiState) -> Self {
        let http = &state.settings.http;
        let (door, budget) = (Arc::new(AccessControl::new(&state.store, http)), BodyBudget::new(http.bytes_under_way));
        let cron = state.settings.cron.iter().filter_map(|(name, entry)| {
            CronEntry::new(name, entry, &state.client)
                .inspect_err(|error| tracing::error!(entry = name, %error, "a cron entry cannot be shown"))
                .ok()
        });
        let cron = cron.collect();
        Self(Arc::new(Inner { state, door, budget, cron }))
    }
}

impl ReadsBodies for App {
    fn budget(&self) -> &BodyBudget {
        &self.budget
    }

    fn most_body_bytes(&self) -> usize {
        self.settings.http.max_body_bytes
    }
}

/// The whole API: `/api/v1`, the probes, `/openapi.json` and `/docs`.
pub fn router(state: ApiState) -> Router {
    router_of(&App::new(state))
}

fn router_of(app: &App) -> Router {
    let measured = measured(app, Some(app.budget.clone()));
    let probes = probes::routes(&app.door, app.health.clone(), measured);
    let (router, document) = described(&app.bots, Some(app)).split_for_parts();
    let router = router.merge(probes).merge(docs::routes(&document, app.queues.types()));
    covered(router.with_state(app.clone()))
}

/// The metrics of a process that includes the queues.
fn measured(state: &ApiState, budget: Option<BodyBudget>) -> MetricsSource {
    gauges::describe();
    let gauges = Gauges::new(&state.queues, &state.store, &state.settings, &state.bots, budget);
    MetricsSource { metrics: state.metrics.clone(), gauges: Some(Arc::new(gauges)) }
}

/// The description of the API, as `/openapi.json` serves it.
pub fn openapi(bots: &Bots) -> OpenApi {
    described(bots, None).into_openapi()
}

/// The routes and their description; without an app they are only described.
fn described(bots: &Bots, app: Option<&App>) -> OpenApiRouter<App> {
    let mut document = docs::document();
    document.merge(probes::document());
    let door = app.map(|app| &app.door);
    let all = bots.iter().fold(version_1(door), |all, bot| {
        let Parts { tags, read, operate } = bot.routes().into_parts();
        document.tags.get_or_insert_default().extend(tags);
        let routes = guarded(door, RequiredScopes::READ, read).merge(guarded(door, RequiredScopes::OPERATE, operate));
        all.merge(match app {
            Some(app) => routes.with_state(BotState::new(app.platform.clone(), app.budget.clone())),
            None => OpenApiRouter::with_openapi(routes.into_openapi()),
        })
    });
    OpenApiRouter::with_openapi(document).nest("/api/v1", all)
}

/// The routes, by the scope that they need.
fn version_1(door: Option<&Arc<AccessControl>>) -> OpenApiRouter<App> {
    let enqueue = OpenApiRouter::new().routes(routes!(enqueue::enqueue)).routes(routes!(batch::enqueue_batch));
    let cancel = OpenApiRouter::new().routes(routes!(jobs::cancel));
    let read = OpenApiRouter::new()
        .routes(routes!(jobs::jobs))
        .routes(routes!(jobs::job))
        .routes(routes!(queues::queues))
        .routes(routes!(queues::one))
        .routes(routes!(dead::list))
        .routes(routes!(dead::stats))
        .routes(routes!(catalog::kinds))
        .routes(routes!(catalog::cron))
        .routes(routes!(catalog::workers))
        .routes(routes!(spend::spend))
        .routes(routes!(brake::show))
        .routes(routes!(limits::show));
    let operate = OpenApiRouter::new()
        .routes(routes!(jobs::run_now))
        .routes(routes!(queues::pause))
        .routes(routes!(queues::resume))
        .routes(routes!(replay::replay))
        .routes(routes!(replay::discard))
        .routes(routes!(brake::pull))
        .routes(routes!(brake::lift));
    guarded(door, RequiredScopes::ENQUEUE, enqueue)
        .merge(guarded(door, RequiredScopes::CANCEL, cancel))
        .merge(guarded(door, RequiredScopes::READ, read))
        .merge(guarded(door, RequiredScopes::OPERATE, operate))
}

/// Adds what every route shares: problems for unknown paths and panics, and logs, traces and metrics.
fn covered(router: Router) -> Router {
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(server::drain))
        .layer(middleware::from_fn(observe::observe))
}

async fn no_such_path(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(Cause::NotFound, format!("There is nothing at {path}; /docs lists what there is."))
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    let (method, path): (String, String) =
        (method.as_str().chars().take(20).collect(), uri.path().chars().take(200).collect());
    Problem::new(Cause::MethodNotAllowed, format!("{path} has no {method}; the header Allow lists what it has."))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that tower-http asks for")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = words.unwrap_or("with a payload that is not text"), "a request handler panicked");
    internal().into_response()
}

/// Serves the API until `shutdown`; then takes no more requests and gives running ones `engine.shutdown_grace` to end.
pub async fn serve(listener: TcpListener, state: ApiState, shutdown: CancellationToken) {
    let (grace, bounds) = (state.settings.engine.shutdown_grace, Bounds::of(&state.settings.http));
    let app = App::new(state);
    let served = serve_router(listener, router_of(&app), bounds, &app.health, grace, &shutdown);
    tokio::join!(served, app.door.follow_keys(&shutdown));
}

/// Serves `/health`, `/ready` and `/metrics` alone, for a process without the API, until `shutdown`.
pub async fn serve_probes(listener: TcpListener, state: ApiState, shutdown: CancellationToken) {
    let (door, bounds) =
        (Arc::new(AccessControl::new(&state.store, &state.settings.http)), Bounds::of(&state.settings.http));
    let measured = MetricsSource { metrics: state.metrics.clone(), gauges: None };
    let router = covered(probes::routes(&door, state.health.clone(), measured));
    serve_router(listener, router, bounds, &state.health, Duration::ZERO, &shutdown).await;
}

/// Serves `/metrics` without a key until `shutdown`; the listener belongs on a private network. With
/// `queues`, it includes the queues.
pub async fn serve_metrics(listener: TcpListener, state: ApiState, queues: bool, shutdown: CancellationToken) {
    let alone = || MetricsSource { metrics: state.metrics.clone(), gauges: None };
    let measured = if queues { measured(&state, None) } else { alone() };
    let (router, bounds) = (covered(probes::metrics_routes(measured)), Bounds::of(&state.settings.http));
    serve_router(listener, router, bounds, &state.health, Duration::ZERO, &shutdown).await;
}

async fn serve_router(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    health: &Health,
    grace: Duration,
    shutdown: &CancellationToken,
) {
    let out_of_patience = async {
        shutdown.cancelled().await;
        health.drain();
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        // First, so that the process reports its end before its last connection closes.
        biased;
        () = out_of_patience => {}
        () = server::serve(listener, router, bounds, shutdown.clone()) => {}
    }
}
