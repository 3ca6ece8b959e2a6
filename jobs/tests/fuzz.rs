//! Broken input from services and models: answers, payloads, names.

use perch_jobs::{AccountId, ExtractedBets, JobId, JobKind, PostId, QueueName, is_own_key};
use perch_testkit::fuzz;
use serde_json::{Value, value::RawValue};

fn corpus(name: &str) -> String {
    format!("{}/tests/corpus/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn an_answer_of_a_model_is_refused_with_its_place_or_reads_the_same_when_written_again() {
    fuzz(corpus("answers"), |input| {
        let text = String::from_utf8_lossy(input);
        match ExtractedBets::parse(&text) {
            Ok(answer) => {
                let written = serde_json::to_string(&answer).expect("an answer is JSON");
                assert_eq!(ExtractedBets::parse(&written).expect("what was written is read"), answer, "{written}");
                "ok".to_owned()
            }
            Err(error) => {
                assert!(error.path.starts_with('$') && !error.reason.is_empty(), "{error}");
                error.path
            }
        }
    });
}

#[test]
fn a_payload_is_refused_with_its_place_or_has_rules_that_can_be_followed() {
    let types = perch_jobs::types();
    fuzz(corpus("payloads"), |input| {
        let Ok(text) = String::from_utf8(input.to_vec()) else { return "bytes".to_owned() };
        let Ok(payload) = RawValue::from_string(text) else { return "no json".to_owned() };
        let outcomes = types.iter().map(|job_type| match job_type.check(&payload) {
            Ok((unique, _)) => {
                let own = unique.filter(|_| job_type.check_from_outside(&payload).is_ok());
                let chosen = payload.get().contains("effect");
                assert!(own.is_none_or(|own| chosen || is_own_key(&own.key)), "{} has a key of its own", job_type.kind);
                for wrong in with_arrays(&payload) {
                    assert!(job_type.check(&wrong).is_err(), "{} takes {wrong}", job_type.kind);
                }
                "ok".to_owned()
            }
            Err(error) => {
                assert!(error.path.starts_with('$') && !error.reason.is_empty(), "{error}");
                error.path
            }
        });
        outcomes.collect()
    });
}

/// Variants of the JSON: in each, another one of its objects is replaced by an array of the values of its fields.
fn with_arrays(payload: &RawValue) -> Vec<Box<RawValue>> {
    let whole: Value = serde_json::from_str(payload.get()).expect("it was accepted, so it is JSON");
    let objects = objects(&whole, "");
    let changed = objects.into_iter().map(|place| {
        let mut value = whole.clone();
        let object = value.pointer_mut(&place).expect("it is there");
        *object = object.as_object().expect("an object").values().cloned().collect();
        serde_json::value::to_raw_value(&value).expect("JSON")
    });
    changed.collect()
}

/// Where the objects are, as JSON pointers.
fn objects(value: &Value, place: &str) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let inside = fields.iter().flat_map(|(name, field)| {
                objects(field, &format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")))
            });
            inside.chain([place.to_owned()]).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(at, item)| objects(item, &format!("{place}/{at}"))).collect()
        }
        _ => Vec::new(),
    }
}

/// Compares a name with its written form.
fn same<T: std::str::FromStr + ToString>(text: &str) -> bool {
    let Ok(name) = text.parse::<T>() else { return false };
    assert_eq!(name.to_string(), text);
    true
}

#[test]
fn a_name_is_refused_or_is_written_as_it_was_read() {
    fuzz(corpus("names"), |input| {
        let text = String::from_utf8_lossy(input);
        let known = [
            same::<JobId>(&text),
            same::<JobKind>(&text),
            same::<QueueName>(&text),
            same::<AccountId>(&text),
            same::<PostId>(&text),
        ];
        format!("{known:?}")
    });
}
