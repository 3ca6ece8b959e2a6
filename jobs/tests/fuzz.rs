//! What services and models send, in every broken form: answers, payloads, names.

use perch_jobs::{AccountId, Answer, JobId, JobKind, JobTypes, PostId, QueueName};
use perch_testkit::fuzz;
use serde_json::value::RawValue;

fn corpus(name: &str) -> String {
    format!("{}/tests/corpus/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn an_answer_of_a_model_is_refused_with_its_place_or_reads_the_same_when_written_again() {
    fuzz(corpus("answers"), |input| {
        let text = String::from_utf8_lossy(input);
        match Answer::parse(&text) {
            Ok(answer) => {
                let written = serde_json::to_string(&answer).expect("an answer is JSON");
                assert_eq!(Answer::parse(&written).expect("what was written is read"), answer, "{written}");
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
    let types = JobTypes::perch();
    fuzz(corpus("payloads"), |input| {
        let Ok(text) = String::from_utf8(input.to_vec()) else { return "bytes".to_owned() };
        let Ok(payload) = RawValue::from_string(text) else { return "no json".to_owned() };
        let outcomes = types.iter().map(|job_type| match job_type.check(&payload) {
            Ok(_) => "ok".to_owned(),
            Err(error) => {
                assert!(error.path.starts_with('$') && !error.reason.is_empty(), "{error}");
                error.path
            }
        });
        outcomes.collect()
    });
}

/// Holds a name against what it is written as.
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
