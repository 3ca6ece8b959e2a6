//! Finding the requested JSON object in an answer that contains other text. No I/O.

use serde_json::{Map, Value};

/// The last JSON object in a text that has the member `field`, ignoring anything around it, such as a code fence or other words.
pub fn object_with(text: &str, field: &str) -> Option<Map<String, Value>> {
    let mut found = None;
    let mut from = 0;
    while let Some(at) = text[from..].find('{').map(|at| from + at) {
        let mut reader = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Map<String, Value>>();
        match reader.next() {
            Some(Ok(object)) => {
                from = at + reader.byte_offset();
                if object.contains_key(field) {
                    found = Some(object);
                }
            }
            _ => from = at + 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_object_is_found_in_a_fence_behind_words_and_behind_others() {
        for text in [
            r#"{"reply": "Yes."}"#,
            "```json\n{\"reply\": \"Yes.\"}\n```",
            "Here it is: {\"reply\": \"Yes.\"} Shorter?",
            r#"{"draft": {"reply": "No."}} {"reply": "Yes."}"#,
            r#"Like {"reply": "No."}, but better: {"why": "{", "reply": "Yes."}"#,
        ] {
            assert_eq!(object_with(text, "reply").map(|object| object["reply"].clone()), Some(json!("Yes.")), "{text}");
        }
        for text in ["", "{", "null", "[1]", r#"{"reply": "cut"#, r#"{"answer": null}"#] {
            assert_eq!(object_with(text, "reply"), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_around_it_the_object_is_found(before in "[^{]{0,60}", after in "[^{]{0,60}", reply in ".{0,60}") {
            let text = format!("{before}{}{after}", json!({ "reply": reply }));
            prop_assert_eq!(object_with(&text, "reply").map(|object| object["reply"].clone()), Some(json!(reply)));
        }
    }
}
