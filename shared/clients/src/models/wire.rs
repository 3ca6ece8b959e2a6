//! The JSON of requests. No I/O.

use serde_json::{Value, json};

use super::{ChatRequest, Dialect, Message, Part};

/// The body of a request.
pub(super) fn body(request: &ChatRequest, model: &str, images: bool, dialect: &Dialect) -> Value {
    let system = request.system.iter().map(|text| json!({ "role": "system", "content": text }));
    let messages: Vec<Value> = system.chain(request.messages.iter().map(|m| message(m, images))).collect();
    let mut body = json!({ "model": model, "messages": messages });
    if let Some((name, schema)) = request.schema.as_ref().filter(|_| dialect.json_schema) {
        body["response_format"] = json!({
            "type": "json_schema",
            "json_schema": { "name": name, "strict": is_strict(schema), "schema": schema },
        });
    }
    if let Some(max_tokens) = request.max_tokens {
        body[dialect.max_tokens_field.as_str()] = max_tokens.into();
    }
    if let Some(temperature) = request.temperature.filter(|_| dialect.temperature) {
        body["temperature"] = json!(temperature);
    }
    if !dialect.reasoning_effort.is_empty() {
        body["reasoning_effort"] = dialect.reasoning_effort.as_str().into();
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
        let body = |images| body(&request, "m", images, &Dialect::default());
        assert_eq!(body(false)["messages"][0]["content"], "Read this");
        assert_eq!(body(true)["messages"][0]["content"][1]["image_url"]["url"], "https://example.com/slip.png");
    }
}
