//! Requests and responses in OpenAI's format.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::Utc;
use perch_job::strict;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::draw::Draw;

/// Tokens for a picture, as for one of low detail.
const PICTURE_TOKENS: usize = 85;
/// Media types of pictures that models accept.
const PICTURE_KINDS: [&str; 4] = ["image/png", "image/jpeg", "image/webp", "image/gif"];

#[derive(Deserialize, Default)]
struct Completion {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    response_format: Option<Value>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    temperature: Option<f64>,
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    max_completion_tokens: Option<usize>,
    #[serde(default)]
    reasoning_effort: Option<String>,
}

/// The values of `reasoning_effort` that reasoning models accept.
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// Whether a model of this name is a reasoning model, like those of OpenAI: it accepts `max_completion_tokens` instead of `max_tokens`, and
/// only the default temperature.
fn reasons(model: &str) -> bool {
    ["gpt-5", "gpt-6", "o1", "o3", "o4"].iter().any(|family| model.starts_with(family))
}

impl Completion {
    /// Refuses parameters that this model does not accept.
    fn unsupported(&self) -> Result<(), RequestError> {
        let with = "with this model";
        match (&self.reasoning_effort, self.temperature) {
            _ if reasons(&self.model) && self.max_tokens.is_some() => unsupported(
                "max_tokens",
                format!(
                    "Unsupported parameter: 'max_tokens' is not supported {with}. Use 'max_completion_tokens' instead."
                ),
            ),
            #[expect(clippy::float_cmp, reason = "nothing but the default itself is taken")]
            (_, Some(temperature)) if reasons(&self.model) && temperature != 1.0 => {
                let only = "Only the default (1) value is supported.";
                let message = format!("Unsupported value: 'temperature' does not support {temperature} {with}. {only}");
                Err(RequestError { param: Some("temperature"), ..RequestError::of("unsupported_value", message) })
            }
            (Some(effort), _) if !EFFORTS.contains(&effort.as_str()) => {
                complain("invalid_value", format!("reasoning_effort is one of {}", EFFORTS.join(", ")))
            }
            (Some(_), _) if self.model.starts_with("gpt-4") => {
                unsupported("reasoning_effort", "Unrecognized request argument supplied: reasoning_effort".into())
            }
            _ => Ok(()),
        }
    }
}

fn unsupported<T>(parameter: &'static str, message: String) -> Result<T, RequestError> {
    Err(RequestError { param: Some(parameter), ..RequestError::of("unsupported_parameter", message) })
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
    Text { text: String },
    ImageUrl { image_url: Image },
}

#[derive(Deserialize)]
struct Image {
    url: String,
}

/// A picture of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Picture {
    /// Its bytes.
    Inline(Vec<u8>),
    /// Its URL.
    At(String),
}

/// A valid request.
pub(super) struct ChatQuestion {
    model: String,
    /// The role and the text of each message.
    texts: Vec<(String, String)>,
    pictures: Vec<Picture>,
    response_format: Option<Value>,
    max_tokens: Option<usize>,
}

/// What is wrong with a request.
#[derive(Debug)]
pub(super) struct RequestError {
    pub code: &'static str,
    pub message: String,
    /// The parameter that it is about.
    pub param: Option<&'static str>,
}

impl RequestError {
    fn of(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), param: None }
    }
}

fn complain<T>(code: &'static str, message: impl Into<String>) -> Result<T, RequestError> {
    Err(RequestError::of(code, message))
}

impl ChatQuestion {
    /// An empty request, for responses that do not depend on one.
    pub fn nothing() -> Self {
        let texts = Vec::new();
        Self { model: "sandbox".into(), texts, pictures: Vec::new(), response_format: None, max_tokens: None }
    }

    /// Reads a request as strictly as OpenAI does.
    pub fn read(bytes: &[u8]) -> Result<Self, RequestError> {
        let request: Completion = match strict::from_slice(bytes) {
            Ok(request) => request,
            Err(wrong) => return complain("invalid_request", wrong.to_string()),
        };
        if request.messages.is_empty() {
            return complain("invalid_request", "messages must not be empty");
        }
        if request.stream {
            return complain("unsupported_value", "this server does not stream; leave stream out");
        }
        if request.temperature.is_some_and(|t| !(0.0..=2.0).contains(&t)) {
            return complain("invalid_value", "temperature is from 0 to 2");
        }
        let most = request.max_completion_tokens.or(request.max_tokens);
        if most == Some(0) {
            return complain("invalid_value", "max_tokens is 1 or more");
        }
        request.unsupported()?;
        check_format(request.response_format.as_ref())?;
        let mut asked = Self {
            model: request.model,
            texts: Vec::new(),
            pictures: Vec::new(),
            response_format: request.response_format,
            max_tokens: most,
        };
        for message in request.messages {
            let mut texts = Vec::new();
            match message.content {
                Content::None => {}
                Content::Text(text) => texts.push(text),
                Content::Parts(parts) => {
                    for part in parts {
                        match part {
                            Part::Text { text } => texts.push(text),
                            Part::ImageUrl { image_url } => asked.pictures.push(picture(&image_url.url)?),
                        }
                    }
                }
            }
            asked.texts.push((message.role, texts.join("\n")));
        }
        Ok(asked)
    }

    /// The messages of the user.
    pub fn said(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().filter(|(role, _)| role == "user").map(|(_, text)| text.as_str())
    }

    /// The pictures of all messages.
    pub fn pictures(&self) -> impl Iterator<Item = &Picture> {
        self.pictures.iter()
    }

    /// The schema that the answer must match.
    pub fn schema(&self) -> Option<&Value> {
        self.response_format.as_ref()?.pointer("/json_schema/schema")
    }

    /// The name of that schema.
    pub fn schema_name(&self) -> Option<&str> {
        self.response_format.as_ref()?.pointer("/json_schema/name")?.as_str()
    }
}

fn check_format(format: Option<&Value>) -> Result<(), RequestError> {
    let Some(format) = format else { return Ok(()) };
    match format["type"].as_str() {
        Some("text" | "json_object") => Ok(()),
        Some("json_schema") => {
            let named = format.pointer("/json_schema/name").and_then(Value::as_str);
            let is_name = |name: &str| {
                (1..=64).contains(&name.len())
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
            };
            if !named.is_some_and(is_name) {
                return complain(
                    "invalid_value",
                    "response_format.json_schema.name is 1 to 64 letters, digits, _ and -",
                );
            }
            if format.pointer("/json_schema/schema").is_some_and(Value::is_object) {
                Ok(())
            } else {
                complain("invalid_value", "response_format.json_schema.schema is missing or no object")
            }
        }
        _ => complain("invalid_value", "response_format.type is text, json_object or json_schema"),
    }
}

/// A picture by its URL, or in a `data:` URL.
fn picture(url: &str) -> Result<Picture, RequestError> {
    if let Some(inline) = url.strip_prefix("data:") {
        let (kind, data) = inline.split_once(";base64,").unwrap_or_default();
        if !PICTURE_KINDS.contains(&kind) {
            return complain(
                "invalid_image_format",
                format!("a picture is one of {}, in Base64", PICTURE_KINDS.join(", ")),
            );
        }
        return match STANDARD.decode(data) {
            Ok(bytes) if !bytes.is_empty() => Ok(Picture::Inline(bytes)),
            _ => complain("invalid_image_url", "the picture is not in Base64, or empty"),
        };
    }
    match Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => Ok(Picture::At(url.to_owned())),
        _ => complain("invalid_image_url", "image_url.url is an http, https or data URL"),
    }
}

/// Why an answer ends, as in `finish_reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FinishReason {
    /// It is complete.
    Stop,
    /// The provider's filter has stopped it.
    Filtered,
}

/// The completion in OpenAI's format. Four characters count as a token; an answer over `max_tokens` is cut.
pub(super) fn completion(asked: &ChatQuestion, content: &str, ending: FinishReason) -> Response {
    let tokens = |text: &str| text.chars().count().div_ceil(4);
    let prompt: String = asked.texts.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n");
    let read = tokens(&prompt) + asked.pictures.len() * PICTURE_TOKENS;
    let room = asked.max_tokens.map_or(usize::MAX, |most| most.saturating_mul(4));
    let said: String = content.chars().take(room).collect();
    let written = tokens(&said);
    let reason = match ending {
        FinishReason::Filtered => "content_filter",
        FinishReason::Stop if said.len() < content.len() => "length",
        FinishReason::Stop => "stop",
    };
    let id = Draw::of(7, &prompt, written as u64).next();
    Json(json!({
        "id": format!("chatcmpl-{id:016x}"),
        "object": "chat.completion",
        "created": Utc::now().timestamp(),
        "model": asked.model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": said, "refusal": null },
            "logprobs": null,
            "finish_reason": reason,
        }],
        "usage": { "prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written },
    }))
    .into_response()
}
