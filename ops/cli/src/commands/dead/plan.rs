//! Computes and checks the new payloads of a replay before anything is moved.

use std::collections::BTreeMap;

use perch_jobs::{JobId, JobTypes};
use perch_queue::{DeadLetter, Envelope};
use serde_json::{Value, value::RawValue};

/// Makes a new payload from a payload, or says why it cannot.
pub type Edit = Box<dyn Fn(&RawValue) -> Result<Box<RawValue>, String>>;

/// How a replay changes payloads.
pub enum Change {
    /// Not at all.
    None,
    /// Applies a filter to each.
    Filter(Edit),
    /// Replaces these with payloads from an editor.
    ByHand(BTreeMap<JobId, Box<RawValue>>),
}

/// The limits and job types that a new payload must fit.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    pub types: &'a JobTypes,
    pub max_payload_bytes: usize,
}

impl Change {
    /// The new payload of a letter, if it changes; the error says why it does not fit its job type.
    pub fn of(&self, letter: &DeadLetter, rules: Rules<'_>) -> Result<Option<Box<RawValue>>, String> {
        let payload = match self {
            Self::None => return Ok(None),
            Self::Filter(edit) => edit(&envelope(letter)?.payload)?,
            Self::ByHand(payloads) => match payloads.get(&letter.id) {
                Some(payload) => payload.clone(),
                None => return Ok(None),
            },
        };
        check(&envelope(letter)?, &payload, rules)?;
        Ok(Some(payload))
    }
}

fn envelope(letter: &DeadLetter) -> Result<Envelope, String> {
    letter.salvaged().ok_or_else(|| "its envelope cannot be read; discard it".to_owned())
}

fn check(envelope: &Envelope, payload: &RawValue, rules: Rules<'_>) -> Result<(), String> {
    let size = payload.get().len();
    if size > rules.max_payload_bytes {
        return Err(format!("the new payload is {size} bytes; the limit is {}", rules.max_payload_bytes));
    }
    let Some(job_type) = rules.types.get(envelope.kind.as_str()) else {
        return Err(format!(
            "no release of this deployment knows its kind {}; discard it, and enqueue it as another",
            envelope.kind
        ));
    };
    job_type.check(payload).map(|_| ()).map_err(|error| format!("the new payload does not fit: {error}"))
}

/// The text for an editor: an object of job id to payload.
pub fn to_text(letters: &[DeadLetter]) -> String {
    let payloads: serde_json::Map<String, Value> = letters
        .iter()
        .filter_map(|letter| {
            let payload = serde_json::from_str(letter.salvaged()?.payload.get()).ok()?;
            Some((letter.id.to_string(), payload))
        })
        .collect();
    serde_json::to_string_pretty(&payloads).unwrap_or_default()
}

/// Reads the payloads from an editor. Letters left out stay as they are; unknown ids are refused.
pub fn from_text(text: &str, letters: &[DeadLetter]) -> Result<BTreeMap<JobId, Box<RawValue>>, String> {
    let payloads: BTreeMap<JobId, Box<RawValue>> = serde_json::from_str(text)
        .map_err(|error| format!("what the editor left is not an object of job id to payload: {error}"))?;
    match payloads.keys().find(|id| !letters.iter().any(|letter| letter.id == **id)) {
        Some(id) => Err(format!("job {id} was not among those to edit")),
        None => Ok(payloads),
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::{super::edit, *};

    fn letter(envelope: &str) -> DeadLetter {
        let now = Utc::now();
        DeadLetter {
            id: JobId::at(now),
            died_at: now,
            envelope: Some(envelope.into()),
            attempts: 1,
            errors: Vec::new(),
        }
    }

    fn poll(payload: &str) -> DeadLetter {
        letter(&format!(r#"{{"kind":"poll_account","max":1,"payload":{payload}}}"#))
    }

    fn change(letter: &DeadLetter, code: &str) -> Result<Option<String>, String> {
        let types = crate::app::bots().job_types();
        let rules = Rules { types: &types, max_payload_bytes: 64 };
        let edit = edit::Edit::parse(code)?;
        let change = Change::Filter(Box::new(move |payload| edit.apply(payload)));
        change.of(letter, rules).map(|payload| payload.map(|payload| payload.get().to_owned()))
    }

    #[test]
    fn an_edited_payload_has_to_fit_its_job_type() {
        let letter = poll(r#"{"username":"a"}"#);
        assert_eq!(change(&letter, r#".username = "b""#), Ok(Some(r#"{"username":"b"}"#.to_owned())));
        let error = change(&letter, ".username = 7").expect_err("a number is no user name");
        assert!(error.contains("$.username"), "{error}");
        let error = change(&letter, r#".username = "x" * 100"#).expect_err("too large");
        assert!(error.contains("limit is 64"), "{error}");
    }

    #[test]
    fn a_letter_that_cannot_be_read_cannot_be_edited() {
        assert!(change(&letter("{"), ".").expect_err("unreadable").contains("discard"));
        let unknown = letter(r#"{"kind":"no_such_kind","max":1,"payload":{}}"#);
        assert!(change(&unknown, ".").expect_err("unknown").contains("no_such_kind"));
    }

    #[test]
    fn a_letter_that_was_damaged_or_refused_is_repaired_by_an_edit() {
        let whole =
            Envelope::decode(poll(r#"{"username":"a"}"#).envelope.expect("it has one").as_bytes()).expect("readable");
        let damaged = letter(&whole.encode().replace(r#""a""#, r#""b""#));
        assert!(damaged.decoded().is_none() && damaged.needs_repair());
        assert_eq!(change(&damaged, r#".username = "c""#), Ok(Some(r#"{"username":"c"}"#.to_owned())));
        let refused = letter(r#"{"kind":"poll_account","max":1,"refused":"no JSON","payload":"{\"username\":\"a\"}"}"#);
        assert_eq!(change(&refused, "fromjson"), Ok(Some(r#"{"username":"a"}"#.to_owned())));
        assert!(to_text(&[damaged, refused]).contains("username"));
    }

    #[test]
    fn payloads_go_to_the_editor_and_come_back_by_their_ids() {
        let letters = [poll(r#"{"username":"a"}"#), letter("{")];
        let text = to_text(&letters);
        let back = from_text(&text.replace("\"a\"", "\"b\""), &letters).expect("readable");
        assert_eq!(back.len(), 1);
        assert!(back[&letters[0].id].get().contains("\"b\""));
        let stranger = format!(r#"{{"{}":{{}}}}"#, JobId::at(Utc::now()));
        assert!(from_text(&stranger, &letters).is_err() && from_text("[]", &letters).is_err());
    }
}
