use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::{Classified as _, Disposition};
use perch_clients::{
    LocalLimits, WriteOutcome, XError,
    x::{CreatePost, PostsQuery},
};
use serde_json::json;
use url::Url;

use crate::{
    server::{BrokenServer, Captured, Fault, Reply, Server, closed_port},
    world::{HASTY, PATIENT, Permit, main_account, x_client, x_client_with},
};

async fn failed_post(base: &Url, timeout: Duration) -> XError {
    let x = x_client_with(base, timeout, Arc::new(LocalLimits::new()));
    let post = CreatePost { text: "hi".into(), reply_to: None, ..CreatePost::default() };
    x.create_post(Permit, &main_account(), &post).await.expect_err("a failure")
}

#[tokio::test]
async fn an_answer_that_does_not_come_leaves_the_outcome_unknown() {
    let server = BrokenServer::start(Fault::Silence).await;
    let error = failed_post(&server.base, HASTY).await;
    assert!(matches!(error, XError::Timeout { sent: true, .. }), "{error:?}");
    assert_eq!(error.write_outcome(), WriteOutcome::Unknown);
    assert_eq!(error.disposition(), Disposition::Retry);
}

#[tokio::test]
async fn a_refused_connection_means_that_nothing_was_done() {
    let error = failed_post(&closed_port().await, PATIENT).await;
    assert!(matches!(error, XError::Connect { .. }), "{error:?}");
    assert_eq!(error.write_outcome(), WriteOutcome::NotDone);
    assert_eq!(error.disposition(), Disposition::Retry);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_connection_dropped_after_the_request_leaves_the_outcome_unknown() {
    for fault in [Fault::Drop, Fault::HalfAnAnswer] {
        let server = BrokenServer::start(fault).await;
        let error = failed_post(&server.base, PATIENT).await;
        assert!(matches!(error, XError::Interrupted { .. }), "{error:?}");
        assert_eq!(error.write_outcome(), WriteOutcome::Unknown);
        assert_eq!(error.disposition(), Disposition::Retry);
    }
}

#[tokio::test]
async fn a_failing_x_is_tried_again_when_it_asks_to() {
    let server = Server::start([
        Reply::text(503, "upstream connect error").with("retry-after", &30),
        Reply::text(502, "<html>Bad Gateway</html>"),
    ])
    .await;
    let turned_away = failed_post(&server.base, PATIENT).await;
    assert_eq!(turned_away.disposition(), Disposition::RetryAfter(Duration::from_secs(30)));
    assert_eq!(turned_away.write_outcome(), WriteOutcome::NotDone);
    let broken = failed_post(&server.base, PATIENT).await;
    assert_eq!(broken.disposition(), Disposition::Retry);
    assert_eq!(broken.write_outcome(), WriteOutcome::Unknown);
}

#[tokio::test]
async fn an_answer_that_is_not_as_described_is_an_error_and_no_panic() {
    for body in ["", "<html>", "[]", "{}", r#"{"data":{"id":"abc","text":"hi"}}"#, "\u{0}"] {
        let server = Server::start([Reply::text(201, body)]).await;
        let error = failed_post(&server.base, PATIENT).await;
        assert!(matches!(error, XError::Decode { .. }), "{body}: {error:?}");
        assert_eq!(error.write_outcome(), WriteOutcome::Unknown, "{body}");
    }
}

#[tokio::test]
async fn an_oversized_answer_is_not_read_to_its_end() {
    let announced = Server::start([Reply::text(200, &" ".repeat(5 * 1024 * 1024))]).await;
    let endless = BrokenServer::start(Fault::Endless).await;
    for base in [&announced.base, &endless.base] {
        let error = x_client(base).user_posts("99", &PostsQuery::default()).await.expect_err("too large");
        assert!(matches!(error, XError::Oversized { limit: 4_194_304, .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_refusal_with_an_unreadable_body_is_still_a_refusal() {
    let server = Server::start([Reply::text(403, &"x".repeat(5 * 1024 * 1024))]).await;
    let error = failed_post(&server.base, PATIENT).await;
    assert!(matches!(error, XError::Problem { status: 403, .. }), "{error:?}");
    assert_eq!(error.write_outcome(), WriteOutcome::NotDone);
}

/// The time that a signed request states.
fn stated(request: &Captured) -> DateTime<Utc> {
    let header = request.header("authorization");
    let (_, rest) = header.split_once("oauth_timestamp=\"").expect("it is signed");
    let seconds = rest.split('"').next().and_then(|text| text.parse().ok()).expect("a time");
    DateTime::from_timestamp(seconds, 0).expect("a time")
}

#[tokio::test]
async fn a_request_that_x_refuses_for_its_time_is_sent_again_with_the_time_of_x() {
    let x_time = Utc::now() - TimeDelta::hours(1);
    let date = x_time.format("%a, %d %b %Y %H:%M:%S GMT");
    let refused = json!({ "title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized" });
    let posted = json!({ "data": { "id": "1", "text": "hi" } });
    let server =
        Server::start([Reply::json(401, &refused).with("date", &date), Reply::json(201, &posted).with("date", &date)])
            .await;
    let x = x_client_with(&server.base, PATIENT, Arc::new(LocalLimits::new()));
    let post = CreatePost { text: "hi".into(), reply_to: None, ..CreatePost::default() };
    let error = x.create_post(Permit, &main_account(), &post).await.expect_err("it is an hour off");
    assert!(matches!(error, XError::ClockOff { .. }), "{error:?}");
    assert_eq!((error.disposition(), error.write_outcome()), (Disposition::Retry, WriteOutcome::NotDone));
    assert!(error.to_string().contains("clock of this machine"), "{error}");
    x.create_post(Permit, &main_account(), &post).await.expect("it states the time of X");
    let off: Vec<TimeDelta> = server.requests().iter().map(|request| stated(request) - x_time).collect();
    assert!(off[0] > TimeDelta::minutes(59) && off[1].abs() < TimeDelta::minutes(1), "{off:?}");
}

#[tokio::test]
async fn a_refused_credential_is_no_matter_of_clocks() {
    let refused = json!({ "title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized" });
    let server = Server::start([Reply::json(401, &refused)]).await;
    let error = failed_post(&server.base, PATIENT).await;
    assert!(matches!(error, XError::Unauthorized { .. }), "{error:?}");
}
