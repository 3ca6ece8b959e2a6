//! Writes batches of posts.

use perch_sandbox::{Draw, Question};
use serde_json::json;

/// The name of the schema in requests for a batch.
const SCHEMA: &str = "posts";
/// The most posts of one batch.
const MOST: usize = 50;

/// How a post begins, goes on and ends; `{topic}` is its topic.
const BEGINNINGS: &str = include_str!("../data/beginnings.txt");
const MIDDLES: &str = include_str!("../data/middles.txt");
const ENDS: &str = include_str!("../data/ends.txt");

/// A batch of posts, where the schema asks for one.
pub(crate) fn answer(question: &Question) -> Option<String> {
    if question.schema_name.as_deref() != Some(SCHEMA) {
        return None;
    }
    let asked = question.said.first().map_or("", String::as_str);
    // The same question has the same answer; the openings that it bans make the next one another question.
    let mut draw = Draw::of(question.seed, asked, question.said.len() as u64);
    let posts: Vec<_> = topics(asked).iter().map(|topic| json!({ "text": post(topic, &mut draw) })).collect();
    Some(json!({ "posts": posts }).to_string())
}

/// The topics in a request: as many as posts are asked for.
fn topics(asked: &str) -> Vec<String> {
    let first = asked.lines().next().unwrap_or_default();
    let count = first.split_whitespace().find_map(|word| word.parse::<usize>().ok()).unwrap_or(1).min(MOST);
    let listed = |nth: usize| {
        let start = format!("{nth}. ");
        asked.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
    };
    (1..=count).map(|nth| listed(nth).unwrap_or_else(|| "the day".to_owned())).collect()
}

fn post(topic: &str, draw: &mut Draw) -> String {
    let part = |text: &'static str, draw: &mut Draw| {
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        *draw.pick(&lines)
    };
    let parts = [part(BEGINNINGS, draw), part(MIDDLES, draw), part(ENDS, draw)];
    let topic = if topic == "your choice" { "the day" } else { topic };
    parts.join(" ").replace("{topic}", topic)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn batch(asked: &str) -> Vec<String> {
        let question = Question {
            seed: 1,
            said: vec![asked.to_owned()],
            schema_name: Some("posts".into()),
            ..Question::default()
        };
        let answer: Value = serde_json::from_str(&answer(&question).expect("an answer")).expect("JSON");
        answer["posts"]
            .as_array()
            .expect("posts")
            .iter()
            .map(|post| post["text"].as_str().expect("a text").to_owned())
            .collect()
    }

    #[test]
    fn as_many_posts_are_written_as_are_asked_for_each_on_its_topic() {
        let posts = batch(
            "Write 2 posts for a, each of at most 252 characters.\nTheir topics, in this order:\n1. rye\n2. your choice\n",
        );
        assert_eq!(posts.len(), 2);
        assert!(posts[0].contains("rye") && posts[1].contains("the day"), "{posts:?}");
    }

    #[test]
    fn other_openings_to_avoid_give_other_posts() {
        let asked = "Write 3 posts for a, each of at most 252 characters.\n";
        assert_eq!(batch(asked), batch(asked));
        assert_ne!(batch(asked), batch(&format!("{asked}Begin none of them like this:\n- so\n")));
    }

    #[test]
    fn another_question_is_left_to_others() {
        assert_eq!(answer(&Question { said: vec!["Write 2 posts".into()], ..Question::default() }), None);
    }

    #[test]
    fn every_post_fits_and_the_guard_lets_it_pass() {
        let guard = perch_safety::Guard::new(&perch_safety::Rules::default()).expect("the lists can be read");
        let mut draw = Draw::new(7);
        for _ in 0..500 {
            let text = post("slow mornings", &mut draw);
            assert_eq!(guard.text(&text, None), perch_safety::GuardVerdict::Pass, "{text}");
        }
    }
}
