//! The model server: OpenAI's chat completions. What a model says is what an actor answers.

mod complete;
mod wire;

pub(crate) use complete::routes;

use axum::{
    Json,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use self::wire::{ChatQuestion, FinishReason, Picture, completion};
use crate::{Endpoint, Question, SandboxState, app::App, picture, state::SharedState};

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

/// What a model says that no actor speaks for.
const PLAIN: &str = "Noted.";

/// What a model says: the first actor of whom it is asked answers.
fn answer(asked: &ChatQuestion, app: &App) -> String {
    let question = question(asked, &app.state);
    let told = app.actors.iter().find_map(|actor| actor.answer(&question));
    told.unwrap_or_else(|| question.in_words(PLAIN))
}

fn question(asked: &ChatQuestion, state: &SandboxState) -> Question {
    let inner = state.lock();
    Question {
        seed: inner.seed,
        said: asked.said().map(str::to_owned).collect(),
        pictured: asked.pictures().filter_map(|picture| on_picture(picture, &inner)).collect(),
        schema_name: asked.schema_name().map(str::to_owned),
        schema: asked.schema().cloned(),
    }
}

/// What stands on a picture that the sandbox drew, inline or by its address.
fn on_picture(picture: &Picture, inner: &SharedState) -> Option<String> {
    match picture {
        Picture::Inline(bytes) => picture::read(bytes),
        Picture::At(url) => inner.drawn(url.rsplit_once("/sandbox/media/")?.1),
    }
}

/// A completion whose content cannot be used: prose, then JSON that is cut, then JSON of another shape, in turn.
pub(crate) fn malformed(state: &SandboxState) -> Response {
    let content = match state.calls(Endpoint::Chat) % 3 {
        0 => "Sure! The author seems to like the home side tonight, with a medium stake.",
        1 => r#"{"type":"spread","sport":"nba","event":null,"selection":"Los Ang"#,
        _ => r#"{"type":"spread","team":"Lakers","line":"minus three and a half"}"#,
    };
    completion(&ChatQuestion::nothing(), content, FinishReason::Stop)
}

/// A completion that the provider's own filter has ended.
pub(crate) fn filtered() -> Response {
    completion(&ChatQuestion::nothing(), "", FinishReason::Filtered)
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
