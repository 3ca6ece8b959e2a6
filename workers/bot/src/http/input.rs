//! Reads request bodies and paths. Whatever is wrong with one is answered with a problem that says where.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{self, FromRequest, FromRequestParts, Request},
    http::{HeaderMap, header, request::Parts},
};
use futures::StreamExt as _;
use perch_jobs::strict::Strict;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{
    budget::{BodyBudget, FullBody, PartialBody},
    problem::{ApiResult, Cause, Problem},
};

/// The state of routes that read request bodies.
pub trait ReadsBodies: Sync {
    /// The memory for bodies.
    fn budget(&self) -> &BodyBudget;

    /// The most bytes of one body (`http.max_body_bytes`).
    fn most_body_bytes(&self) -> usize;
}

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most levels of nesting in a body. `serde_json` itself stops at 128, but does not count inside a payload that it only passes on.
const DEEPEST: usize = 100;

/// The most bytes of a body that is not bulk.
const SMALL: usize = 64 * 1024;
/// A bulk body is limited by `http.max_body_bytes` alone.
pub const BULK: usize = usize::MAX;

/// A JSON body of at most `MOST` bytes, read as `T`.
#[derive(Debug, Clone)]
pub struct JsonBody<T, const MOST: usize = SMALL>(pub T);

impl<S: ReadsBodies, T: DeserializeOwned, const MOST: usize> FromRequest<S> for JsonBody<T, MOST> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &S) -> ApiResult<Self> {
        if media_type(request.headers()) != Some(MediaType::Json) {
            return Err(wrong_type("application/json"));
        }
        let body = read_body(app, request, MOST.min(app.most_body_bytes())).await?;
        let text = text(&body)?;
        without_nul(text)?;
        from_json(text).map(Self)
    }
}

/// The parameters of a path, read as `T`. A path that is not UTF-8 or has a NUL character is answered as not found.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let named = extract::Path::from_request_parts(parts, state).await;
        match named {
            Ok(extract::Path(named)) if !parts.uri.path().contains("%00") => Ok(Self(named)),
            _ => {
                let path: String = parts.uri.path().chars().take(200).collect();
                Err(Problem::new(Cause::NotFound, format!("There is nothing at {path}: no name is written so.")))
            }
        }
    }
}

/// The declared type of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// One JSON value.
    Json,
    /// One JSON value a line.
    JsonLines,
}

/// The declared type of the body; `None` when it is missing or not supported.
pub fn media_type(headers: &HeaderMap) -> Option<MediaType> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Some(MediaType::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some(MediaType::JsonLines),
        other => (other.starts_with("application/") && other.ends_with("+json")).then_some(MediaType::Json),
    }
}

/// The problem for a body of another type.
pub fn wrong_type(expected: &str) -> Problem {
    Problem::field(Cause::UnsupportedMediaType, "Content-Type", format!("send the body as {expected}"))
}

/// Reads the whole body, which may have at most `limit` bytes.
pub async fn read_body(app: &impl ReadsBodies, request: Request, limit: usize) -> ApiResult<FullBody> {
    let too_large = || {
        let detail = format!("The body has more than {limit} bytes, the most that is read here. Send it in parts.");
        Problem::new(Cause::TooLarge, detail)
    };
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > limit) {
        return Err(too_large());
    }
    let mut received = app.budget().body();
    match tokio::time::timeout(PATIENCE, collect(request.into_body(), limit, &mut received)).await {
        Ok(Ok(true)) => Ok(received.whole()),
        Ok(Ok(false)) => Err(too_large()),
        Ok(Err(problem)) => Err(problem),
        Err(_) => {
            let detail = format!("The body did not arrive within {} seconds. Send it again.", PATIENCE.as_secs());
            Err(Problem::new(Cause::RequestTimeout, detail))
        }
    }
}

/// False when the body has more than `limit` bytes.
async fn collect(body: Body, limit: usize, received: &mut PartialBody) -> ApiResult<bool> {
    let mut stream = body.into_data_stream();
    while let Some(part) = stream.next().await {
        let broken = |_| Problem::new(Cause::InvalidRequest, "The body broke off before its end. Send it again.");
        let part = part.map_err(broken)?;
        if received.size() + part.len() > limit {
            return Ok(false);
        }
        received.add(&part)?;
    }
    Ok(true)
}

/// Refuses JSON with a NUL character in a text, because Postgres cannot store it.
fn without_nul(json: &str) -> ApiResult<()> {
    // Few bodies have this escape, so few are parsed twice.
    if json.contains("\\u0000")
        && let Ok(value) = serde_json::from_str(json)
        && let Some(path) = nul(&value, "$")
    {
        return Err(Problem::field(Cause::InvalidRequest, path, "it has a NUL character, which no text here has"));
    }
    Ok(())
}

/// The path of the first text or field name with a NUL character.
fn nul(value: &serde_json::Value, path: &str) -> Option<String> {
    match value {
        serde_json::Value::String(text) => text.contains('\0').then(|| path.to_owned()),
        serde_json::Value::Array(items) => {
            items.iter().enumerate().find_map(|(at, item)| nul(item, &format!("{path}[{at}]")))
        }
        serde_json::Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            if name.contains('\0') { Some(path.to_owned()) } else { nul(field, &format!("{path}.{name}")) }
        }),
        _ => None,
    }
}

/// The number in a path. `what` is what has it, such as "review".
///
/// # Errors
///
/// It is no number, so there is no such thing.
pub fn number(text: &str, what: &str) -> ApiResult<i64> {
    text.parse().map_err(|_| {
        let given: String = text.chars().take(40).collect();
        Problem::new(Cause::NotFound, format!("there is no {what} {given:?}; a {what} has a number"))
    })
}

/// A body as text.
pub fn text(body: &[u8]) -> ApiResult<&str> {
    std::str::from_utf8(body).map_err(|error| {
        let detail = format!("The body is not UTF-8 from byte {} on. Send JSON in UTF-8.", error.valid_up_to());
        Problem::new(Cause::NotUtf8, detail)
    })
}

/// Reads `T`. An error names the line and column where the text is not JSON, or the JSON path where it has the wrong form.
pub fn from_json<'a, T: Deserialize<'a>>(json: &'a str) -> ApiResult<T> {
    if let Some(at) = too_deep(json) {
        let detail = format!("The JSON is nested deeper than {DEEPEST} levels at byte {at}. Flatten it.");
        return Err(Problem::new(Cause::InvalidRequest, detail));
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    let value = serde_path_to_error::deserialize(Strict::new(&mut reader)).map_err(|error| {
        let path = json_path(error.path());
        let error = error.into_inner();
        // serde_json reports one element too many as a syntax error, though the text is valid JSON.
        if error.is_data() || serde_json::from_str::<IgnoredAny>(json).is_ok() {
            Problem::field(Cause::InvalidRequest, path, without_position(&error))
        } else {
            not_json(&error)
        }
    })?;
    reader.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    Problem::new(Cause::InvalidJson, format!("Line {line}, column {column}: {}.", without_position(error)))
}

fn without_position(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.rfind(" at line ").map_or(words.as_str(), |at| &words[..at]).to_owned()
}

fn json_path(path: &serde_path_to_error::Path) -> String {
    let path = path.to_string();
    match path.as_str() {
        "." => "$".to_owned(),
        path if path.starts_with('[') => format!("${path}"),
        path => format!("$.{path}"),
    }
}

/// The byte where the text first nests too deeply. Text that is not JSON is left to the parser to refuse.
fn too_deep(json: &str) -> Option<usize> {
    // Few texts have this many brackets at all, and counting them is far quicker than following them.
    if json.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count() <= DEEPEST {
        return None;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in json.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code, reason = "only its reading matters here")]
        list: Vec<u8>,
    }

    fn refused(json: &str) -> super::super::problem::Document {
        from_json::<Sample>(json).expect_err("it is not a sample").into_document()
    }

    #[test]
    fn broken_json_is_refused_with_its_line_and_column() {
        let document = refused("{\n  \"list\": [1,}\n");
        assert_eq!(document.status, 400);
        assert!(document.detail.starts_with("Line 2, column 14: "), "{}", document.detail);
    }

    #[test]
    fn text_after_the_end_is_refused() {
        assert_eq!(refused(r#"{"list":[]} {}"#).status, 400);
    }

    #[test]
    fn json_of_another_form_is_refused_with_its_path() {
        let document = refused(r#"{"list":[1,"two"]}"#);
        assert_eq!((document.status, document.errors[0].field.as_str()), (422, "$.list[1]"));
        assert!(!document.errors[0].reason.contains("line"), "{}", document.errors[0].reason);
    }

    #[test]
    fn a_field_that_is_not_known_is_named() {
        let document = refused(r#"{"list":[],"lisst":[]}"#);
        assert_eq!(document.errors[0].field, "$.lisst");
    }

    #[test]
    fn an_array_with_too_many_elements_is_json_of_another_form() {
        #[derive(Debug, Deserialize)]
        struct Pair {
            #[allow(dead_code, reason = "only its reading matters here")]
            pair: [u8; 2],
        }
        let document = from_json::<Pair>(r#"{"pair":[1,2,3]}"#).expect_err("one too many").into_document();
        assert_eq!((document.status, document.errors[0].field.as_str()), (422, "$.pair"));
    }

    #[test]
    fn an_array_is_no_object() {
        let document = refused("[[1]]");
        assert_eq!((document.status, document.errors[0].field.as_str()), (422, "$"));
    }

    #[test]
    fn a_nul_character_is_refused_with_its_path_and_a_backslash_before_u0000_is_none() {
        let path = |json| without_nul(json).map_err(|problem| problem.into_document().errors[0].field.clone());
        assert_eq!(path(r#"{"a": ["x", {"b": "\u0000"}]}"#), Err("$.a[1].b".to_owned()));
        assert_eq!(path(r#"{"a\u0000": 1}"#), Err("$".to_owned()));
        assert_eq!(path(r#"{"a": "\\u0000"}"#), Ok(()));
    }

    #[test]
    fn brackets_in_text_do_not_count_as_nesting() {
        let text = format!(r#"{{"a":"{}\"["}}"#, "[".repeat(500));
        assert_eq!(too_deep(&text), None);
        assert_eq!(too_deep(&"[".repeat(DEEPEST)), None);
        assert_eq!(too_deep(&"[".repeat(DEEPEST + 1)), Some(DEEPEST));
    }

    #[test]
    fn a_content_type_counts_without_its_parameters() {
        let of = |value: &'static str| {
            media_type(&HeaderMap::from_iter([(header::CONTENT_TYPE, header::HeaderValue::from_static(value))]))
        };
        assert_eq!(of("application/json; charset=utf-8"), Some(MediaType::Json));
        assert_eq!(of("application/cloudevents+json"), Some(MediaType::Json));
        assert_eq!(of("application/x-ndjson"), Some(MediaType::JsonLines));
        assert_eq!(of("text/plain"), None);
    }
}
