//! The OpenAPI document of the API, and a page generated from it.

use std::{fmt::Write as _, future::ready};

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use bytes::Bytes;
use perch_bot::http::{Cause, Document, FieldError};
use perch_jobs::JobTypes;
use serde_json::Value;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    tag::TagBuilder,
};

use super::guard::SCHEME;

const DESCRIPTION: &str = "Enqueue jobs, look them up, and operate the queues. Requests carry a key as bearer token. \
    A key has scopes: enqueue (enqueue and cancel), read (look), operate (everything else; it may look and cancel too). \
    Refusals are problem documents (RFC 9457) that name the field. Times are RFC 3339, durations milliseconds.";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;\
    background:#fff}code,pre{font-family:ui-monospace,monospace;font-size:.9em}h2{border-bottom:1px solid #ccc;margin-top:\
    2.5rem}h3{margin-top:2rem}table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:\
    .25rem .75rem .25rem 0;border-bottom:1px solid #eee}.scope{float:right;font-size:.85em;color:#666}@media \
    (prefers-color-scheme:dark){body{color:#ddd;background:#181818}a{color:#8ab4f8}td,th{border-color:#333}}";

/// The document before routes are added.
pub(super) fn document() -> OpenApi {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("perch_<stg|prod>_<40 characters>")
        .description(Some("An API key. `perch keys create` makes one; it is shown once."))
        .build();
    let tags = [
        ("jobs", "Enqueue, look up, cancel."),
        ("queues", "What waits where; pause and resume."),
        ("dead letters", "Jobs that failed for good: why, and what becomes of them."),
        ("brake", "The brakes: switches that stop all publishing, or that of one account or bot."),
        ("catalog", "Kinds, cron entries, workers."),
        ("limits", "What outside services, accounts and pools have left, and what they cost."),
        ("probes", "For platforms, which need no key, and for Prometheus, which needs one that may read."),
    ];
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Perch")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(DESCRIPTION))
                .license(Some(License::new(env!("CARGO_PKG_LICENSE"))))
                .build(),
        )
        .components(Some(
            ComponentsBuilder::new()
                .schema_from::<Document>()
                .schema_from::<FieldError>()
                .security_scheme(SCHEME, SecurityScheme::Http(scheme))
                .build(),
        ))
        .tags(Some(tags.map(|(name, words)| TagBuilder::new().name(name).description(Some(words)).build())))
        .build()
}

/// `/openapi.json` and `/docs`.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(document: &OpenApi, types: &JobTypes) -> Router<S> {
    let value =
        serde_json::to_value(document).expect("an OpenAPI document has text keys and values that JSON can hold");
    let json = Bytes::from(value.to_string());
    let page = Bytes::from(page(&value, types));
    Router::new()
        // Shows the documentation to a browser at the root path.
        .route("/", get(|| ready(Redirect::temporary("/docs"))))
        .route("/openapi.json", get(move || ready(served(json.clone(), "application/json"))))
        .route("/docs", get(move || ready(served(page.clone(), "text/html; charset=utf-8"))))
}

fn served(body: Bytes, content_type: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, body).into_response()
}

/// Writes HTML; writing to a String cannot fail.
macro_rules! put {
    ($page:expr, $($words:tt)*) => { { let _ = write!($page, $($words)*); } };
}

fn page(document: &Value, types: &JobTypes) -> String {
    let mut page = String::with_capacity(64 * 1024);
    put!(page, "<!doctype html><html lang=en><meta charset=utf-8><title>Perch API</title>");
    put!(page, "<meta name=viewport content=\"width=device-width\"><style>{STYLE}</style><h1>Perch API</h1>");
    put!(page, "<p>{}</p><p>As an OpenAPI document: <a href=/openapi.json>/openapi.json</a></p>", escaped(DESCRIPTION));
    for tag in list(&document["tags"]) {
        let (name, words) = (text(&tag["name"]), text(&tag["description"]));
        put!(page, "<h2>{}</h2><p>{}</p>", escaped(name), escaped(words));
        for (path, method, operation) in operations(document) {
            if list(&operation["tags"]).iter().any(|tag| text(tag) == name) {
                put_operation(&mut page, path, method, operation);
            }
        }
    }
    put!(page, "<h2>Kinds of jobs</h2><p>GET /api/v1/kinds has the JSON schema of each payload.</p><table>");
    for job_type in types.iter() {
        put!(page, "<tr><td><code>{}</code><td>queue {}", job_type.kind, job_type.queue);
    }
    put!(page, "</table><h2>Problems</h2><p>The <code>type</code> of a problem is one of these.</p><table>");
    for cause in Cause::ALL {
        let (slug, status) = (cause.slug(), cause.status().as_u16());
        put!(page, "<tr id={slug}><td><code>{slug}</code><td>{status}<td>{}", escaped(cause.title()));
    }
    put!(page, "</table><h2>Types</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        put_schema(&mut page, name, schema);
    }
    page
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    document["paths"].as_object().into_iter().flatten().flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn put_operation(page: &mut String, path: &str, method: &str, operation: &Value) {
    let scopes: Vec<&str> =
        list(&operation["security"]).iter().flat_map(|requirement| list(&requirement[SCHEME])).map(text).collect();
    let scopes = if scopes.is_empty() { "no key".to_owned() } else { format!("scope {}", scopes.join(" or ")) };
    let summary = escaped(text(&operation["summary"]));
    let method = method.to_uppercase();
    put!(page, "<h3><span class=scope>{scopes}</span><code>{method} {}</code></h3>", escaped(path));
    put!(page, "<p><b>{summary}.</b> {}</p>", prose(text(&operation["description"])));
    let parameters = list(&operation["parameters"]);
    let bodies = operation["requestBody"]["content"].as_object();
    if !parameters.is_empty() || bodies.is_some() {
        put!(page, "<table><tr><th>Takes<th>In<th>");
        for parameter in parameters {
            let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
            let words = prose(text(&parameter["description"]));
            put!(page, "<tr><td><code>{}</code><td>{}<td>{words}", escaped(name), escaped(place));
        }
        for (media, content) in bodies.into_iter().flatten() {
            put!(page, "<tr><td>{}<td>body<td>{}", type_of(&content["schema"]), escaped(media));
        }
        put!(page, "</table>");
    }
    put!(page, "<table><tr><th>Answers<th><th>");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let schema = response["content"].as_object().and_then(|content| content.values().next());
        let kind = schema.map(|content| type_of(&content["schema"])).unwrap_or_default();
        put!(page, "<tr><td>{}<td>{kind}<td>{}", escaped(status), escaped(text(&response["description"])));
    }
    put!(page, "</table>");
}

fn put_schema(page: &mut String, name: &str, schema: &Value) {
    let words = prose(text(&schema["description"]));
    put!(page, "<h3 id=\"type-{0}\">{0}</h3><p>{words}</p>", escaped(name));
    let parts = list(&schema["allOf"]).iter().chain([schema]);
    let properties: Vec<(&String, &Value, bool)> = parts
        .flat_map(|part| {
            let required = list(&part["required"]);
            let properties = part["properties"].as_object().into_iter().flatten();
            properties.map(|(name, property)| (name, property, required.iter().any(|word| text(word) == name)))
        })
        .collect();
    if properties.is_empty() {
        put!(page, "<p>{}</p>", type_of(schema));
        return;
    }
    put!(page, "<table>");
    for (name, property, required) in properties {
        let need = if required { "" } else { ", may be missing" };
        let words = prose(text(&property["description"]));
        put!(page, "<tr><td><code>{}</code><td>{}{need}<td>{words}", escaped(name), type_of(property));
    }
    put!(page, "</table>");
}

/// The type of a schema in a few words, with links to types that have a name.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#type-{0}\">{0}</a>", escaped(name));
    }
    let words = list(&schema["enum"]);
    if !words.is_empty() {
        return words
            .iter()
            .map(|word| format!("<code>{}</code>", escaped(text(word))))
            .collect::<Vec<_>>()
            .join(" or ");
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        let parts = list(&schema[choice]);
        if !parts.is_empty() {
            let parts = parts.iter().filter(|part| text(&part["type"]) != "null").map(type_of);
            return parts.collect::<Vec<_>>().join(if choice == "allOf" { " and " } else { " or " });
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).filter(|word| *word != "null").collect(),
        one => vec![text(one)],
    };
    match types.as_slice() {
        ["array"] => format!("list of {}", type_of(&schema["items"])),
        ["string"] if text(&schema["format"]) == "date-time" => "time".to_owned(),
        ["object"] if schema["properties"].as_object().is_some_and(|properties| properties.len() == 1) => {
            let names = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| escaped(name));
            format!("object with <code>{}</code>", names.collect::<String>())
        }
        types => escaped(&types.join(" or ")),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Text as HTML; text between backticks becomes code.
fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let marked =
        parts.map(|(n, part)| if n % 2 == 1 { format!("<code>{}</code>", escaped(part)) } else { escaped(part) });
    marked.collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_problem_type_has_its_place_on_the_page() {
        let document = serde_json::to_value(document()).expect("it is JSON");
        let page = page(&document, &perch_jobs::types());
        for cause in Cause::ALL {
            assert!(page.contains(&format!("<tr id={}>", cause.slug())), "{}", cause.slug());
        }
    }

    #[test]
    fn text_of_the_document_cannot_become_markup() {
        assert_eq!(escaped("perch_<stg|prod>"), "perch_&lt;stg|prod&gt;");
        assert_eq!(prose("give `a<b` as is"), "give <code>a&lt;b</code> as is");
        assert_eq!(type_of(&json!({ "type": ["<b>", "null"] })), "&lt;b&gt;");
    }

    #[test]
    fn a_type_is_told_in_a_few_words() {
        assert_eq!(type_of(&json!({ "type": ["string", "null"], "format": "date-time" })), "time");
        let list = json!({ "type": "array", "items": { "$ref": "#/components/schemas/Job" } });
        assert_eq!(type_of(&list), "list of <a href=\"#type-Job\">Job</a>");
    }
}
