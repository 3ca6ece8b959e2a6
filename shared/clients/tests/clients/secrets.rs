use std::error::Error;

use perch_clients::{
    models::{ChatRequest, Message},
    x::CreatePost,
};
use serde_json::json;

use crate::{
    server::{BrokenServer, Fault, Reply, Server, closed_port},
    world::{
        BEARER, CONSUMER_KEY, CONSUMER_SECRET, MODEL_KEY, PATIENT, Permit, TOKEN, TOKEN_SECRET, main_account,
        model_client, problem, provider, x_client, x_config,
    },
};

fn assert_no_secret(text: &str) {
    for secret in [BEARER, CONSUMER_KEY, CONSUMER_SECRET, TOKEN, TOKEN_SECRET, MODEL_KEY] {
        assert!(!text.contains(secret), "{secret} is in: {text}");
    }
}

fn assert_error_without_secret(error: &dyn Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        assert_no_secret(&format!("{error} {error:?} {error:#?}"));
        next = error.source();
    }
}

#[tokio::test]
async fn clients_and_their_configuration_can_be_printed() {
    let base = closed_port().await;
    assert_no_secret(&format!("{:?} {:#?}", x_client(&base), x_config(&base, PATIENT)));
    assert_no_secret(&format!("{:?} {:#?}", model_client(&base), provider(&base)));
}

#[tokio::test]
async fn a_service_that_sends_the_credentials_back_does_not_get_them_into_an_error() {
    let echo = format!("bad credentials: Bearer {BEARER}, {CONSUMER_KEY} {TOKEN} {TOKEN_SECRET}");
    let refusal = problem(401, &echo, &echo, &echo);
    let wrong_type = json!({ "data": echo });
    let x_server = Server::start(
        [401, 403, 400, 404]
            .map(|status| Reply::json(status, &refusal))
            .into_iter()
            .chain([Reply::json(200, &wrong_type), Reply::json(200, &json!({ "errors": [refusal] }))]),
    )
    .await;
    let x = x_client(&x_server.base);
    for _ in 0..6 {
        assert_error_without_secret(&x.user_by_username("capper").await.expect_err("a refusal"));
    }

    let echo = format!("bad credentials: Bearer {MODEL_KEY}");
    let complaint = json!({ "error": { "message": echo } });
    let model_server = Server::start([401, 400].map(|status| Reply::json(status, &complaint)).into_iter().chain([
        Reply::json(200, &json!({ "choices": echo })),
        Reply::json(200, &json!({ "choices": [{ "message": { "refusal": echo } }] })),
    ]))
    .await;
    let model = model_client(&model_server.base);
    let request = ChatRequest { messages: vec![Message::user("hi")], ..ChatRequest::default() };
    for _ in 0..4 {
        assert_error_without_secret(&model.complete(&request).await.expect_err("a refusal"));
    }
}

#[tokio::test]
async fn a_broken_connection_does_not_bring_credentials_into_an_error() {
    let dropping = BrokenServer::start(Fault::Drop).await;
    let post = CreatePost { text: "hi".into(), reply_to: None, ..CreatePost::default() };
    for base in [dropping.base.clone(), closed_port().await] {
        let x = x_client(&base);
        assert_error_without_secret(&x.create_post(Permit, &main_account(), &post).await.expect_err("broken"));
        assert_error_without_secret(&x.user_by_username("capper").await.expect_err("broken"));
    }
}

#[tokio::test]
async fn a_model_that_repeats_its_key_in_an_answer_does_not_get_it_into_what_is_kept() {
    let words = format!("your header was Bearer {MODEL_KEY}");
    let answer = json!({ "choices": [{ "message": { "content": words }, "finish_reason": "stop" }] });
    let server = Server::start([Reply::json(200, &answer)]).await;
    let request = ChatRequest { messages: vec![Message::user("hi")], ..ChatRequest::default() };
    let completion = model_client(&server.base).complete(&request).await.expect("an answer");
    assert_eq!(completion.text, "your header was Bearer [secret]");
}
