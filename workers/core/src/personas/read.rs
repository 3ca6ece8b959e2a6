//! Reads a persona as JSON, and names every field that cannot be read.

use perch_jobs::strict::Strict;
use serde_json::Value;

use super::{FieldProblem, PersonaSpec, model::KNOWN};

impl PersonaSpec {
    /// Reads a persona. A field that is null counts as left out. Every field that is unknown is named, and the first that cannot be read.
    ///
    /// # Errors
    ///
    /// The problems, at least one.
    pub fn from_json(value: Value) -> Result<Self, Vec<FieldProblem>> {
        let Value::Object(mut fields) = value else {
            let reason = "is no table of fields".to_owned();
            return Err(vec![FieldProblem { field: "spec".to_owned(), reason }]);
        };
        fields.retain(|_, value| !value.is_null());
        let mut problems = Vec::new();
        fields.retain(|name, _| {
            if !KNOWN.contains(name) {
                problems.push(unknown(name));
            }
            KNOWN.contains(name)
        });
        match serde_path_to_error::deserialize(Strict::new(Value::Object(fields))) {
            Ok(spec) if problems.is_empty() => Ok(spec),
            Ok(_) => Err(problems),
            Err(error) => {
                problems.push(unreadable(&error));
                Err(problems)
            }
        }
    }
}

fn unknown(name: &str) -> FieldProblem {
    let known = KNOWN.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let field: String = name.chars().take(80).collect();
    FieldProblem { field, reason: format!("is no field of a persona; there are {known}") }
}

fn unreadable(error: &serde_path_to_error::Error<serde_json::Error>) -> FieldProblem {
    let (path, reason) = (error.path().to_string(), error.inner().to_string());
    // A field that is missing is named by the error alone.
    let missing = reason.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    match missing {
        Some((name, _)) if path == "." => FieldProblem { field: name.to_owned(), reason: "is missing".to_owned() },
        Some((name, _)) => FieldProblem { field: format!("{path}.{name}"), reason: "is missing".to_owned() },
        None => FieldProblem { field: path, reason },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(value: Value) -> Vec<String> {
        let problems = PersonaSpec::from_json(value).expect_err("it cannot be so");
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_unknown_field_and_the_first_unreadable_one_are_named() {
        let value =
            json!({ "account": "main", "prompt": "You are kind.", "mood": "glad", "colour": 1, "max_length": "long" });
        let found = problems(value);
        assert!(found[0].starts_with("colour: is no field") && found[1].starts_with("mood: is no field"), "{found:?}");
        assert!(found[2].starts_with("max_length: ") && found.len() == 3, "{found:?}");
        let topics =
            json!({ "account": "main", "prompt": "You are kind.", "topics": [{ "name": "rye" }, { "weight": 2.0 }] });
        assert_eq!(problems(topics), ["topics[1].name: is missing"]);
        assert_eq!(problems(json!({ "account": "main" })), ["prompt: is missing"]);
        assert_eq!(problems(json!([])), ["spec: is no table of fields"]);
    }

    #[test]
    fn a_field_that_is_null_counts_as_left_out() {
        let spec = PersonaSpec::from_json(
            json!({ "account": "main", "prompt": "You are kind.", "tone": null, "topics": null }),
        );
        assert_eq!(spec, Ok(PersonaSpec::new(perch_jobs::AccountId::from_static("main"), "You are kind.".into())));
    }
}
