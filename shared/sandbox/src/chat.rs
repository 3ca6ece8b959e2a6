//! The model server: OpenAI's chat completions. Picks are read out of posts by rules; whoever asks for a reply gets one.

mod complete;
mod reply;
mod wire;

pub(crate) use complete::routes;

use axum::{
    Json,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use perch_bot_picks::rules::read;
use perch_jobs::Answer;
use serde_json::{Value, json};

use crate::{Endpoint, SandboxState, picture, state::Inner};
use wire::{ChatQuestion, Ending, completion};

/// The key of a request, unless it is none or `bad`.
pub(crate) fn key(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::trim).filter(|key| !key.is_empty() && *key != "bad")
}

/// An error in OpenAI's shape.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    complaint(status, code, message, None)
}

fn complaint(status: StatusCode, code: &str, message: &str, parameter: Option<&str>) -> Response {
    let kind = if status.is_server_error() { "server_error" } else { "invalid_request_error" };
    let body = json!({ "error": { "message": message, "type": kind, "param": parameter, "code": code } });
    (status, Json(body)).into_response()
}

/// What it says. A schema with the name `picks`, or a post between `<post>` and `</post>`, asks for the picks of that post;
/// everything else asks for a reply to the last message.
fn answer(asked: &ChatQuestion, inner: &Inner) -> String {
    let marked = asked.said().rev().find_map(|text| between(text, "post"));
    let wants_picks = marked.is_some() || asked.schema_name() == Some("picks");
    if wants_picks {
        let last = asked.said().next_back().unwrap_or_default();
        // A model understands more than the rules are sure of.
        let answer = match read(marked.unwrap_or(last)).likely {
            Answer::Nothing(()) => pictured(asked, inner),
            answer => answer,
        };
        return wrapped(serde_json::to_value(answer).unwrap_or(Value::Null), asked.schema()).to_string();
    }
    let attempt = asked.said().count() as u64;
    let text = asked.said().rev().find_map(|text| between(text, "mention")).or(asked.said().next_back());
    let reply = reply::to(text.unwrap_or_default(), inner.seed.wrapping_add(attempt));
    match asked.schema() {
        Some(schema) => reply::in_shape(schema, &reply).to_string(),
        None => reply,
    }
}

/// The text between the lines `<mark>` and `</mark>`.
fn between<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    let (_, after) = text.split_once(&format!("<{mark}>"))?;
    let (inside, _) = after.rsplit_once(&format!("</{mark}>"))?;
    Some(inside.trim_matches(['\n', '\r']))
}

/// What stands on the pictures: of those that the sandbox drew, inline or by address. Others say nothing to it.
fn pictured(asked: &ChatQuestion, inner: &Inner) -> Answer {
    let texts = asked.pictures().filter_map(|picture| match picture {
        wire::Picture::Inline(bytes) => picture::read(bytes),
        wire::Picture::At(url) => inner.drawn(url.rsplit_once("/sandbox/media/")?.1),
    });
    texts.map(|text| read(&text).likely).find(|answer| *answer != Answer::Nothing(())).unwrap_or(Answer::Nothing(()))
}

/// OpenAI's strict schemas have an object at the root. Where the schema asks for an object of one property, the answer
/// goes into it.
fn wrapped(answer: Value, schema: Option<&Value>) -> Value {
    let properties = schema.and_then(|schema| schema["properties"].as_object());
    match properties.map(|p| p.keys().collect::<Vec<_>>()).as_deref() {
        Some([only]) => json!({ *only: answer }),
        _ => answer,
    }
}

/// A completion whose content cannot be used: prose, then JSON that is cut, then JSON of another shape, in turn.
pub(crate) fn malformed(state: &SandboxState) -> Response {
    let content = match state.calls(Endpoint::Chat) % 3 {
        0 => "Sure! The author seems to like the home side tonight, with a medium stake.",
        1 => r#"{"type":"spread","sport":"nba","event":null,"selection":"Los Ang"#,
        _ => r#"{"type":"spread","team":"Lakers","line":"minus three and a half"}"#,
    };
    completion(&ChatQuestion::nothing(), content, Ending::Stop)
}

/// A completion that the provider's own filter has ended.
pub(crate) fn filtered() -> Response {
    completion(&ChatQuestion::nothing(), "", Ending::Filtered)
}

/// What xAI says when the credit of a team is used up: a 429 that no time mends.
pub(crate) fn no_credit() -> Response {
    let body = json!({
        "code": "Some resource has been exhausted",
        "error": "Your team has either used all available credits or reached its monthly spending limit. To continue making \
                  API requests, please purchase more credits or raise your spending limit.",
    });
    (StatusCode::TOO_MANY_REQUESTS, Json(body)).into_response()
}

/// An error where the status says that all is well.
pub(crate) fn error_inside() -> Response {
    let error = json!({ "message": "Provider returned error", "code": 503, "metadata": { "raw": "overloaded" } });
    Json(json!({ "id": null, "choices": null, "usage": null, "error": error })).into_response()
}

/// Puts a block of reasoning before what is said.
pub(crate) fn think_aloud(answer: &mut Value) {
    if let Some(said) = answer.pointer_mut("/choices/0/message/content")
        && let Some(text) = said.as_str()
    {
        *said = format!("<think>\nThe user wants an answer; {{\"answer\": null}} is none.\n</think>\n\n{text}").into();
    }
}

/// Says the same in parts, and counts tokens oddly.
pub(crate) fn make_odd(answer: &mut Value) {
    answer["usage"] = json!({ "prompt_tokens": null, "completion_tokens": 3.5, "total_tokens": "7" });
    if let Some(said) = answer.pointer_mut("/choices/0/message/content")
        && let Some(text) = said.as_str().map(str::to_owned)
    {
        *said = json!([{ "type": "thinking", "thinking": "An answer." }, { "type": "text", "text": text }]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewPost, SandboxOptions};

    fn told(body: &Value) -> String {
        let state = SandboxState::new(&SandboxOptions::default()).expect("a state");
        told_by(&state, body)
    }

    fn told_by(state: &SandboxState, body: &Value) -> String {
        let asked = ChatQuestion::read(body.to_string().as_bytes()).unwrap_or_else(|c| panic!("{}", c.message));
        answer(&asked, &state.lock())
    }

    fn schema(name: &str, properties: &Value) -> Value {
        let schema = json!({ "type": "object", "properties": properties });
        json!({ "type": "json_schema", "json_schema": { "name": name, "schema": schema } })
    }

    #[test]
    fn the_marked_post_is_read_and_nothing_around_it() {
        let content =
            "Read the picks. Example: Celtics ML -145.\n<post>\nLakers -3.5 (-110) 2u\n</post>\nAnswer in JSON.";
        let told = told(&json!({ "model": "m", "messages": [
            { "role": "user", "content": content },
            { "role": "assistant", "content": "no JSON" },
            { "role": "user", "content": "That was not JSON. Answer again." },
        ] }));
        let told: Value = serde_json::from_str(&told).expect("the answer is JSON");
        assert_eq!(told["selection"], "Los Angeles Lakers");
    }

    #[test]
    fn the_mention_gets_the_reply_and_the_same_mention_the_same_one() {
        let asked = |mention: &str, persona: &str| {
            json!({ "model": "m", "messages": [
                { "role": "system", "content": persona },
                { "role": "user", "content": format!("<conversation>\nx: Suns ML\n</conversation>\n<mention>\n{mention}\n</mention>") },
            ] })
        };
        let first = told(&asked("@bot who do you like?", "You are Perch."));
        assert_eq!(first, told(&asked("@bot who do you like?", "You are Perch.")));
        assert_ne!(first, told(&asked("@bot thank you!", "You are Perch.")));
        assert!(first.len() < 200 && !first.starts_with('{'), "{first}");
    }

    #[test]
    fn one_who_objects_gets_another_reply() {
        let first = json!({ "role": "user", "content": "<mention>\n@bot thoughts?\n</mention>" });
        let once = told(&json!({ "model": "m", "messages": [first] }));
        let again = told(&json!({ "model": "m", "messages": [
            first, { "role": "assistant", "content": once }, { "role": "user", "content": "That cannot be posted." },
        ] }));
        assert_ne!(once, again);
    }

    #[test]
    fn a_reply_that_is_asked_for_by_a_schema_comes_in_its_shape() {
        let properties = json!({ "reply": { "type": "string" }, "confident": { "type": "boolean" } });
        let told = told(&json!({
            "model": "m",
            "messages": [{ "role": "user", "content": "<mention>\n@bot hi\n</mention>" }],
            "response_format": schema("reply", &properties),
        }));
        let told: Value = serde_json::from_str(&told).expect("JSON");
        assert!(
            told["reply"].as_str().is_some_and(|reply| reply.len() > 5) && told["confident"].is_boolean(),
            "{told}"
        );
    }

    #[test]
    fn a_schema_with_one_property_at_the_root_is_filled() {
        let told = told(&json!({
            "model": "m",
            "messages": [{ "role": "user", "content": [
                { "type": "text", "text": "<post>\ngood morning\n</post>" },
                { "type": "image_url", "image_url": { "url": "https://example.com/slip.png" } },
            ] }],
            "response_format": schema("picks", &json!({ "answer": {} })),
        }));
        assert_eq!(told, r#"{"answer":null}"#);
    }

    #[test]
    fn what_stands_on_a_picture_of_the_sandbox_is_read_inline_and_by_its_address() {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let state = SandboxState::new(&SandboxOptions::default()).expect("a state");
        let id = state.publish("capper", NewPost { picture: Some("Suns +4.5".into()), ..NewPost::from("My slip") });
        let inline = format!("data:image/png;base64,{}", STANDARD.encode(picture::draw("Suns +4.5")));
        for url in [inline, format!("http://127.0.0.1:8090/sandbox/media/{id}.png")] {
            let told = told_by(
                &state,
                &json!({ "model": "m", "messages": [{ "role": "user", "content": [
                    { "type": "text", "text": "<post>\nMy slip\n</post>" },
                    { "type": "image_url", "image_url": { "url": url, "detail": "high" } },
                ] }] }),
            );
            let told: Value = serde_json::from_str(&told).expect("JSON");
            assert_eq!((&told["selection"], &told["line"]), (&json!("Phoenix Suns"), &json!(4.5)), "{url}");
        }
    }
}
