//! A model that reads picks out of posts, by the rules.

use perch_bot_picks::rules::read;
use perch_jobs::ExtractedBets;
use perch_sandbox::Question;
use serde_json::Value;

/// The name of the schema by which the bot asks for picks.
const SCHEMA: &str = "picks";

/// The picks of the post between `<post>` and `</post>`, or of the last message where the schema asks for picks. If the text has
/// none, the pictures are read.
pub(crate) fn answer(question: &Question) -> Option<String> {
    let asked = question.schema_name.as_deref() == Some(SCHEMA);
    let post = question.marked("post").or_else(|| asked.then(|| question.last()))?;
    // The likely answer, not the sure one: a model understands more than the rules.
    let texts = std::iter::once(post).chain(question.pictured.iter().map(String::as_str));
    let found = texts.map(|text| read(text).likely).find(|answer| *answer != ExtractedBets::Nothing(()));
    let answer = serde_json::to_value(found.unwrap_or(ExtractedBets::Nothing(()))).unwrap_or(Value::Null);
    Some(question.in_json(&answer))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(said: &[&str]) -> Question {
        Question { said: said.iter().map(|text| (*text).to_owned()).collect(), ..Question::default() }
    }

    fn answered(question: &Question) -> Value {
        serde_json::from_str(&answer(question).expect("it is asked for picks")).expect("the answer is JSON")
    }

    #[test]
    fn the_marked_post_is_read_and_nothing_around_it() {
        let content =
            "Read the picks. Example: Celtics ML -145.\n<post>\nLakers -3.5 (-110) 2u\n</post>\nAnswer in JSON.";
        let answered = answered(&asked(&[content, "That was not JSON. Answer again."]));
        assert_eq!(answered["selection"], "Los Angeles Lakers");
    }

    #[test]
    fn a_question_that_is_about_no_post_is_left_to_others() {
        assert_eq!(answer(&asked(&["<mention>\n@bot Lakers -3.5?\n</mention>"])), None);
        let by_name = Question { schema_name: Some("picks".into()), ..asked(&["Suns ML"]) };
        assert_eq!(answered(&by_name)["selection"], "Phoenix Suns");
    }

    #[test]
    fn chatter_comes_back_as_null_in_the_property_that_the_schema_has() {
        let schema = Some(json!({ "type": "object", "properties": { "answer": {} } }));
        let question = Question { schema, ..asked(&["<post>\ngood morning\n</post>"]) };
        assert_eq!(answer(&question).as_deref(), Some(r#"{"answer":null}"#));
        assert_eq!(answered(&asked(&["<post>\ngood morning\n</post>"])), Value::Null);
    }

    #[test]
    fn a_post_that_says_nothing_is_read_on_its_pictures() {
        let pictured = vec!["no bet".to_owned(), "Suns +4.5".to_owned()];
        let answered = answered(&Question { pictured, ..asked(&["<post>\nMy slip\n</post>"]) });
        assert_eq!((&answered["selection"], &answered["line"]), (&json!("Phoenix Suns"), &json!(4.5)));
    }
}
