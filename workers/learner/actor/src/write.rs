//! Writes candidates.

use perch_sandbox::{Draw, Question};
use serde_json::json;

/// The name of the schema in requests for candidates.
const SCHEMA: &str = "candidates";
/// The most posts of one answer.
const MOST: usize = 24;

const CLAIMS: &str = include_str!("../data/claims.txt");
const QUESTIONS: &str = include_str!("../data/questions.txt");
const NUMBERS: &str = include_str!("../data/numbers.txt");
const STORIES: &str = include_str!("../data/stories.txt");
const MIDDLES: &str = include_str!("../data/middles.txt");
const ENDS: &str = include_str!("../data/ends.txt");

/// Candidates, where the schema asks for them.
pub(crate) fn answer(question: &Question) -> Option<String> {
    if question.schema_name.as_deref() != Some(SCHEMA) {
        return None;
    }
    let asked = question.said.first().map_or("", String::as_str);
    // The same question has the same answer; the openings that it bans make the next one another question.
    let mut draw = Draw::of(question.seed, asked, question.said.len() as u64);
    let posts: Vec<_> = kinds(asked).into_iter().map(|kind| json!({ "parts": parts(kind, &mut draw) })).collect();
    Some(json!({ "posts": posts }).to_string())
}

/// The kinds in a request: as many as posts are asked for.
fn kinds(asked: &str) -> Vec<&str> {
    let listed = |nth: usize| {
        let start = format!("{nth}. ");
        asked.lines().find_map(|line| line.strip_prefix(&start))
    };
    (1..=MOST).map_while(listed).collect()
}

/// The parts of a post of a kind, such as `rye: a thread of 4 parts, begins with a question`.
fn parts(kind: &str, draw: &mut Draw) -> Vec<String> {
    let (topic, kind) = kind.rsplit_once(": ").unwrap_or(("the day", kind));
    let topic = if topic == "a topic of your choice" { "the day" } else { topic };
    let hooks = if kind.contains("begins with a question") {
        QUESTIONS
    } else if kind.contains("begins with a number") {
        NUMBERS
    } else if kind.contains("begins with something that happened") {
        STORIES
    } else {
        CLAIMS
    };
    let hook = line(hooks, draw);
    let count = kind.split_once("a thread of ").and_then(|(_, rest)| rest.split(' ').next()?.parse::<usize>().ok());
    let mut parts = match count {
        Some(count) => {
            let mut parts = vec![hook.to_owned()];
            let mut middles = lines(MIDDLES);
            while parts.len() + 1 < count && !middles.is_empty() {
                parts.push(middles.remove(draw.index(middles.len())).to_owned());
            }
            parts.push(line(ENDS, draw).to_owned());
            parts
        }
        None if kind.contains("lists") => {
            let mut middles = lines(MIDDLES);
            let mut list = vec![hook.to_owned()];
            for _ in 0..2 {
                list.push(format!("- {}", middles.remove(draw.index(middles.len()))));
            }
            vec![list.join("\n")]
        }
        None if kind.contains("at most 100 characters") => vec![hook.to_owned()],
        None => vec![[hook, line(MIDDLES, draw), line(ENDS, draw)].join(" ")],
    };
    for part in &mut parts {
        *part = part.replace("{topic}", topic);
    }
    parts
}

fn lines(text: &'static str) -> Vec<&'static str> {
    text.lines().filter(|line| !line.is_empty()).collect()
}

fn line(text: &'static str, draw: &mut Draw) -> &'static str {
    let lines = lines(text);
    lines[draw.index(lines.len())]
}

#[cfg(test)]
mod tests {
    use perch_safety::{Guard, GuardVerdict, Rules};

    use super::*;

    #[test]
    fn every_kind_is_written_as_it_was_asked_for() {
        let asked = "Write 3 posts for a, each part of at most 252 characters.\nThey are, in this order:\n\
                     1. rye: a thread of 4 parts, begins with a question\n2. salt: one part, begins with a number\n\
                     3. a topic of your choice: one part that lists three or four things, one on each line, begins with what it says\n";
        let question = Question {
            seed: 1,
            said: vec![asked.to_owned()],
            schema_name: Some("candidates".into()),
            ..Question::default()
        };
        let answer: serde_json::Value = serde_json::from_str(&answer(&question).expect("an answer")).expect("JSON");
        let parts = |nth: usize| answer["posts"][nth]["parts"].as_array().expect("parts").clone();
        assert_eq!((parts(0).len(), parts(1).len(), parts(2).len()), (4, 1, 1));
        assert!(parts(0)[0].as_str().is_some_and(|text| text.contains('?') && text.contains("rye")), "{answer}");
        assert!(parts(1)[0].as_str().is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit())), "{answer}");
        assert_eq!(parts(2)[0].as_str().map(|text| text.lines().count()), Some(3));
    }

    #[test]
    fn every_part_fits_and_the_guard_lets_it_pass() {
        let guard = Guard::new(&Rules::default()).expect("the lists can be read");
        let mut draw = Draw::new(7);
        for kind in ["claim", "a question", "a number", "something that happened"] {
            for form in ["one part", "one part that lists three or four things", "a thread of 5 parts"] {
                for _ in 0..100 {
                    for text in parts(&format!("slow mornings: {form}, begins with {kind}"), &mut draw) {
                        assert_eq!(guard.text(&text, None), GuardVerdict::Pass, "{text}");
                        assert!(text.chars().count() <= 280, "{text}");
                    }
                }
            }
        }
    }
}
