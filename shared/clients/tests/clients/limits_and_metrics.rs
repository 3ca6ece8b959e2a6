use std::{sync::Arc, time::Duration};

use chrono::Utc;
use metrics_exporter_prometheus::PrometheusBuilder;
use perch_base::{Classified as _, Disposition};
use perch_clients::{
    LocalLimits, ModelError, RateLimits as _, XError,
    models::{ChatRequest, Message},
    x::PostsQuery,
};
use serde_json::json;

use crate::{
    server::{Reply, Server},
    world::{PATIENT, model_client, problem, timeline, x_client, x_client_with},
};

fn too_many() -> Reply {
    Reply::json(429, &problem(429, "about:blank", "Too Many Requests", "Too Many Requests"))
}

fn seconds(wait: Duration) -> u64 {
    (wait + Duration::from_millis(500)).as_secs()
}

#[tokio::test]
async fn a_429_waits_until_the_window_resets_and_holds_the_next_call_back() {
    let reset = Utc::now().timestamp() + 600;
    let reply = too_many()
        .with("x-rate-limit-limit", &900)
        .with("x-rate-limit-remaining", &0)
        .with("x-rate-limit-reset", &reset);
    let server = Server::start([reply]).await;
    let limits = Arc::new(LocalLimits::new());
    let x = x_client_with(&server.base, PATIENT, limits.clone());

    for _ in 0..2 {
        let error = x.user_posts("99", &PostsQuery::default()).await.expect_err("too many");
        let Disposition::RetryAfter(wait) = error.disposition() else { panic!("{error:?}") };
        assert!((597..=600).contains(&seconds(wait)), "{wait:?}");
    }
    assert_eq!(server.requests().len(), 1, "the second call is known to be too many");
    assert!(limits.check("x:user_posts:app").await.is_some());
    assert!(limits.check("x:posts:app").await.is_none(), "other endpoints have windows of their own");
}

#[tokio::test]
async fn the_last_call_of_a_window_is_known_to_be_the_last() {
    let reply = Reply::json(200, &timeline())
        .with("x-rate-limit-limit", &900)
        .with("x-rate-limit-remaining", &0)
        .with("x-rate-limit-reset", &(Utc::now().timestamp() + 900));
    let server = Server::start([reply]).await;
    let x = x_client(&server.base);
    x.user_posts("99", &PostsQuery::default()).await.expect("a page");
    let error = x.user_posts("99", &PostsQuery::default()).await.expect_err("held back");
    assert!(matches!(error, XError::RateLimited { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_429_that_does_not_say_how_long_or_a_time_that_is_past_waits_a_minute() {
    let past = too_many()
        .with("x-rate-limit-limit", &900)
        .with("x-rate-limit-remaining", &0)
        .with("x-rate-limit-reset", &(Utc::now().timestamp() - 5));
    for (reply, expected) in [(too_many(), 60), (too_many().with("retry-after", &7), 7), (past, 60)] {
        let server = Server::start([reply]).await;
        let error = x_client(&server.base).user_by_username("capper").await.expect_err("too many");
        assert_eq!(error.disposition(), Disposition::RetryAfter(Duration::from_secs(expected)));
    }
}

#[tokio::test]
async fn a_used_up_plan_is_not_waited_for() {
    let kind = "https://api.x.com/2/problems/usage-capped";
    let reply = Reply::json(429, &problem(429, kind, "UsageCapExceeded", "Usage cap exceeded: Monthly product cap"));
    let server = Server::start([reply]).await;
    let error = x_client(&server.base).user_by_username("capper").await.expect_err("used up");
    assert!(matches!(error, XError::UsageCapped { .. }), "{error:?}");
    assert_eq!(error.disposition(), Disposition::Never);
}

#[tokio::test]
async fn a_model_providers_429_waits_as_it_asks_and_holds_the_next_call_back() {
    let reply =
        Reply::json(429, &json!({ "error": { "message": "Rate limit reached", "code": "rate_limit_exceeded" } }))
            .with("x-ratelimit-remaining-tokens", &0)
            .with("x-ratelimit-reset-tokens", &"1m30s");
    let server = Server::start([reply]).await;
    let model = model_client(&server.base);
    let request = ChatRequest { messages: vec![Message::user("hi")], ..ChatRequest::default() };
    for _ in 0..2 {
        let error = model.complete(&request).await.expect_err("too many");
        assert!(matches!(error, ModelError::RateLimited { .. }), "{error:?}");
        let Disposition::RetryAfter(wait) = error.disposition() else { panic!("{error:?}") };
        assert!((88..=90).contains(&seconds(wait)), "{wait:?}");
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn every_call_is_counted_and_timed_by_service_endpoint_and_status() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let shown = recorder.handle();
    let guard = metrics::set_default_local_recorder(&recorder);
    let server = Server::start([Reply::json(200, &timeline()), Reply::text(503, "")]).await;
    let x = x_client(&server.base);
    x.user_posts("99", &PostsQuery::default()).await.expect("a page");
    x.user_posts("99", &PostsQuery::default()).await.expect_err("away");
    drop(guard);

    let shown = shown.render();
    for line in [
        r#"perch_client_requests_total{service="x",endpoint="user_posts",status="200"} 1"#,
        r#"perch_client_requests_total{service="x",endpoint="user_posts",status="503"} 1"#,
        r#"perch_client_request_seconds_count{service="x",endpoint="user_posts"} 2"#,
    ] {
        assert!(shown.contains(line), "{shown}");
    }
}
