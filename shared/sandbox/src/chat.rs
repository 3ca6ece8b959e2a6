//! The model server: OpenAI's chat completions, answered by rules over the text.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use chrono::Utc;
use perch_picks::rules::extract;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Endpoint, SandboxState, draw::Draw, guard::guarded, sandbox::App};

/// Pictures come inline, so requests may be large.
const LARGEST_BODY: usize = 25 * 1024 * 1024;

/// The chat endpoint.
pub(crate) fn routes(app: &App) -> Router {
    Router::new()
        .route("/v1/chat/completions", guarded(app, Endpoint::Chat, post(complete)))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(app.clone())
}

/// The key of a request, unless it is none or `bad`.
pub(crate) fn key(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::trim).filter(|key| !key.is_empty() && *key != "bad")
}

/// An error in OpenAI's shape.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let kind = if status.is_server_error() { "server_error" } else { "invalid_request_error" };
    let body = json!({ "error": { "message": message, "type": kind, "param": null, "code": code } });
    (status, Json(body)).into_response()
}

#[derive(Deserialize)]
struct Completion {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    response_format: Option<Value>,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Content,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
    #[default]
    None,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part {
    Text {
        text: String,
    },
    ImageUrl {
        #[serde(rename = "image_url")]
        _image: Value,
    },
}

impl Message {
    fn text(&self) -> String {
        match &self.content {
            Content::Text(text) => text.clone(),
            Content::None => String::new(),
            Content::Parts(parts) => {
                let texts = parts.iter().filter_map(|part| match part {
                    Part::Text { text } => Some(text.as_str()),
                    Part::ImageUrl { .. } => None,
                });
                texts.collect::<Vec<_>>().join("\n")
            }
        }
    }
}

async fn complete(State(_app): State<App>, bytes: Bytes) -> Response {
    let request: Completion = match serde_json::from_slice(&bytes) {
        Ok(request) => request,
        Err(wrong) => return error(StatusCode::BAD_REQUEST, "invalid_request", &wrong.to_string()),
    };
    if request.messages.is_empty() {
        return error(StatusCode::BAD_REQUEST, "invalid_request", "messages must not be empty");
    }
    if request.stream {
        return error(StatusCode::BAD_REQUEST, "unsupported_value", "this server does not stream; leave stream out");
    }
    let prompt: String = request.messages.iter().map(Message::text).collect::<Vec<_>>().join("\n");
    completion(&request.model, &prompt, &answer(&request))
}

/// The completion in OpenAI's shape. Four characters count as a token.
fn completion(model: &str, prompt: &str, content: &str) -> Response {
    let tokens = |text: &str| text.chars().count().div_ceil(4);
    let (asked, answered) = (tokens(prompt), tokens(content));
    let id = Draw::of(7, prompt, answered as u64).next();
    Json(json!({
        "id": format!("chatcmpl-{id:016x}"),
        "object": "chat.completion",
        "created": Utc::now().timestamp(),
        "model": model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": content, "refusal": null },
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": { "prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered },
    }))
    .into_response()
}

fn answer(request: &Completion) -> String {
    let said: Vec<String> = request.messages.iter().filter(|m| m.role == "user").map(Message::text).collect();
    let marked = said.iter().rev().find_map(|text| marked_post(text));
    let last = said.last().map(String::as_str).unwrap_or_default();
    match (marked, &request.response_format) {
        (None, None) => line(last).to_owned(),
        (post, format) => {
            let answer = serde_json::to_value(extract(post.unwrap_or(last))).unwrap_or(Value::Null);
            wrapped(answer, format.as_ref()).to_string()
        }
    }
}

/// The text between the lines `<post>` and `</post>`.
fn marked_post(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("<post>")?;
    let (post, _) = after.rsplit_once("</post>")?;
    Some(post.trim_matches(['\n', '\r']))
}

/// OpenAI's strict schemas have an object at the root. Where the schema asks for an object of one property, the answer
/// goes into it.
fn wrapped(answer: Value, format: Option<&Value>) -> Value {
    let properties = format.and_then(|f| f.pointer("/json_schema/schema/properties")).and_then(Value::as_object);
    match properties.map(|p| p.keys().collect::<Vec<_>>()).as_deref() {
        Some([only]) => json!({ *only: answer }),
        _ => answer,
    }
}

const LINES: [&str; 8] = [
    "Good question. I like where your head is at on this one.",
    "Price matters more than the side here. Shop around first.",
    "Tracking it. Will post the result either way.",
    "Could go both ways, which is why I keep the stake small.",
    "Appreciate you. Good luck tonight!",
    "The numbers say yes, the injury report says wait an hour.",
    "Noted. That line has been moving all day.",
    "Fair point, I would want half a point more.",
];

/// A short line; the same message always gets the same.
fn line(message: &str) -> &'static str {
    let at = Draw::of(11, message, 0).below(LINES.len() as u64);
    LINES[usize::try_from(at).unwrap_or(0)]
}

/// A completion whose content cannot be used: prose, then JSON that is cut, then JSON of another shape, in turn.
pub(crate) fn malformed(state: &SandboxState) -> Response {
    let content = match state.calls(Endpoint::Chat) % 3 {
        0 => "Sure! The author seems to like the home side tonight, with a medium stake.",
        1 => r#"{"type":"spread","sport":"nba","event":null,"selection":"Los Ang"#,
        _ => r#"{"type":"spread","team":"Lakers","line":"minus three and a half"}"#,
    };
    completion("sandbox", "", content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: Value) -> Completion {
        serde_json::from_value(body).expect("a valid request")
    }

    #[test]
    fn the_marked_post_is_read_and_nothing_around_it() {
        let content =
            "Read the picks. Example: Celtics ML -145.\n<post>\nLakers -3.5 (-110) 2u\n</post>\nAnswer in JSON.";
        let told = request(json!({ "model": "m", "messages": [
            { "role": "user", "content": content },
            { "role": "assistant", "content": "no JSON" },
            { "role": "user", "content": "That was not JSON. Answer again." },
        ] }));
        let told: Value = serde_json::from_str(&answer(&told)).expect("the answer is JSON");
        assert_eq!(told["selection"], "Los Angeles Lakers");
    }

    #[test]
    fn a_prompt_without_a_post_or_a_schema_gets_a_short_line() {
        let asked =
            || request(json!({ "model": "m", "messages": [{ "role": "user", "content": "Reply to this fan" }] }));
        assert_eq!(answer(&asked()), answer(&asked()));
        assert!(answer(&asked()).len() < 120);
    }

    #[test]
    fn a_schema_with_one_property_at_the_root_is_filled() {
        let schema = json!({ "type": "object", "properties": { "answer": {} } });
        let told = request(json!({
            "model": "m",
            "messages": [{ "role": "user", "content": [
                { "type": "text", "text": "<post>\ngood morning\n</post>" },
                { "type": "image_url", "image_url": { "url": "https://example.com/slip.png" } },
            ] }],
            "response_format": { "type": "json_schema", "json_schema": { "name": "picks", "schema": schema } },
        }));
        assert_eq!(answer(&told), r#"{"answer":null}"#);
    }
}
