use perch_sandbox::Question;

use crate::reply;

/// The name of the schema in requests for a reply.
const SCHEMA: &str = "reply";

/// A reply to the mention between `<mention>` and `</mention>`, or to the last message where a schema asks for a reply. An objection gets
/// another reply.
pub(crate) fn answer(question: &Question) -> Option<String> {
    let asked = question.schema_name.as_deref() == Some(SCHEMA);
    let mention = question.marked("mention").or_else(|| asked.then(|| question.last()))?;
    let attempt = question.said.len() as u64;
    Some(question.in_words(&reply::to(mention, question.seed.wrapping_add(attempt))))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(said: &[&str]) -> Question {
        Question { seed: 1, said: said.iter().map(|text| (*text).to_owned()).collect(), ..Question::default() }
    }

    #[test]
    fn the_mention_gets_the_reply_and_the_same_mention_the_same_one() {
        let told = |mention: &str| {
            let said = format!("<conversation>\nx: Suns ML\n</conversation>\n<mention>\n{mention}\n</mention>");
            answer(&asked(&[&said])).expect("a reply")
        };
        let first = told("@bot who do you like?");
        assert_eq!(first, told("@bot who do you like?"));
        assert_ne!(first, told("@bot thank you!"));
        assert!(first.len() < 200 && !first.starts_with('{'), "{first}");
    }

    #[test]
    fn one_who_objects_gets_another_reply() {
        let first = "<mention>\n@bot thoughts?\n</mention>";
        assert_ne!(answer(&asked(&[first])), answer(&asked(&[first, "That cannot be posted."])));
    }

    #[test]
    fn a_reply_that_is_asked_for_by_a_schema_comes_in_its_shape() {
        let properties = json!({ "reply": { "type": "string" }, "confident": { "type": "boolean" } });
        let schema = Some(json!({ "type": "object", "properties": properties }));
        let question = Question { schema, schema_name: Some("reply".into()), ..asked(&["hi"]) };
        let told: Value = serde_json::from_str(&answer(&question).expect("a reply")).expect("JSON");
        assert!(
            told["reply"].as_str().is_some_and(|reply| reply.len() > 5) && told["confident"].is_boolean(),
            "{told}"
        );
    }

    #[test]
    fn a_question_that_is_about_no_mention_is_left_to_others() {
        assert_eq!(answer(&asked(&["<post>\nSuns ML\n</post>"])), None);
    }
}
