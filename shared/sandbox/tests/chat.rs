//! The model server, as a client of OpenAI's chat completions sees it.

mod common;

use common::TestWorld;
use perch_jobs::{Answer, PickKind};
use perch_sandbox::{Endpoint, Fault, FaultKind};
use serde_json::{Value, json};

fn extraction(post: &str) -> Value {
    json!({
        "model": "grok-4",
        "temperature": 0,
        "messages": [
            { "role": "system", "content": "You read betting picks." },
            { "role": "user", "content": [
                { "type": "text", "text": format!("Read the picks.\n<post>\n{post}\n</post>") },
                { "type": "image_url", "image_url": { "url": "https://example.com/slip.png" } },
            ] },
        ],
        "response_format": { "type": "json_schema", "json_schema": { "name": "answer", "schema": { "anyOf": [] } } },
    })
}

async fn content(world: &TestWorld, body: &Value) -> String {
    let answer: Value = world.chat(body).send().await.expect("an answer").json().await.expect("JSON");
    answer["choices"][0]["message"]["content"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn a_post_comes_back_as_a_valid_answer_with_its_tokens_counted() {
    let world = TestWorld::start().await;
    let answer = world.chat(&extraction("Lakers -3.5 (-110) 2u")).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!((&answer["object"], &answer["model"]), (&json!("chat.completion"), &json!("grok-4")));
    let usage = &answer["usage"];
    let tokens = |name: &str| usage[name].as_u64().expect("a number");
    assert_eq!(tokens("total_tokens"), tokens("prompt_tokens") + tokens("completion_tokens"));
    let content = answer["choices"][0]["message"]["content"].as_str().expect("a text");
    let Ok(Answer::One(pick)) = Answer::parse(content) else { panic!("{content} is one pick") };
    assert_eq!((pick.kind, pick.line, pick.units), (PickKind::Spread, Some(-3.5), Some(2.0)));
}

#[tokio::test]
async fn a_mention_gets_a_reply_of_a_readers_length_that_counts_its_tokens() {
    let world = TestWorld::start().await;
    let body = json!({
        "model": "llama",
        "temperature": 0.8,
        "messages": [
            { "role": "system", "content": "You are Perch, a friendly regular." },
            { "role": "user", "content": "<mention>\n@perch_bot who do you like in Lakers vs Celtics?\n</mention>" },
        ],
    });
    let answer: Value = world.chat(&body).send().await.expect("an answer").json().await.expect("JSON");
    let choice = &answer["choices"][0];
    let reply = choice["message"]["content"].as_str().expect("a text");
    assert!((20..240).contains(&reply.len()) && choice["finish_reason"] == "stop", "{answer}");
    assert_eq!(answer["usage"]["completion_tokens"], reply.chars().count().div_ceil(4));
    assert_eq!(content(&world, &body).await, reply, "the same question has the same answer");

    let mut short = body.clone();
    short["max_tokens"] = 3.into();
    let cut: Value = world.chat(&short).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(
        (&cut["choices"][0]["finish_reason"], &cut["usage"]["completion_tokens"]),
        (&json!("length"), &json!(3))
    );
}

#[tokio::test]
async fn a_content_filter_ends_the_answer_before_it_begins() {
    let world = TestWorld::start().await;
    assert_eq!(
        world
            .fault(&json!({ "endpoint": "chat", "kind": "content_filter", "times": 1 }))
            .send()
            .await
            .expect("it")
            .status(),
        201
    );
    let answer: Value = world.chat(&extraction("Suns ML")).send().await.expect("an answer").json().await.expect("JSON");
    let choice = &answer["choices"][0];
    assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("content_filter"), &json!("")));
    assert_ne!(content(&world, &extraction("Suns ML")).await, "");
}

#[tokio::test]
async fn pictures_are_taken_inline_and_by_address_and_count_as_tokens() {
    let world = TestWorld::start().await;
    let asked = |url: &str| {
        json!({ "model": "m", "messages": [{ "role": "user", "content": [
            { "type": "text", "text": "<post>\nhello\n</post>" }, { "type": "image_url", "image_url": { "url": url } },
        ] }] })
    };
    for url in ["https://example.com/slip.png", "data:image/jpeg;base64,/9j/4AAQ"] {
        let answer: Value = world.chat(&asked(url)).send().await.expect("an answer").json().await.expect("JSON");
        assert!(answer["usage"]["prompt_tokens"].as_u64() > Some(85), "{answer}");
    }
    for url in [
        "ftp://example.com/a.png",
        "slip.png",
        "data:text/plain;base64,aGk=",
        "data:image/png;base64,*",
        "data:image/png,hi",
    ] {
        let answer = world.chat(&asked(url)).send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "{url}");
        let code = answer.json::<Value>().await.expect("JSON")["error"]["code"].clone();
        assert!(code.as_str().is_some_and(|code| code.starts_with("invalid_image")), "{url}: {code}");
    }
}

#[tokio::test]
async fn chatter_comes_back_as_null() {
    let world = TestWorld::start().await;
    assert_eq!(content(&world, &extraction("Good morning everyone")).await, "null");
}

#[tokio::test]
async fn a_malformed_answer_cannot_be_read_and_the_next_one_can() {
    let world = TestWorld::start().await;
    world.state.add_fault(Fault::new(Endpoint::Chat, FaultKind::Malformed).times(3));
    for _ in 0..3 {
        let broken = content(&world, &extraction("Lakers -3.5")).await;
        assert!(Answer::parse(&broken).is_err(), "{broken}");
    }
    assert!(Answer::parse(&content(&world, &extraction("Lakers -3.5")).await).is_ok());
}

#[tokio::test]
async fn a_missing_key_and_a_wrong_request_are_errors_in_the_shape_of_openai() {
    let world = TestWorld::start().await;
    let url = world.url("/v1/chat/completions");
    let keyless = world.client.post(&url).json(&extraction("x")).send().await.expect("an answer");
    assert_eq!(keyless.status(), 401);
    assert!(keyless.json::<Value>().await.expect("JSON")["error"]["message"].is_string());
    let with = |name: &str, value: Value| {
        let mut body = extraction("x");
        body[name] = value;
        body
    };
    for body in [
        json!({ "model": "m" }),
        json!({ "model": "m", "messages": [] }),
        json!({ "messages": "hello" }),
        with("stream", json!(true)),
        with("temperature", json!(3)),
        with("max_tokens", json!(0)),
        with("response_format", json!({ "type": "xml" })),
        with("response_format", json!({ "type": "json_schema", "json_schema": { "name": "a name", "schema": {} } })),
        with("response_format", json!({ "type": "json_schema", "json_schema": { "name": "picks" } })),
    ] {
        assert_eq!(world.chat(&body).send().await.expect("an answer").status(), 400, "{body}");
    }
}

#[tokio::test]
async fn a_model_that_reasons_takes_neither_max_tokens_nor_a_temperature_and_names_the_parameter() {
    let world = TestWorld::start().await;
    let asked = |model: &str, name: &str, value: Value| {
        let mut body = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] });
        body[name] = value;
        body
    };
    for (model, name, value) in [
        ("gpt-6-luna", "max_tokens", json!(50)),
        ("gpt-6-luna", "temperature", json!(0.0)),
        ("gpt-4o-mini", "reasoning_effort", json!("low")),
    ] {
        let answer = world.chat(&asked(model, name, value)).send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "{name}");
        let complaint: Value = answer.json().await.expect("JSON");
        assert_eq!(complaint["error"]["param"], name, "{complaint}");
    }
    for (model, name, value) in [
        ("gpt-6-luna", "max_completion_tokens", json!(50)),
        ("gpt-6-luna", "temperature", json!(1)),
        ("gpt-6-luna", "reasoning_effort", json!("none")),
        ("llama", "max_tokens", json!(50)),
    ] {
        assert_eq!(world.chat(&asked(model, name, value)).send().await.expect("an answer").status(), 200, "{name}");
    }
}

#[tokio::test]
async fn answers_that_models_really_gave_are_given_on_demand() {
    let world = TestWorld::start().await;
    let body = extraction("Suns ML");
    let struck = async |kind: FaultKind| {
        world.state.add_fault(Fault::new(Endpoint::Chat, kind).times(1));
        let answer = world.chat(&body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    let (_, aloud) = struck(FaultKind::ThinksAloud).await;
    assert!(
        aloud["choices"][0]["message"]["content"].as_str().is_some_and(|said| said.starts_with("<think>")),
        "{aloud}"
    );
    let (_, odd) = struck(FaultKind::OddUsage).await;
    assert!(odd["choices"][0]["message"]["content"].is_array() && odd["usage"]["prompt_tokens"].is_null(), "{odd}");
    let (status, no_credit) = struck(FaultKind::NoCredit).await;
    assert!(status == 429 && no_credit["error"].as_str().is_some_and(|said| said.contains("credits")), "{no_credit}");
    let (status, inside) = struck(FaultKind::ErrorInside).await;
    assert_eq!((status, &inside["error"]["code"]), (200, &json!(503)));
}
