//! The JSON of chat completions: requests out, answers in. No I/O.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ChatRequest, Message, Part, Usage};

/// The body of a request.
pub(super) fn body(request: &ChatRequest, model: &str, images: bool) -> Value {
    let system = request.system.iter().map(|text| json!({ "role": "system", "content": text }));
    let messages: Vec<Value> = system.chain(request.messages.iter().map(|m| message(m, images))).collect();
    let mut body = json!({ "model": model, "messages": messages });
    if let Some((name, schema)) = &request.schema {
        body["response_format"] = json!({
            "type": "json_schema",
            "json_schema": { "name": name, "strict": is_strict(schema), "schema": schema },
        });
    }
    if let Some(max_tokens) = request.max_tokens {
        body["max_tokens"] = max_tokens.into();
    }
    if let Some(temperature) = request.temperature {
        body["temperature"] = json!(temperature);
    }
    body
}

/// A turn of text alone is sent as plain text, which every provider takes.
fn message(message: &Message, images: bool) -> Value {
    let parts: Vec<&Part> = message.parts.iter().filter(|part| images || matches!(part, Part::Text(_))).collect();
    let content = match parts.as_slice() {
        [Part::Text(text)] => json!(text),
        several => several
            .iter()
            .map(|part| match part {
                Part::Text(text) => json!({ "type": "text", "text": text }),
                Part::ImageUrl(url) => json!({ "type": "image_url", "image_url": { "url": url } }),
            })
            .collect(),
    };
    json!({ "role": message.role, "content": content })
}

/// Whether a schema is in the form that strict answers need: an object at the top, and every object closed with all
/// its properties required (OpenAI, "Structured model outputs").
fn is_strict(schema: &Value) -> bool {
    schema["type"] == "object" && objects_are_closed(schema)
}

fn objects_are_closed(schema: &Value) -> bool {
    let closed = match schema.get("properties").and_then(Value::as_object) {
        None => true,
        Some(properties) => {
            let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
            schema["additionalProperties"] == false
                && properties.keys().all(|name| required.iter().any(|r| r.as_str() == Some(name)))
        }
    };
    closed
        && match schema {
            Value::Object(map) => map.values().all(objects_are_closed),
            Value::Array(list) => list.iter().all(objects_are_closed),
            _ => true,
        }
}

/// An answer.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Option<Usage>,
    pub(super) model: Option<String>,
}

/// One of the answers that a provider offers.
#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    message: Option<Spoken>,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Spoken {
    content: Option<String>,
    refusal: Option<String>,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The model answered.
    Said(String),
    /// It declines, or the provider's filter does.
    Refused(String),
    /// The answer ended at the token limit; this much was said.
    Truncated(String),
    /// There is no answer.
    Nothing,
}

impl Verdict {
    /// What the model wrote.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Said(text) | Self::Refused(text) | Self::Truncated(text) => Some(text),
            Self::Nothing => None,
        }
    }
}

/// Reads the verdict of the first choice.
pub(super) fn verdict(choices: Vec<Choice>) -> Verdict {
    let Some(Choice { message, finish_reason }) = choices.into_iter().next() else { return Verdict::Nothing };
    let (content, refusal) = message.map_or((None, None), |spoken| (spoken.content, spoken.refusal));
    let content = content.unwrap_or_default();
    match (refusal.filter(|refusal| !refusal.is_empty()), finish_reason.as_deref()) {
        (Some(refusal), _) => Verdict::Refused(refusal),
        (None, Some("content_filter")) => Verdict::Refused("stopped by the provider's content filter".into()),
        (None, Some("length")) => Verdict::Truncated(content),
        (None, _) if content.trim().is_empty() => Verdict::Nothing,
        (None, _) => Verdict::Said(content),
    }
}

/// What a provider says about a request it did not serve.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) code: String,
    pub(super) message: String,
}

/// Reads the body of a refusal: `{"error": {"message", "code", "type"}}` or `{"error": "…", "code": "…"}`.
pub(super) fn complaint(body: &[u8]) -> Complaint {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return Complaint::default() };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let error = &body["error"];
    if error.is_object() {
        let code = if error["code"].is_string() { &error["code"] } else { &error["type"] };
        Complaint { code: text(code), message: text(&error["message"]) }
    } else {
        Complaint { code: text(&body["code"]), message: text(if error.is_string() { error } else { &body["message"] }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_schema_is_asked_for_strictly() {
        let closed = json!({ "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"], "additionalProperties": false });
        assert!(is_strict(&closed));
        let mut open = closed.clone();
        open["properties"]["a"] = json!({ "type": "object", "properties": { "b": {} } });
        assert!(!is_strict(&open));
        assert!(!is_strict(&json!({ "anyOf": [closed, { "type": "null" }] })));
    }

    #[test]
    fn pictures_are_left_out_for_a_provider_that_takes_none() {
        let parts = vec![Part::Text("Read this".into()), Part::ImageUrl("https://example.com/slip.png".into())];
        let message = Message { role: super::super::Role::User, parts };
        let request = ChatRequest { messages: vec![message], ..ChatRequest::default() };
        assert_eq!(body(&request, "m", false)["messages"][0]["content"], "Read this");
        assert_eq!(
            body(&request, "m", true)["messages"][0]["content"][1]["image_url"]["url"],
            "https://example.com/slip.png"
        );
    }

    #[test]
    fn complaints_of_all_providers_are_read() {
        let openai =
            complaint(br#"{"error":{"message":"You exceeded your quota","type":"insufficient_quota","code":null}}"#);
        assert_eq!((openai.code.as_str(), openai.message.as_str()), ("insufficient_quota", "You exceeded your quota"));
        let xai = complaint(br#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided"}"#);
        assert_eq!(xai.message, "Incorrect API key provided");
        assert_eq!(complaint(b"<html>"), Complaint::default());
    }
}
