use std::collections::{BTreeMap, BTreeSet};

use figment::{
    error::{Actual, Kind},
    value::{Dict, Tag, Value},
};
use serde::de::DeserializeOwned;

use crate::{Origin, Problem, layers::Layers, redact};

/// The result of reading the layers: the settings if every value could be read, and all problems.
pub(crate) struct ReadOutcome<T> {
    pub settings: Option<T>,
    pub problems: Vec<Problem>,
}

/// Limits the work for a file full of errors.
const MOST_PROBLEMS: usize = 200;

/// Reads the settings and continues after each error, to report all errors at once.
///
/// The deserialiser stops at the first invalid value. So that value is recorded and removed from its layer, so that the layer
/// below applies, or replaced by a stand-in if no layer has one. Then everything is read again.
///
/// Reads the table `of`, or everything if it is `None`. Missing values are reported for the file `base`.
pub(crate) fn read<T: DeserializeOwned>(layers: &mut Layers, base: &Origin, of: Option<&str>) -> ReadOutcome<T> {
    let mut problems = Vec::new();
    let mut reported = BTreeSet::new();
    let mut stand_ins = BTreeMap::<Vec<String>, usize>::new();
    while problems.len() < MOST_PROBLEMS {
        let extra = stand_ins.iter().filter_map(|(path, nth)| Some((path.clone(), stand_in(*nth)?)));
        let all = layers.figment(extra);
        let read = match of {
            Some(table) => all.extract_inner(table),
            None => all.extract(),
        };
        let error = match read {
            Ok(settings) => return ReadOutcome { settings: stand_ins.is_empty().then_some(settings), problems },
            Err(error) => error,
        };
        let mut path = error.path.clone();
        // The path within a table ends with the table.
        if of.is_some() && !path.is_empty() {
            path.rotate_right(1);
        }
        if let Kind::MissingField(name) = &error.kind {
            path.push(name.to_string());
        }
        if let Some(nth) = stand_ins.get_mut(&path) {
            *nth += 1;
            if stand_in(*nth).is_none() {
                break;
            }
        } else if error.missing() {
            let block_is_missing = (1..path.len()).any(|depth| stand_ins.contains_key(&path[..depth]));
            let was_reported = reported.iter().any(|other: &Vec<String>| other.starts_with(&path));
            if !block_is_missing && !was_reported {
                let origin = layers.introduced_by(&path[..path.len() - 1]).unwrap_or(base).clone();
                problems.push(problem(origin, &path, &error.kind));
            }
            stand_ins.insert(path, 0);
        } else if !(wants_text(&error.kind) && layers.back_to_text(&path)) {
            let origin = layers.origin(&path).unwrap_or(base).clone();
            problems.push(problem(origin, &path, &error.kind));
            if !layers.take(&path) {
                break;
            }
            reported.insert(path);
        }
    }
    ReadOutcome { settings: None, problems }
}

const STAND_IN_TEXTS: [&str; 9] =
    ["1s", "x", "127.0.0.1:1", "http://localhost/", "text", "full", "skip", "UTC", "00:00"];

/// Stand-ins, tried in turn; a setting of any type accepts one of them.
fn stand_in(nth: usize) -> Option<Value> {
    match nth {
        0 => Some(Value::Dict(Tag::Default, Dict::new())),
        1 => Some(Value::from(1)),
        2 => Some(Value::from(true)),
        3 => Some(Value::Array(Tag::Default, Vec::new())),
        _ => STAND_IN_TEXTS.get(nth - 4).copied().map(Value::from),
    }
}

fn wants_text(kind: &Kind) -> bool {
    matches!(kind, Kind::InvalidType(_, expected) if expected.contains("string"))
}

fn problem(origin: Origin, path: &[String], kind: &Kind) -> Problem {
    let key = path.join(".");
    let name = path.iter().rev().find(|part| part.parse::<usize>().is_err()).map_or("", String::as_str);
    let (wrong, allowed) = match kind {
        Kind::UnknownField(field, known) => ("is not a setting".to_owned(), instead_of(field, known)),
        Kind::MissingField(_) => ("is not set".to_owned(), "a value, as config/base.toml describes it".to_owned()),
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            (format!("is {}", shown(actual)), in_words(expected))
        }
        Kind::UnknownVariant(given, known) => (format!("is {}", quoted(given)), listed(known)),
        other => {
            let reason: String = redact::scrub_url(&other.to_string()).chars().take(200).collect();
            (format!("cannot be read: {reason}"), example(name).to_owned())
        }
    };
    Problem { origin, key, wrong, allowed }
}

fn instead_of(field: &str, known: &[&str]) -> String {
    if redact::names_a_secret(field) {
        return "no credential in a file or a PERCH__ variable; they come from environment variables of their own \
                (REDIS_URL, DATABASE_URL, X_API_BEARER_TOKEN, the variable named by api_key_env, …)"
            .into();
    }
    listed(known)
}

fn listed(known: &[&str]) -> String {
    known.join(", ")
}

fn shown(actual: &Actual) -> String {
    match actual {
        Actual::Bool(flag) => flag.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Str(text) => format!("the text {}", quoted(text)),
        Actual::Seq => "a list".into(),
        Actual::Map => "a table".into(),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let short: String = redact::scrub_url(text).chars().take(60).collect();
    format!("{short:?}")
}

fn in_words(expected: &str) -> String {
    let words = match expected {
        "a boolean" => "true or false",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "f32" | "f64" => "a number",
        "a string" => "text in quotes",
        "a duration" => "a duration with its unit, such as \"30s\", \"5m\" or \"24h\"",
        "socket address" => example("bind"),
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    words.to_owned()
}

fn example(name: &str) -> &'static str {
    match name {
        "bind" => "an address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"",
        "base_url" => "a URL such as \"https://api.example.com/v1\"",
        "from" | "to" => "a time of day, such as \"23:00\"",
        "timezone" => "a name of the IANA time zone database, such as \"Europe/Berlin\" or \"UTC\"",
        _ => "a value as config/base.toml describes it",
    }
}
