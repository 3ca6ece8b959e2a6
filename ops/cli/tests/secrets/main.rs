//! No credential is ever written down: marked ones go into every variable that takes one, everything that can go wrong
//! does, and then all that was written is searched for them.

mod dump;
mod marks;
mod outside;
#[path = "../cli/world.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest")]
mod program;
mod world;

use std::{cell::RefCell, time::Instant};

use perch_testkit::free_port;
use serde_json::{Value, json};

use marks::Written;
use program::until;
use world::{PATIENCE, SINGLE_VARIABLES, World, address, printed};

/// What the test itself puts into jobs, to see that the search reaches where jobs are written.
const CANARY: &str = "no-secret-canary";

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_is_written_anywhere_whatever_goes_wrong() {
    let mut world = World::start().await;
    let answers = RefCell::new(Written::default());
    assert_eq!(world.run(&["migrate"]), 0);
    let token = make_key(&mut world);
    let at = address();
    let mut api = world.perch(&["api", "--bind", &at]);
    api.env("PERCH__TELEMETRY__LOG_FORMAT", "text");
    let api = world.spawn_command(api, "api");
    let (worker, scheduler) =
        (world.spawn(&["worker", "--bind", &address()]), world.spawn(&["scheduler", "--bind", &address()]));
    let sandbox = world.spawn(&["sandbox", "--bind", &address()]);
    let http = Http { base: format!("http://{at}"), token, answers: &answers };
    until("the API is ready", || async { http.get("/ready").await == 200 }).await;

    enqueue(&http).await;
    until_done(&world).await;
    let seen = world.outside.seen().join("\n");
    for name in ["X_API_BEARER_TOKEN", "X_API_KEY", "X_MAIN_ACCESS_TOKEN", "GROK_API_KEY"] {
        assert!(seen.contains(world.marks.get(name)), "{name} was never sent, so nothing could come back: {seen}");
    }
    operate(&world);
    ask(&http, &world).await;
    for process in [worker, scheduler, api, sandbox] {
        process.end().await;
    }
    everything_in_one_process(&mut world).await;
    wrong_credentials(&mut world).await;
    wrong_settings(&mut world);

    let mut written = world.written().await;
    written.append(answers.take());
    for (name, text) in printed(&world) {
        written.add(format!("Debug of {name}"), text);
    }
    let header = format!("Bearer {}", world.marks.get("header for the collector"));
    assert!(world.collector.was_called_with(&header), "the collector got its header");
    for place in ["redis", "redis-files", "postgres", "output", "answers"] {
        assert!(written.holds(place, CANARY), "the search does not reach {place}: {:?}", written.places());
    }
    assert!(written.holds("traces", "extract_post") && written.holds("output", "TRACE"), "traces and logs are there");
    let leaks = world.marks.leaks(&written);
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

/// A key for the API. Its token is shown on purpose, so what the command wrote is not searched.
fn make_key(world: &mut World) -> String {
    let made = world.perch(&["keys", "create", "tester", "--scope", "enqueue,read,operate", "--json"]).output();
    let made: Value = serde_json::from_slice(&made.expect("the binary is built").stdout).expect("JSON");
    let token = made["token"].as_str().expect("a token").to_owned();
    world.marks.know("token of the API", &token);
    token
}

/// The API, and what it answers.
struct Http<'a> {
    base: String,
    token: String,
    answers: &'a RefCell<Written>,
}

impl Http<'_> {
    async fn get(&self, path: &str) -> u16 {
        self.keep(path, client().get(format!("{}{path}", self.base)).bearer_auth(&self.token)).await
    }

    async fn post(&self, path: &str, body: &Value) -> u16 {
        self.keep(path, client().post(format!("{}{path}", self.base)).bearer_auth(&self.token).json(body)).await
    }

    async fn keep(&self, name: &str, request: reqwest::RequestBuilder) -> u16 {
        let Ok(response) = request.send().await else { return 0 };
        let (status, headers) = (response.status().as_u16(), format!("{:?}", response.headers()));
        let body = response.bytes().await.expect("an answer has an end");
        self.answers.borrow_mut().add(format!("answers/{name}"), [headers.as_bytes(), &body].concat());
        status
    }
}

fn client() -> reqwest::Client {
    perch_base::tls::install();
    reqwest::Client::new()
}

/// Jobs of every kind, enough for every way in which the outside answers.
async fn enqueue(http: &Http<'_>) {
    let retry = json!({ "max_attempts": 3, "base_ms": 1, "cap_ms": 10 });
    let post = |n: usize| {
        json!({ "id": format!("18492123456789{n:05}"), "author_id": "1", "author": "a",
            "text": format!("{CANARY} {n} Lakers -3.5"), "created_at": chrono::Utc::now() })
    };
    let mut jobs = Vec::new();
    for n in 0..14 {
        let payloads = [
            ("poll_account", json!({ "username": format!("user{n}") })),
            ("extract_post", json!({ "account": "main", "post": post(n) })),
            ("publish_post", json!({ "account": "main", "text": format!("{CANARY} {n}") })),
            ("collect_metrics", json!({ "post_ids": [format!("18492123456789{n:05}")] })),
        ];
        jobs.extend(payloads.map(|(kind, payload)| json!({ "kind": kind, "payload": payload, "retry": retry })));
    }
    jobs.push(json!({ "kind": "extract_post", "payload": { "account": "main" } }));
    assert_eq!(http.post("/api/v1/jobs/batch", &json!(jobs)).await, 207, "all but the last are accepted");
}

async fn until_done(world: &World) {
    let began = Instant::now();
    let left = async |name| {
        let stats = world.queue(name).stats().await.expect("Redis answers");
        (stats.waiting() + stats.running, stats.dead)
    };
    until_within("the jobs are done or dead", || async {
        let (posts, mut left_over) = (left("pending_posts").await, 0);
        for name in ["extraction", "analytics_processing"] {
            let (waiting, dead) = left(name).await;
            left_over += waiting + u64::from(dead == 0);
        }
        // A post whose outcome nobody knows is looked for until it is found, which may take longer than this test.
        left_over == 0 && posts.1 > 0 && (posts.0 == 0 || began.elapsed() > PATIENCE / 4)
    })
    .await;
}

async fn until_within<Fut: Future<Output = bool>>(what: &str, holds: impl Fn() -> Fut) {
    let began = Instant::now();
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(50));
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what}: it did not come to that");
        pace.tick().await;
    }
}

/// Every command that looks or acts, as text and as JSON.
fn operate(world: &World) {
    let letters = world.dead();
    assert!(!letters.is_empty(), "something has died");
    for id in &letters {
        for command in [&["jobs", "show", id][..], &["dead", "show", id]] {
            world.run(command);
            world.run(&[command, &["--json"]].concat());
        }
    }
    let effects = world.effects();
    assert!(!effects.is_empty(), "something was done outside");
    for key in &effects {
        for command in [&["effects", "show", key][..], &["effects", "resolve", key, "--not-done", "--reason", CANARY]] {
            world.run(command);
            world.run(&[command, &["--json"]].concat());
        }
        world.run(&["effects", "resolve", key, "--not-done", "--reason", CANARY, "--yes"]);
    }
    let commands: [&[&str]; 35] = [
        &["queues"],
        &["jobs", "list"],
        &["jobs", "list", "--state", "dead"],
        &["jobs", "cancel", "01KAJ3Z8Q0V5N6T7R8S9W0X1Y2"],
        &["jobs", "run-now", "01KAJ3Z8Q0V5N6T7R8S9W0X1Y2"],
        &["enqueue", "poll_account", r#"{"username":7}"#],
        &["enqueue", "collect_metrics", r#"{"post_ids":["1849212345678901234"]}"#, "--in", "1h"],
        &["pause", "analytics_processing"],
        &["resume", "analytics_processing"],
        &["drain", "analytics_processing", "--timeout", "1s"],
        &["purge", "sync_to_store", "--yes"],
        &["dead", "list"],
        &["dead", "stats"],
        &["dead", "export"],
        &["dead", "replay", "--dry-run"],
        &["dead", "replay", "--limit", "2"],
        &["dead", "discard", "--limit", "1", "--yes"],
        &["workers"],
        &["tail", "--since", "1h", "--limit", "20"],
        &["cron", "list"],
        &["cron", "run", "poll_accounts"],
        &["effects", "list"],
        &["effects", "list", "--state", "unknown"],
        &["recover", "--dry-run"],
        &["recover", "--yes"],
        &["migrate"],
        &["doctor"],
        &["backup", "check"],
        &["config", "check"],
        &["config", "show"],
        &["keys", "list"],
        &["audit", "list"],
        &["openapi"],
        &["completions", "bash"],
        &["top"],
    ];
    for command in commands {
        world.run(command);
        world.run(&[command, &["--json"]].concat());
    }
}

/// Every route, and the credential of the API in every wrong place.
async fn ask(http: &Http<'_>, world: &World) {
    assert_eq!(http.get("/openapi.json").await, 200);
    let document = perch_api::openapi(&perch_workers::bots());
    let id = world.dead().pop().expect("something has died");
    for path in document.paths.paths.keys() {
        http.get(&path.replace("{id}", &id).replace("{queue}", "extraction")).await;
    }
    for path in ["/docs", "/openapi.json", "/api/v1/jobs?limit=many", "/api/v1/nowhere"] {
        http.get(path).await;
    }
    http.post("/api/v1/jobs", &json!({ "kind": "poll_account", "payload": { "username": 7 } })).await;
    let (token, path) = (http.token.clone(), format!("{}/api/v1/queues", http.base));
    let client = client();
    // What a caller puts into an address or a body may come back to it, but it must not stay here.
    for request in [
        client.get(format!("{path}?token={token}")).bearer_auth(&token),
        client.get(format!("{path}/{token}")).bearer_auth(&token),
        client.get(&path).header("x-api-key", &token),
        client.get(&path).basic_auth(&token, Some(&token)),
        client.get(&path).bearer_auth(format!("{token}x")),
        client.get(&path).header("authorization", &token),
        client.post(format!("{}/api/v1/jobs", http.base)).bearer_auth(&token).json(&json!({ "token": token })),
    ] {
        request.send().await.expect("the API answers");
    }
}

/// `perch up` in staging, with the sandbox in place of X. It shows the key of its run, and nothing else does.
async fn everything_in_one_process(world: &mut World) {
    let at = address();
    let mut up = world.perch(&["up", "--no-tui", "--bind", &at]);
    up.env("APP_ENV", "staging").env("PERCH__SANDBOX__BIND", address());
    for name in SINGLE_VARIABLES.iter().filter(|name| name.starts_with("X_")) {
        up.env_remove(name);
    }
    let up = world.spawn_command(up, "up");
    let url = format!("http://{at}");
    until("it is ready", || async { reqwest::get(format!("{url}/ready")).await.is_ok_and(|r| r.status() == 200) })
        .await;
    let shown = world.output_of("up");
    let line = shown.lines().find(|line| line.starts_with("API key")).expect("it shows its key");
    let key = line.split_whitespace().find(|word| word.starts_with("perch_")).expect("the key").to_owned();
    let client = reqwest::Client::new();
    let asked = client.get(format!("{url}/api/v1/queues")).bearer_auth(&key).send().await.expect("it answers");
    assert_eq!(asked.status(), 200);
    up.end().await;
    world.blot_out("up", &key);
    world.marks.know("key of perch up", &key);
}

/// Servers that refuse, and servers that are away.
async fn wrong_credentials(world: &mut World) {
    let wrong = world.marks.plant("a wrong password");
    let redis_urls = [
        format!("redis://perch:{wrong}@127.0.0.1:{}", world.redis.port()),
        format!("redis://{wrong}:{wrong}@127.0.0.1:{}", world.redis.port()),
        format!("redis://perch:{wrong}@127.0.0.1:{}", free_port()),
        format!("redis://perch:{wrong}@127.0.0.1:{0},redis://perch:{wrong}@127.0.0.1:{0}", free_port()),
    ];
    let mut nobody: url::Url = world.database_url.parse().expect("a URL");
    nobody.set_username("nobody_of_that_name").expect("a user");
    nobody.set_password(Some(&wrong)).expect("a password");
    let mut away = nobody.clone();
    away.set_port(Some(free_port())).expect("a port");
    for url in &redis_urls {
        for arguments in [&["queues"][..], &["doctor"], &["dead", "export"], &["queues", "--json"]] {
            let mut command = world.perch(arguments);
            command.env("REDIS_URL", url);
            assert_ne!(world.run_command(command, "redis refuses"), 0, "{arguments:?}");
        }
    }
    for url in [&nobody, &away] {
        for arguments in [&["keys", "list"][..], &["doctor"], &["migrate"], &["audit", "list", "--json"]] {
            let mut command = world.perch(arguments);
            command.env("DATABASE_URL", url.as_str());
            let code = world.run_command(command, "postgres refuses");
            // A server that trusts whoever connects from its own machine takes any name that it knows.
            assert_ne!(code, 0, "{arguments:?}");
        }
    }
    let mut worker = world.perch(&["worker", "--bind", &address()]);
    worker.env("REDIS_URL", &redis_urls[0]);
    let mut api = world.perch(&["api", "--bind", &address()]);
    api.env("DATABASE_URL", away.as_str());
    let (worker, api) = (world.spawn_command(worker, "lonely worker"), world.spawn_command(api, "lonely api"));
    let says = |name: &str, words: &str| world.errors_of(name).contains(words);
    until("both have complained", || async {
        says("lonely_worker", "unavailable") && says("lonely_api", "waiting for Postgres")
    })
    .await;
    drop((worker, api));
}

/// Credentials where they do not belong, or not as they should be.
fn wrong_settings(world: &mut World) {
    let mark = world.marks.plant("a credential in the wrong place");
    let with_user = format!("http://me:{mark}@127.0.0.1:9/");
    let cases: [(&str, &str); 17] = [
        ("REDIS_URL", &mark),
        ("DATABASE_URL", &mark),
        ("REDIS_URL", &format!("redis://me:{mark}@host:no-port")),
        ("DATABASE_URL", &format!("postgres://me:{mark}@host:no-port/db")),
        ("DATABASE_URL", &format!("postgres://me:{mark}@host/db?sslmode=nonsense")),
        ("DATABASE_URL", &format!("postgres://me:{mark}@host/db?pgbouncer=perhaps")),
        ("DATABASE_SESSION_URL", &format!("postgres://me:{mark}@host:6543/db")),
        ("PERCH__X__BASE_URL", &with_user),
        ("PERCH__MODELS__PROVIDERS__GROK__BASE_URL", &with_user),
        ("PERCH__TELEMETRY__OTLP_ENDPOINT", &with_user),
        ("PERCH__TELEMETRY__OTLP_ENDPOINT", &format!("http://127.0.0.1:9/?token={mark}")),
        ("PERCH__PICKS__RESULTS__URL", &format!("http://127.0.0.1:9/results?apiKey={mark}")),
        ("PERCH__MODELS__PROVIDERS__GROK__API_KEY_ENV", &mark),
        ("PERCH__MODELS__PROVIDERS__GROK__API_KEY", &mark),
        ("PERCH__X__BEARER_TOKEN", &mark),
        ("PERCH__REDIS__URL", &format!("redis://me:{mark}@127.0.0.1:9")),
        ("X_API_KEY", &format!("{mark}\nsecond line")),
    ];
    for (name, value) in cases {
        for arguments in [&["queues"][..], &["config", "check"], &["config", "show"], &["doctor", "--json"]] {
            let mut command = world.perch(arguments);
            command.env(name, value);
            world.run_command(command, &format!("wrong {name}"));
        }
    }
    let mut half = world.perch(&["config", "check"]);
    half.env_remove("X_API_SECRET").env("X_API_KEY", &mark);
    assert_ne!(world.run_command(half, "half a pair"), 0);
}
