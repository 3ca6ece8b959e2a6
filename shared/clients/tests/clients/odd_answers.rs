//! Real answers of services that differ from their API descriptions.

use std::time::Duration;

use chrono::Utc;
use perch_base::{Classified as _, Disposition};
use perch_clients::{
    ModelError, XError,
    models::{ChatRequest, Message},
    x::{CreatePost, PostsQuery},
};
use serde_json::{Value, json};

use crate::{
    server::{Captured, Reply, Server},
    world::{Permit, main_account, model_client, x_client},
};

fn question() -> ChatRequest {
    ChatRequest {
        messages: vec![Message::user("Lakers -3.5")],
        max_tokens: Some(200),
        temperature: Some(0.5),
        ..ChatRequest::default()
    }
}

fn said(content: &Value) -> Value {
    json!({
        "id": "c1", "object": "chat.completion", "model": "m",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": content }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70 },
    })
}

async fn failed(reply: Reply) -> ModelError {
    let server = Server::start([reply]).await;
    model_client(&server.base).complete(&question()).await.expect_err("no answer")
}

#[tokio::test]
async fn what_a_model_thinks_before_it_answers_is_no_part_of_its_answer() {
    let server = Server::start([Reply::text(200, include_str!("../faults/01-think-in-reply.json"))]).await;
    let completion = model_client(&server.base).complete(&question()).await.expect("an answer");
    assert_eq!(completion.text, "Good question, friend.");
    assert_eq!(completion.usage.completion_tokens, 20, "what it thought is paid for");
}

#[tokio::test]
async fn a_model_that_only_thinks_has_not_answered() {
    let error = failed(Reply::json(200, &said(&json!("<think>The user wants an explanation, so")))).await;
    assert!(matches!(error, ModelError::Empty { .. }), "{error:?}");
}

#[tokio::test]
async fn a_model_that_does_not_take_a_parameter_is_asked_again_without_it_and_from_then_on() {
    let refused = || Reply::text(400, include_str!("../faults/04-openai-gpt5-400.json"));
    let temperature = json!({ "error": {
        "message": "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.",
        "type": "invalid_request_error", "param": "temperature", "code": "unsupported_value" } });
    let answer = || Reply::json(200, &said(&json!("fine")));
    let server = Server::start([refused(), Reply::json(400, &temperature), answer(), answer()]).await;
    let model = model_client(&server.base);
    for _ in 0..2 {
        assert_eq!(model.complete(&question()).await.expect("an answer").text, "fine");
    }
    let sent: Vec<(Value, Value, Value)> = server
        .requests()
        .iter()
        .map(Captured::json)
        .map(|body| (body["max_tokens"].clone(), body["max_completion_tokens"].clone(), body["temperature"].clone()))
        .collect();
    assert_eq!(
        sent,
        [
            (json!(200), json!(null), json!(0.5)),
            (json!(null), json!(200), json!(0.5)),
            (json!(null), json!(200), json!(null)),
            (json!(null), json!(200), json!(null)),
        ]
    );
}

#[tokio::test]
async fn a_429_that_says_there_is_no_credit_is_no_rate_limit() {
    let error = failed(Reply::text(429, include_str!("../faults/10-xai-no-credit-429.json"))).await;
    assert!(matches!(error, ModelError::QuotaExhausted { .. }), "{error:?}");
    assert_eq!(error.disposition(), Disposition::Never);
    assert!(error.to_string().contains("purchase more credits"), "{error}");
}

#[tokio::test]
async fn an_error_inside_a_200_is_told_in_the_providers_words_and_classified_by_its_code() {
    let limited = failed(Reply::text(200, include_str!("../faults/13-error-in-200.json"))).await;
    assert!(matches!(limited, ModelError::RateLimited { .. }), "{limited:?}");
    assert!(limited.to_string().contains("Provider returned error: Too Many Requests"), "{limited}");
    let inside = |code: Value| Reply::json(200, &json!({ "choices": [], "error": { "message": "out", "code": code } }));
    assert!(matches!(failed(inside(json!(402))).await, ModelError::QuotaExhausted { .. }));
    assert!(matches!(failed(inside(json!("503"))).await, ModelError::Server { status: 503, .. }));
    assert!(matches!(failed(inside(json!(401))).await, ModelError::Unauthorized { .. }));
    let unnamed = failed(inside(Value::Null)).await;
    assert_eq!(unnamed.disposition(), Disposition::Retry);
    assert!(unnamed.to_string().contains("out"), "{unnamed}");
}

#[tokio::test]
async fn an_answer_whose_tokens_are_counted_oddly_is_used() {
    let server = Server::start([Reply::text(200, include_str!("../faults/12-usage-odd.json"))]).await;
    let completion = model_client(&server.base).complete(&question()).await.expect("an answer");
    assert_eq!((completion.text.as_str(), completion.usage.completion_tokens), ("null", 3));
    assert_eq!(completion.usage.prompt_tokens, question().about_tokens());
    for (usage, expected) in [
        (json!(null), None),
        (json!("free"), None),
        (json!({ "prompt_tokens": 7.6, "completion_tokens": "12" }), Some((8, 12))),
        (json!({ "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 415 }), Some((10, 405))),
        (json!({ "prompt_tokens": -3, "completion_tokens": 1e300 }), None),
    ] {
        let mut answer = said(&json!("some words"));
        answer["usage"] = usage.clone();
        let server = Server::start([Reply::json(200, &answer)]).await;
        let used = model_client(&server.base).complete(&question()).await.expect("an answer").usage;
        let expected = expected.unwrap_or((question().about_tokens(), 3));
        assert_eq!((used.prompt_tokens, used.completion_tokens), expected, "{usage}");
    }
}

#[tokio::test]
async fn an_answer_in_parts_is_read_without_what_the_model_thought() {
    let parts = json!([
        { "type": "thinking", "thinking": [{ "type": "text", "text": "Hm." }] },
        { "type": "text", "text": "Tailing " }, "it", { "type": "output_text", "text": "." }, null, 7,
    ]);
    let server = Server::start([Reply::json(200, &said(&parts))]).await;
    assert_eq!(model_client(&server.base).complete(&question()).await.expect("an answer").text, "Tailing it.");
}

/// The refusal of the file, with its times.
fn refusal(reset: i64, day: Option<i64>) -> Reply {
    let text = include_str!("../faults/06-x-429-past-reset.http");
    let (head, body) = text.split_once("\n\n").expect("a head and a body");
    let now = Utc::now().timestamp();
    let mut reply = Reply::text(429, body);
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").expect("a header");
        let value = match value {
            "<now - 30>" => (now + reset).to_string(),
            "<now + 72000>" => (now + day.unwrap_or_default()).to_string(),
            value => value.to_owned(),
        };
        if day.is_some() || !name.contains("24hour") {
            reply = reply.with(Box::leak(name.to_owned().into_boxed_str()), &value);
        }
    }
    reply
}

fn wait(error: &XError) -> u64 {
    let Disposition::RetryAfter(wait) = error.disposition() else { panic!("{error:?}") };
    (wait + Duration::from_millis(500)).as_secs()
}

#[tokio::test]
async fn a_limit_of_a_day_that_is_used_up_counts_before_a_window_that_is_not() {
    let server = Server::start([refusal(-30, Some(72_000))]).await;
    let x = x_client(&server.base);
    let post = CreatePost { text: "hi".into(), reply_to: None, ..CreatePost::default() };
    for _ in 0..2 {
        let error = x.create_post(Permit, &main_account(), &post).await.expect_err("too many");
        assert!((71_990..=72_000).contains(&wait(&error)), "{error:?}");
    }
    assert_eq!(server.requests().len(), 1, "the second call is known to be too many");
}

#[tokio::test]
async fn a_refusal_whose_reset_is_past_is_waited_for_as_one_that_says_nothing() {
    let server = Server::start([refusal(-30, None)]).await;
    let post = CreatePost { text: "hi".into(), reply_to: None, ..CreatePost::default() };
    let error = x_client(&server.base).create_post(Permit, &main_account(), &post).await.expect_err("too many");
    assert_eq!(wait(&error), 60);
}

#[tokio::test]
async fn one_odd_post_of_a_page_keeps_no_other_from_being_read() {
    let server = Server::start([Reply::text(200, include_str!("../faults/07-x-page-one-odd-post.json"))]).await;
    let page = x_client(&server.base).user_posts("42", &PostsQuery::default()).await.expect("a page");
    let read: Vec<&str> = page.data.iter().map(|post| post.id.as_str()).collect();
    assert!(read.contains(&"2150000000000000003"), "{read:?}");
}
