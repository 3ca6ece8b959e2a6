//! Checks requests and responses against the official description of the X API v2.

use std::{collections::BTreeMap, sync::LazyLock};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// A request to X as it was sent.
#[derive(Debug, Clone, Default)]
pub struct XRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The headers by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl XRequest {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }
}

static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let mut description = serde_json::from_str(include_str!("../contracts/x-api-v2-reduced.json")).expect("JSON");
    spell_out_nullable(&mut description);
    description
});

/// An operation of the description.
pub struct XOperation {
    /// Its path, with the names of its variables.
    pub path: &'static str,
    definition: &'static Value,
    variables: Vec<(String, String)>,
}

impl XOperation {
    /// Every operation of the reduced description, such as `GET /2/users/me`.
    pub fn all() -> Vec<String> {
        let paths = DESCRIPTION["paths"].as_object().expect("paths").iter();
        let named = paths.flat_map(|(path, item)| {
            item.as_object().expect("methods").keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        named.collect()
    }

    /// The operation of a request; panics when the description has none.
    pub fn of(request: &XRequest) -> Self {
        let method = request.method.to_lowercase();
        let paths = DESCRIPTION["paths"].as_object().expect("paths");
        let mut fitting: Vec<Self> = paths
            .iter()
            .filter_map(|(path, item)| {
                let variables = path_variables(path, &request.path)?;
                Some(Self { path, definition: item.get(&method)?, variables })
            })
            .collect();
        // As OpenAPI says, a path without variables goes before one with them.
        fitting.sort_by_key(|operation| operation.variables.len());
        let problem = format!("{method} {} is not in the description", request.path);
        fitting.into_iter().next().expect(&problem)
    }

    /// Checks a request against the description; answers what is wrong with it.
    pub fn check(&self, request: &XRequest) -> Vec<String> {
        let mut wrong = self.check_parameters(request);
        wrong.extend(self.check_body(request));
        wrong.extend(self.check_security(request));
        wrong
    }

    /// Checks a response against the description; answers what is wrong with it. An error response must be one of the problems that
    /// the description lists.
    pub fn check_answer(&self, status: u16, body: &Value) -> Vec<String> {
        let responses = &self.definition["responses"];
        let response = responses.get(status.to_string()).unwrap_or(&responses["default"]);
        let kind = if status < 300 { "application/json" } else { "application/problem+json" };
        let schema = &response["content"][kind]["schema"];
        assert!(schema.is_object(), "{}: no schema for {status}", self.path);
        violations("answer", schema, body)
    }

    fn check_parameters(&self, request: &XRequest) -> Vec<String> {
        let parameters: Vec<&Value> =
            self.definition["parameters"].as_array().into_iter().flatten().map(resolved).collect();
        let given = |place: &str| if place == "path" { self.variables.clone() } else { request.query.clone() };
        let mut wrong = Vec::new();
        for place in ["path", "query"] {
            let mut seen = Vec::new();
            for (name, text) in given(place) {
                let known = parameters.iter().find(|p| p["name"] == name.as_str() && p["in"] == place);
                match known {
                    None => wrong.push(format!("{place} parameter {name} is not in the description")),
                    Some(_) if seen.contains(&name) => wrong.push(format!("{place} parameter {name} is given twice")),
                    Some(known) => wrong.extend(check_value(&name, &known["schema"], &text)),
                }
                seen.push(name);
            }
            let required = parameters.iter().filter(|p| p["in"] == place && p["required"] == true);
            let missing = required.filter(|p| !seen.iter().any(|name| p["name"] == name.as_str()));
            wrong.extend(missing.map(|p| format!("{place} parameter {} is missing", p["name"])));
        }
        wrong
    }

    fn check_body(&self, request: &XRequest) -> Vec<String> {
        let schema = &self.definition["requestBody"]["content"]["application/json"]["schema"];
        if schema.is_null() {
            return if request.body.is_empty() { Vec::new() } else { vec!["a body that is not described".into()] };
        }
        if request.header("content-type") != "application/json" {
            return vec![format!("content-type is {:?}", request.header("content-type"))];
        }
        match serde_json::from_slice(&request.body) {
            Ok(body) => violations("body", schema, &body),
            Err(error) => vec![format!("the body is no JSON: {error}")],
        }
    }

    fn check_security(&self, request: &XRequest) -> Vec<String> {
        let authorization = request.header("authorization");
        let used = match authorization.split_once(' ') {
            Some(("Bearer", _)) => "BearerToken",
            Some(("OAuth", _)) => "UserToken",
            _ => return vec!["no authorization".into()],
        };
        let scheme = &DESCRIPTION["components"]["securitySchemes"][used]["scheme"];
        let allowed = self.definition["security"].as_array().into_iter().flatten();
        let named = scheme.as_str().is_some_and(|name| authorization.to_lowercase().starts_with(&name.to_lowercase()));
        if named && allowed.into_iter().any(|one| one.get(used).is_some()) {
            Vec::new()
        } else {
            vec![format!("{used} is not allowed for {}", self.path)]
        }
    }
}

fn path_variables(template: &str, path: &str) -> Option<Vec<(String, String)>> {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    if template.len() != path.len() {
        return None;
    }
    let mut variables = Vec::new();
    for (expected, given) in template.into_iter().zip(path) {
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => variables.push((name.to_owned(), given.to_owned())),
            None if expected == given => {}
            None => return None,
        }
    }
    Some(variables)
}

fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            DESCRIPTION.pointer(reference.trim_start_matches('#')).expect("the reference leads somewhere")
        }
        None => value,
    }
}

/// A parameter is text on the wire: lists are joined by commas, numbers written out.
fn check_value(name: &str, schema: &'static Value, text: &str) -> Vec<String> {
    let value = match resolved(schema)["type"].as_str() {
        Some("array") => text.split(',').map(Value::from).collect(),
        Some("integer") => text.parse::<i64>().map_or_else(|_| json!(text), Value::from),
        _ => json!(text),
    };
    violations(name, schema, &value)
}

fn violations(what: &str, schema: &Value, value: &Value) -> Vec<String> {
    let mut whole = Map::from_iter([("components".to_owned(), DESCRIPTION["components"].clone())]);
    whole.extend(schema.as_object().expect("a schema").clone());
    let validator: Validator =
        jsonschema::draft7::options().should_validate_formats(true).build(&Value::Object(whole)).expect("a schema");
    validator.iter_errors(value).map(|error| format!("{what} at {}: {error}", error.instance_path())).collect()
}

/// OpenAPI 3.0 writes `nullable: true` where JSON Schema lists the type `null`.
fn spell_out_nullable(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("nullable") == Some(&Value::Bool(true))
                && let Some(kind) = map.get("type").cloned()
            {
                map.insert("type".into(), json!([kind, "null"]));
            }
            map.values_mut().for_each(spell_out_nullable);
        }
        Value::Array(list) => list.iter_mut().for_each(spell_out_nullable),
        _ => {}
    }
}
