use serde_json::{Map, Value, json};

/// A question to a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Question {
    /// The seed of the sandbox: with the same seed, the same question has the same answer.
    pub seed: u64,
    /// The messages of the user.
    pub said: Vec<String>,
    /// The texts on pictures of the question that the sandbox drew. Other pictures are ignored.
    pub pictured: Vec<String>,
    /// The name of the schema that the answer must match.
    pub schema_name: Option<String>,
    /// That schema.
    pub schema: Option<Value>,
}

impl Question {
    /// The text between the lines `<mark>` and `</mark>` of the last message that has them.
    pub fn marked(&self, mark: &str) -> Option<&str> {
        self.said.iter().rev().find_map(|text| between(text, mark))
    }

    /// The last message of the user.
    pub fn last(&self) -> &str {
        self.said.last().map_or("", String::as_str)
    }

    /// A text as the answer: by itself, or as each string of an object that matches the schema. Other fields of the schema get a default
    /// value of their type.
    pub fn in_words(&self, text: &str) -> String {
        self.schema.as_ref().map_or_else(|| text.to_owned(), |schema| in_shape(schema, text).to_string())
    }

    /// A value as the answer. `OpenAI`'s strict schemas have an object at the root: where the schema is an object with one property, the
    /// value is put into that.
    pub fn in_json(&self, value: &Value) -> String {
        let properties = self.schema.as_ref().and_then(|schema| schema["properties"].as_object());
        match properties.map(|p| p.keys().collect::<Vec<_>>()).as_deref() {
            Some([only]) => json!({ *only: value }).to_string(),
            _ => value.to_string(),
        }
    }
}

fn between<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    let (_, after) = text.split_once(&format!("<{mark}>"))?;
    let (inside, _) = after.rsplit_once(&format!("</{mark}>"))?;
    Some(inside.trim_matches(['\n', '\r']))
}

fn in_shape(schema: &Value, text: &str) -> Value {
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match kind {
        Some("object") => {
            let properties = schema["properties"].as_object();
            let fill = |(name, of): (&String, &Value)| (name.clone(), in_shape(of, text));
            Value::Object(properties.into_iter().flatten().map(fill).collect::<Map<_, _>>())
        }
        Some("string") => text.into(),
        Some("boolean") => false.into(),
        Some("integer" | "number") => 0.into(),
        Some("array") => json!([]),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(schema: Value) -> Question {
        Question { schema: Some(schema), ..Question::default() }
    }

    #[test]
    fn what_is_marked_is_read_of_the_last_message_that_has_it_and_nothing_around_it() {
        let first = "Example: b.\n<text>\na\n</text>\nAnswer in JSON.".to_owned();
        let said = vec![first, "That was not JSON. Answer again.".to_owned()];
        let question = Question { said, ..Question::default() };
        assert_eq!((question.marked("text"), question.marked("other")), (Some("a"), None));
        assert_eq!(question.last(), "That was not JSON. Answer again.");
    }

    #[test]
    fn a_text_comes_in_the_shape_of_its_schema() {
        assert_eq!(Question::default().in_words("hi"), "hi");
        let properties =
            json!({ "text": { "type": "string" }, "sure": { "type": "boolean" }, "of": { "enum": ["a"] } });
        let told = asked(json!({ "type": "object", "properties": properties })).in_words("hi");
        assert_eq!(
            serde_json::from_str::<Value>(&told).expect("JSON"),
            json!({ "text": "hi", "sure": false, "of": "a" })
        );
    }

    #[test]
    fn a_schema_with_one_property_at_the_root_is_filled() {
        let one = asked(json!({ "type": "object", "properties": { "answer": {} } }));
        assert_eq!(one.in_json(&Value::Null), r#"{"answer":null}"#);
        assert_eq!(Question::default().in_json(&json!([1])), "[1]");
    }
}
