//! An API of one's own: its servers, its keys, and a client for it.

use std::{future::Future, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use perch_api::{self as api, ApiState, Health};
use perch_base::{Environment, Paging, Settings};
use perch_jobs::QueueName;
use perch_queue::{
    Client, Queue, Queues,
    worker::{Deps, Handlers, Runtime},
};
use perch_store::{Scope, Store};
use perch_testkit::{Gate, TestDatabase, TestRedis, free_port};
use perch_workers::bots;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// How long a test waits for something before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// For a Redis that is away.
const SHORT_TIMEOUTS: [(&str, &str); 2] =
    [("PERCH__REDIS__CONNECT_TIMEOUT", "300ms"), ("PERCH__REDIS__COMMAND_TIMEOUT", "300ms")];

pub struct World {
    pub redis: TestRedis,
    pub database: Option<TestDatabase>,
    pub store: Store,
    pub client: Client,
    pub settings: Arc<Settings>,
    pub health: Health,
    /// What the API stands on.
    pub state: ApiState,
    base: String,
    http: reqwest::Client,
    keys: Keys,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
}

struct Keys {
    enqueue: SecretString,
    read: SecretString,
    operate: SecretString,
}

impl World {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A world with some settings of its own, given as environment variables.
    pub async fn with(vars: &[(&str, &str)]) -> Self {
        let redis = TestRedis::claim().await;
        let url = redis.url().to_owned();
        Self::on(vars, redis, &url, TestDatabase::of(|store| bots().store(store)).await, None).await
    }

    /// A world whose Redis is away.
    pub async fn without_redis() -> Self {
        let nowhere = format!("redis://127.0.0.1:{}", free_port());
        Self::on(
            &SHORT_TIMEOUTS,
            TestRedis::claim().await,
            &nowhere,
            TestDatabase::of(|store| bots().store(store)).await,
            None,
        )
        .await
    }

    /// A world whose Redis goes away while the gate is shut.
    pub async fn gated() -> (Gate, Self) {
        let redis = TestRedis::claim().await;
        let mut url = url::Url::parse(redis.url()).expect("the URL of a test Redis");
        let gate = Gate::before(url.port().unwrap_or(6379)).await;
        url.set_port(Some(gate.port())).expect("a URL with a host");
        (
            gate,
            Self::on(&SHORT_TIMEOUTS, redis, url.as_str(), TestDatabase::of(|store| bots().store(store)).await, None)
                .await,
        )
    }

    /// A world on a Redis of the caller's.
    pub async fn on_redis(url: &str) -> Self {
        Self::on(&SHORT_TIMEOUTS, TestRedis::at(url), url, TestDatabase::of(|store| bots().store(store)).await, None)
            .await
    }

    /// The same world after a deploy with other settings.
    pub async fn redeployed(self, vars: &[(&str, &str)]) -> Self {
        ended(&self.shutdown, self.served).await;
        let url = self.redis.url().to_owned();
        Self::on(vars, self.redis, &url, self.database.expect("it is there"), Some(self.keys)).await
    }

    async fn on(
        vars: &[(&str, &str)],
        redis: TestRedis,
        url: &str,
        database: TestDatabase,
        keys: Option<Keys>,
    ) -> Self {
        perch_base::tls::install();
        let settings = settings(vars);
        let url = SecretString::from(url);
        let door = perch_queue::Redis::new(&url, &settings.redis).expect("a Redis URL");
        let store = database.store(Environment::Staging);
        let state = state(&settings, door, store.clone());
        let (client, health) = (state.client.clone(), state.health.clone());
        let keys = match keys {
            Some(keys) => keys,
            None => Keys {
                enqueue: key(&store, "producer", &[Scope::Enqueue]).await,
                read: key(&store, "onlooker", &[Scope::Read]).await,
                operate: key(&store, "operator", &[Scope::Operate]).await,
            },
        };
        let shutdown = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("it is bound");
        let served = tokio::spawn(api::serve(listener, state.clone(), shutdown.clone()));
        Self {
            redis,
            database: Some(database),
            store,
            client,
            settings,
            health,
            state,
            base: format!("http://{address}"),
            http: reqwest::Client::new(),
            keys,
            shutdown,
            served,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    pub fn queue(&self, name: &'static str) -> Queue {
        self.client.queues().get(&QueueName::from_static(name)).expect("it is configured").clone()
    }

    pub fn token(&self, scope: Scope) -> &str {
        match scope {
            Scope::Enqueue => self.keys.enqueue.expose_secret(),
            Scope::Read => self.keys.read.expose_secret(),
            Scope::Operate => self.keys.operate.expose_secret(),
        }
    }

    /// A request without a key.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub fn request(&self, method: Method, path: &str, scope: Scope) -> RequestBuilder {
        self.bare(method, path).bearer_auth(self.token(scope))
    }

    pub async fn get(&self, path: &str) -> Seen {
        seen(self.request(Method::GET, path, Scope::Read)).await
    }

    pub async fn operate(&self, path: &str, body: &Value) -> Seen {
        seen(self.request(Method::POST, path, Scope::Operate).json(body)).await
    }

    /// Posts a job, or something that is none.
    pub fn job(&self, body: &Value) -> RequestBuilder {
        self.request(Method::POST, "/api/v1/jobs", Scope::Enqueue).json(body)
    }

    /// Posts a job as text, whatever that is.
    pub fn job_text(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(Method::POST, "/api/v1/jobs", Scope::Enqueue).header("content-type", "application/json").body(body)
    }

    pub async fn enqueue(&self, body: &Value) -> Seen {
        seen(self.job(body)).await
    }

    /// Runs `handlers` until `done` holds.
    pub async fn work_until<F: Future<Output = bool>>(&self, handlers: Handlers, what: &str, done: impl Fn() -> F) {
        let stop = CancellationToken::new();
        let runtime = Runtime::new(self.client.clone(), handlers, Deps::new()).expect("handlers without dependencies");
        let running = {
            let stop = stop.clone();
            tokio::spawn(async move { runtime.run(&[], stop).await })
        };
        eventually(what, done).await;
        stop.cancel();
        running.await.expect("the worker does not panic").expect("the worker stops");
    }

    /// The audit log as action, object and actor, oldest first.
    pub async fn audited(&self) -> Vec<(String, String, String)> {
        let filter = perch_store::AuditFilter::default();
        let mut lines = self.store.audit().list(&filter, &Paging::default()).await.expect("the audit log").items;
        lines.reverse();
        lines.into_iter().map(|line| (line.action, line.object, line.actor)).collect()
    }

    /// Stops the API and waits for its end.
    pub async fn stop(self) {
        ended(&self.shutdown, self.served).await;
    }
}

async fn ended(shutdown: &CancellationToken, served: JoinHandle<()>) {
    shutdown.cancel();
    let ended = tokio::time::timeout(PATIENCE, served).await.expect("it stops in time");
    ended.expect("it does not panic");
}

async fn key(store: &Store, name: &str, scopes: &[Scope]) -> SecretString {
    store.api_keys().create(name, scopes).await.expect("a new key").token
}

/// What an API, or the probes of another process, stands on.
pub fn state(settings: &Arc<Settings>, redis: perch_queue::Redis, store: Store) -> ApiState {
    let queues = Queues::new(redis.clone(), settings, perch_jobs::types()).with_ledger(Arc::new(store.clone()));
    let (client, bots) = (Client::new(queues.clone()), perch_workers::bots());
    let platform = bots.platform(settings, &store, &client).expect("valid settings");
    ApiState {
        health: Health::of_bots(redis, store.clone(), bots.clone(), settings.clone()),
        client,
        bots,
        platform: Arc::new(platform),
        queues,
        settings: settings.clone(),
        metrics: perch_base::telemetry::metrics().expect("the recorder of this process"),
        store,
    }
}

pub fn settings(vars: &[(&str, &str)]) -> Arc<Settings> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let env = [("APP_ENV", "staging"), ("PERCH__ENGINE__SHUTDOWN_GRACE", "2s")];
    let vars = env.iter().chain(vars).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Arc::new(Settings::load_from(&dir, perch_workers::bots().config_schema(), vars).expect("the shipped configuration"))
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Seen {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The id of the job in it.
    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap_or_else(|| panic!("an id in {self:?}")).to_owned()
    }

    /// Holds it against what every refusal has to be; answers its first error as field and reason, or its detail.
    pub fn problem(&self, status: u16, slug: &str) -> (String, String) {
        let body = self.json();
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(body["type"], format!("/docs#{slug}"), "{self:?}");
        assert_eq!(body["status"], status, "{self:?}");
        assert!(body["title"].is_string() && body["detail"].is_string(), "{self:?}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match body["errors"].get(0) {
            Some(error) => (text(&error["field"]), text(&error["reason"])),
            None => (String::new(), text(&body["detail"])),
        }
    }
}

pub async fn seen(request: RequestBuilder) -> Seen {
    let response: Response = request.send().await.expect("the API answers");
    let (status, headers) = (response.status(), response.headers().clone());
    Seen { status, headers, text: response.text().await.expect("the answer is text") }
}

/// Waits until `condition` holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "it never came to pass that {what}");
        pace.tick().await;
    }
}
