//! The model server: OpenAI's chat completions. The answers come from the actors.

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

/// The key of a request, unless it is missing or `bad`.
pub(crate) fn key(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::trim).filter(|key| !key.is_empty() && *key != "bad")
}

/// An error in OpenAI's format.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    complaint(status, code, message, None)
}

fn complaint(status: StatusCode, code: &str, message: &str, parameter: Option<&str>) -> Response {
    let kind = if status.is_server_error() { "server_error" } else { "invalid_request_error" };
    let body = json!({ "error": { "message": message, "type": kind, "param": parameter, "code": code } });
    (status, Json(body)).into_response()
}

/// The answer of a model where no actor answers.
const PLAIN: &str = "Noted.";

/// The answer of a model: that of the first actor that has one.
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

/// The text on a picture that the sandbox drew, inline or by its URL.
fn on_picture(picture: &Picture, inner: &SharedState) -> Option<String> {
    match picture {
        Picture::Inline(bytes) => picture::read(bytes),
        Picture::At(url) => inner.drawn(url.rsplit_once("/sandbox/media/")?.1),
    }
}

/// A completion whose content cannot be used: in turn prose, truncated JSON, and JSON of another form.
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

/// The response of xAI when the credit of a team is used up: a 429 that does not go away by waiting.
pub(crate) fn no_credit() -> Response {
    let body = json!({
        "code": "Some resource has been exhausted",
        "error": "Your team has either used all available credits or reached its monthly spending limit. To continue making \
                  API requests, please purchase more credits or raise your spending limit.",
    });
    (StatusCode::TOO_MANY_REQUESTS, Json(body)).into_response()
}

/// An error in a response with status 200.
pub(crate) fn error_inside() -> Response {
    let error = json!({ "message": "Provider returned error", "code": 503, "metadata": { "raw": "overloaded" } });
    Json(json!({ "id": null, "choices": null, "usage": null, "error": error })).into_response()
}

/// Puts a block of reasoning before the answer.
pub(crate) fn think_aloud(answer: &mut Value) {
    if let Some(said) = answer.pointer_mut("/choices/0/message/content")
        && let Some(text) = said.as_str()
    {
        *said = format!("<think>\nThe user wants an answer; {{\"answer\": null}} is none.\n</think>\n\n{text}").into();
    }
}

/// Splits the answer into parts, and gives invalid token counts.
pub(crate) fn make_odd(answer: &mut Value) {
    answer["usage"] = json!({ "prompt_tokens": null, "completion_tokens": 3.5, "total_tokens": "7" });
    if let Some(said) = answer.pointer_mut("/choices/0/message/content")
        && let Some(text) = said.as_str().map(str::to_owned)
    {
        *said = json!([{ "type": "thinking", "thinking": "An answer." }, { "type": "text", "text": text }]);
    }
}
