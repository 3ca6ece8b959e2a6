use std::time::Duration;

use perch_api as api;
use perch_base::Environment;
use perch_testkit::{TestDatabase, TestRedis};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::world::{World, eventually, seen, settings, state};

#[tokio::test]
async fn a_process_with_everything_it_needs_is_alive_and_ready() {
    let world = World::start().await;
    let health = seen(world.bare(Method::GET, "/health")).await;
    assert_eq!((health.status.as_u16(), &health.json()["environment"]), (200, &json!("staging")));
    let ready = seen(world.bare(Method::GET, "/ready")).await;
    assert_eq!((ready.status.as_u16(), &ready.json()["ready"]), (200, &json!(true)));
}

#[tokio::test]
async fn a_process_without_redis_is_alive_and_says_what_it_lacks() {
    let world = World::without_redis().await;
    assert_eq!(seen(world.bare(Method::GET, "/health")).await.status, 200);
    let ready = seen(world.bare(Method::GET, "/ready")).await;
    let body = ready.json();
    assert_eq!(
        (ready.status.as_u16(), &body["redis"]["ok"], &body["postgres"]["ok"]),
        (503, &json!(false), &json!(true))
    );
    assert!(!ready.text.contains("127.0.0.1"), "{ready:?}");
}

#[tokio::test]
async fn metrics_show_the_queues_and_the_requests() {
    let world = World::start().await;
    world.enqueue(&json!({ "kind": "poll_accounts", "payload": {}, "delay_ms": 60_000 })).await;
    let metrics = world.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"), "{metrics:?}");
    for line in [
        r#"perch_queue_jobs{queue="extraction",state="delayed"} 1"#,
        r#"perch_queue_paused{queue="extraction"} 0"#,
        r#"perch_queue_oldest_seconds{queue="extraction"} 0"#,
        r#"perch_up{server="redis"} 1"#,
        r#"perch_up{server="postgres"} 1"#,
        r#"perch_sync_lag_seconds{stream="events:extraction"}"#,
        r#"perch_http_requests_total{route="/api/v1/jobs",method="POST",status="201"}"#,
        r#"perch_http_request_seconds_bucket{route="/api/v1/jobs",method="POST",le="0.001"}"#,
    ] {
        assert!(metrics.text.contains(line), "{line} is missing in\n{}", metrics.text);
    }
}

#[tokio::test]
async fn metrics_of_a_private_address_need_no_key_and_nothing_else_is_there() {
    let world = World::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("it is bound"));
    let stop = CancellationToken::new();
    let served = tokio::spawn(api::serve_metrics(listener, world.state.clone(), true, stop.clone()));
    let get = async |path: &str| {
        let response = reqwest::get(format!("{base}{path}")).await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("text"))
    };
    let (status, text) = get("/metrics").await;
    assert!(status == 200 && text.contains(r#"perch_queue_paused{queue="extraction"} 0"#), "{status} {text}");
    for path in ["/health", "/api/v1/queues", "/docs"] {
        assert_eq!(get(path).await.0, 404, "{path}");
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), served).await.expect("it stops in time").expect("it does not panic");
}

#[tokio::test]
async fn a_process_without_the_api_serves_the_probes_alone_and_names_a_missing_migration() {
    perch_base::tls::install();
    let (redis, database) = (TestRedis::claim().await, TestDatabase::empty().await);
    let state = state(&settings(&[]), redis.door(), database.store(Environment::Staging));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("it is bound"));
    let stop = CancellationToken::new();
    let served = tokio::spawn(api::serve_probes(listener, state, stop.clone()));
    let http = reqwest::Client::new();
    let get = async |path: &str| {
        let response = http.get(format!("{base}{path}")).send().await.expect("an answer");
        (response.status(), response.text().await.expect("text"))
    };
    assert_eq!(get("/health").await.0, StatusCode::OK);
    assert_eq!(get("/metrics").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(get("/api/v1/queues").await.0, StatusCode::NOT_FOUND);
    let (status, text) = get("/ready").await;
    let ready: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (status.as_u16(), &ready["postgres"]["ok"], &ready["migrations"]["ok"]),
        (503, &json!(true), &json!(false))
    );
    assert!(ready["migrations"]["detail"].as_str().is_some_and(|words| words.contains("perch migrate")), "{ready}");
    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(20), served).await.expect("it stops in time");
    ended.expect("it does not panic");
}

#[tokio::test]
async fn a_process_that_shuts_down_says_so_and_ends() {
    let world = World::start().await;
    let health = world.health.clone();
    assert!(health.readiness().await.ready);
    world.stop().await;
    eventually("it is not ready any more", || async { health.readiness().await.draining }).await;
}
