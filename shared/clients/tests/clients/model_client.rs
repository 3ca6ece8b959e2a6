use std::{sync::Arc, time::Duration};

use perch_base::{Classified as _, Disposition};
use perch_clients::{
    LocalLimits, ModelClient, ModelError,
    models::{ChatRequest, Message, Part, Role},
};
use serde_json::{Value, json};

use crate::{
    server::{BrokenServer, Fault, Reply, Server, closed_port},
    world::{HASTY, MODEL_KEY, model_client, provider},
};

fn answer(content: &Value, finish: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_787_000_000, "model": "grok-4-0709",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": content }, "finish_reason": finish }],
        "usage": { "prompt_tokens": 321, "completion_tokens": 45, "total_tokens": 366 },
    })
}

fn question() -> ChatRequest {
    ChatRequest { messages: vec![Message::user("Lakers -3.5")], ..ChatRequest::default() }
}

async fn failed(reply: Reply) -> ModelError {
    let server = Server::start([reply]).await;
    model_client(&server.base).complete(&question()).await.expect_err("no answer")
}

#[tokio::test]
async fn a_question_with_picture_and_schema_is_sent_as_chat_completions_wants_it() {
    let server = Server::start([Reply::json(200, &answer(&json!("null"), "stop"))]).await;
    let schema = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    let request = ChatRequest {
        system: Some("Extract answers.".into()),
        messages: vec![Message {
            role: Role::User,
            parts: vec![Part::Text("Read the slip".into()), Part::ImageUrl("https://example.com/slip.png".into())],
        }],
        schema: Some(("answers".into(), schema.clone())),
        max_tokens: Some(800),
        temperature: Some(0.0),
    };

    let completion = model_client(&server.base).complete(&request).await.expect("an answer");

    assert_eq!(completion.text, "null");
    assert_eq!((completion.usage.prompt_tokens, completion.usage.completion_tokens), (321, 45));
    assert_eq!(completion.model, "grok-4-0709");
    let sent = server.request();
    assert_eq!(sent.uri.path(), "/v1/chat/completions");
    assert_eq!(sent.header("authorization"), format!("Bearer {MODEL_KEY}"));
    assert_eq!(
        sent.json(),
        json!({
            "model": "grok-4",
            "messages": [
                { "role": "system", "content": "Extract answers." },
                { "role": "user", "content": [
                    { "type": "text", "text": "Read the slip" },
                    { "type": "image_url", "image_url": { "url": "https://example.com/slip.png" } },
                ] },
            ],
            "response_format": { "type": "json_schema", "json_schema": { "name": "answers", "strict": true, "schema": schema } },
            "max_tokens": 800,
            "temperature": 0.0,
        })
    );
}

#[tokio::test]
async fn an_answer_without_usage_is_counted_by_its_length_and_that_of_the_question() {
    let mut bare = answer(&json!("six words that take some tokens"), "stop");
    bare.as_object_mut().expect("an object").remove("usage");
    let mut none = bare.clone();
    none["usage"] = json!({});
    for reply in [bare, none] {
        let server = Server::start([Reply::json(200, &reply)]).await;
        let completion = model_client(&server.base).complete(&question()).await.expect("an answer");
        assert_eq!(completion.usage.completion_tokens, 10);
        assert_eq!(completion.usage.prompt_tokens, question().about_tokens());
        assert!(completion.usage.prompt_tokens > 0);
    }
}

#[tokio::test]
async fn a_question_waits_no_longer_than_its_caller_may() {
    let silent = BrokenServer::start(Fault::Silence).await;
    let error = model_client(&silent.base).complete_within(HASTY, &question()).await.expect_err("silence");
    assert!(matches!(error, ModelError::Timeout { sent: true, .. }) && error.is_lost(), "{error:?}");
}

#[tokio::test]
async fn a_cut_off_answer_keeps_what_was_said() {
    let error = failed(Reply::json(200, &answer(&json!("{\"type\":\"spr"), "length"))).await;
    assert_eq!(error.disposition(), Disposition::Never);
    assert!(error.to_string().contains("45 tokens"), "{error}");
    assert_eq!(error.usage().map(|usage| usage.completion_tokens), Some(45));
    let ModelError::Truncated { text, .. } = error else { panic!("{error:?}") };
    assert_eq!(text, "{\"type\":\"spr");
}

#[tokio::test]
async fn a_model_that_declines_is_not_asked_again() {
    let mut declined = answer(&Value::Null, "stop");
    declined["choices"][0]["message"]["refusal"] = json!("I cannot help with that.");
    for reply in [declined, answer(&json!(""), "content_filter")] {
        let error = failed(Reply::json(200, &reply)).await;
        assert!(matches!(error, ModelError::Refused { .. }), "{error:?}");
        assert_eq!(error.disposition(), Disposition::Never);
    }
}

#[tokio::test]
async fn an_empty_answer_is_asked_for_again() {
    for reply in [json!({ "choices": [] }), answer(&json!("  "), "stop"), answer(&Value::Null, "stop")] {
        let error = failed(Reply::json(200, &reply)).await;
        assert!(matches!(error, ModelError::Empty { .. }), "{error:?}");
        assert_eq!(error.disposition(), Disposition::Retry);
    }
}

#[tokio::test]
async fn refusals_of_the_provider_say_what_to_mend() {
    let complaint = |message: &str, code: &str| json!({ "error": { "message": message, "code": code } });
    let key = failed(Reply::json(401, &complaint("Incorrect API key", "invalid_api_key"))).await;
    assert!(key.to_string().contains("check XAI_API_KEY"), "{key}");
    let model = failed(Reply::json(404, &complaint("The model `grok-4` does not exist", "model_not_found"))).await;
    assert!(model.to_string().contains("grok-4"), "{model}");
    let credit = failed(Reply::json(429, &complaint("You exceeded your quota", "insufficient_quota"))).await;
    assert!(matches!(credit, ModelError::QuotaExhausted { .. }), "{credit:?}");
    for error in [key, model, credit] {
        assert_eq!(error.disposition(), Disposition::Never, "{error}");
    }
}

#[tokio::test]
async fn failures_of_the_provider_are_tried_again() {
    let asked = failed(Reply::text(503, "overloaded").with("retry-after", &12)).await;
    assert_eq!(asked.disposition(), Disposition::RetryAfter(Duration::from_secs(12)));
    let silent = BrokenServer::start(Fault::Silence).await;
    let mut config = provider(&silent.base);
    config.timeout = HASTY;
    let client = ModelClient::new(config, Arc::new(LocalLimits::new())).expect("a client");
    let dropping = BrokenServer::start(Fault::Drop).await;
    let errors = [
        failed(Reply::text(500, "")).await,
        failed(Reply::text(200, "<html>")).await,
        client.complete(&question()).await.expect_err("silence"),
        model_client(&dropping.base).complete(&question()).await.expect_err("dropped"),
        model_client(&closed_port().await).complete(&question()).await.expect_err("refused"),
    ];
    for error in errors {
        assert_eq!(error.disposition(), Disposition::Retry, "{error}");
    }
}

#[tokio::test]
async fn a_missing_key_is_named_and_nothing_is_sent() {
    let server = Server::start([]).await;
    let mut config = provider(&server.base);
    config.key = None;
    let client = ModelClient::new(config, Arc::new(LocalLimits::new())).expect("a client");
    let error = client.complete(&question()).await.expect_err("no key");
    assert!(error.to_string().contains("XAI_API_KEY"), "{error}");
    assert!(server.requests().is_empty());
}
