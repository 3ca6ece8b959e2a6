//! The model server, as a client of OpenAI's chat completions sees it.

mod common;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::TestWorld;
use perch_sandbox::{Endpoint, Fault, FaultKind, NewPost};
use serde_json::{Value, json};

fn question(text: &str) -> Value {
    json!({
        "model": "grok-4",
        "temperature": 0,
        "messages": [
            { "role": "system", "content": "You say what you are told." },
            { "role": "user", "content": [
                { "type": "text", "text": format!("Say this.\n<say>\n{text}\n</say>") },
                { "type": "image_url", "image_url": { "url": "https://example.com/slip.png" } },
            ] },
        ],
        "response_format": { "type": "json_schema", "json_schema": { "name": "answer", "schema": { "type": "string" } } },
    })
}

async fn content(world: &TestWorld, body: &Value) -> String {
    let answer: Value = world.chat(body).send().await.expect("an answer").json().await.expect("JSON");
    answer["choices"][0]["message"]["content"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn the_actor_that_is_asked_answers_and_the_answer_counts_its_tokens() {
    let world = TestWorld::start().await;
    let answer = world.chat(&question("Twenty words or so")).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!((&answer["object"], &answer["model"]), (&json!("chat.completion"), &json!("grok-4")));
    let usage = &answer["usage"];
    let tokens = |name: &str| usage[name].as_u64().expect("a number");
    assert_eq!(tokens("total_tokens"), tokens("prompt_tokens") + tokens("completion_tokens"));
    let choice = &answer["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&json!("\"Twenty words or so\""), &json!("stop"))
    );
    assert_eq!(tokens("completion_tokens"), 5, "four characters are a token");

    let mut short = question("Twenty words or so");
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
    let answer: Value = world.chat(&question("Suns ML")).send().await.expect("an answer").json().await.expect("JSON");
    let choice = &answer["choices"][0];
    assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("content_filter"), &json!("")));
    assert_ne!(content(&world, &question("Suns ML")).await, "");
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
async fn what_stands_on_a_picture_of_the_sandbox_is_told_to_actors_whether_inline_or_by_address() {
    let world = TestWorld::start().await;
    let post = NewPost { picture: Some("Suns +4.5".into()), ..NewPost::from("My slip") };
    let address = world.url(&format!("/sandbox/media/{}.png", world.state.publish("capper", post)));
    let png = world.client.get(&address).send().await.expect("an answer").bytes().await.expect("a picture");
    for url in [format!("data:image/png;base64,{}", STANDARD.encode(png)), address] {
        let picture = json!({ "type": "image_url", "image_url": { "url": url, "detail": "high" } });
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": [picture] }] });
        assert_eq!(content(&world, &body).await, "Suns +4.5", "{url}");
    }
}

#[tokio::test]
async fn a_question_that_no_actor_answers_has_one_answer_in_the_shape_that_is_asked_for() {
    let world = TestWorld::start().await;
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
    assert_eq!(content(&world, &body).await, "Noted.");
    let schema = json!({ "type": "object", "properties": { "reply": { "type": "string" } } });
    body["response_format"] = json!({ "type": "json_schema", "json_schema": { "name": "any", "schema": schema } });
    assert_eq!(content(&world, &body).await, r#"{"reply":"Noted."}"#);
}

#[tokio::test]
async fn a_malformed_answer_cannot_be_read_and_the_next_one_can() {
    let world = TestWorld::start().await;
    world.state.add_fault(Fault::new(Endpoint::Chat, FaultKind::Malformed).times(3));
    for _ in 0..3 {
        assert_ne!(content(&world, &question("Suns ML")).await, "\"Suns ML\"");
    }
    assert_eq!(content(&world, &question("Suns ML")).await, "\"Suns ML\"");
}

#[tokio::test]
async fn a_missing_key_and_a_wrong_request_are_errors_in_the_shape_of_openai() {
    let world = TestWorld::start().await;
    let url = world.url("/v1/chat/completions");
    let keyless = world.client.post(&url).json(&question("x")).send().await.expect("an answer");
    assert_eq!(keyless.status(), 401);
    assert!(keyless.json::<Value>().await.expect("JSON")["error"]["message"].is_string());
    let with = |name: &str, value: Value| {
        let mut body = question("x");
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
        with("response_format", json!({ "type": "json_schema", "json_schema": { "name": "answer" } })),
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
    let body = question("Suns ML");
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
