//! How much of the labelled posts the rules read right.

use perch_jobs::Answer;
use perch_picks::{rules::extract, score::Score};
use serde_json::Value;

struct Example {
    text: String,
    expected: Value,
}

fn examples(file: &str) -> Vec<Example> {
    file.lines()
        .map(|line| {
            let mut row: Value = serde_json::from_str(line).expect("each line is JSON");
            let text = row["text"].as_str().expect("each line has a text").to_owned();
            Example { text, expected: row["expected"].take() }
        })
        .collect()
}

/// The share of posts that are right in every field.
fn accuracy(examples: &[Example]) -> f64 {
    let mut score = Score::default();
    for example in examples {
        let expected = Answer::parse(&example.expected.to_string()).expect("each label is an answer");
        let got = extract(&example.text);
        if !score.add(&expected, &got) {
            println!("{}\n  got      {}\n  expected {}", example.text, json(&got), json(&expected));
        }
    }
    println!("{} of {} posts are right", score.exact, score.posts);
    score.exact_match().expect("there are examples")
}

fn json(answer: &Answer) -> String {
    serde_json::to_string(answer).expect("an answer is JSON")
}

#[test]
fn at_least_85_of_100_labelled_posts_are_read_right_to_the_field() {
    let accuracy = accuracy(&examples(include_str!("data/examples.jsonl")));
    assert!(accuracy >= 0.85, "only {accuracy:.2} of the posts are right");
}

#[test]
fn notation_beyond_the_labelled_posts_is_read_too() {
    let accuracy = accuracy(&examples(include_str!("data/notation.jsonl")));
    assert!(accuracy >= 0.95, "only {accuracy:.2} of the posts are right");
}

#[test]
fn posts_as_they_stand_in_the_street_are_read_too() {
    let accuracy = accuracy(&examples(include_str!("data/street.jsonl")));
    assert!(accuracy >= 0.95, "only {accuracy:.2} of the posts are right");
}

#[test]
fn posts_from_every_corner_are_read_too() {
    let accuracy = accuracy(&examples(include_str!("data/corner.jsonl")));
    assert!(accuracy >= 0.95, "only {accuracy:.2} of the posts are right");
}

#[test]
fn no_text_breaks_the_rules_and_every_answer_is_valid() {
    let all =
        examples(include_str!("data/examples.jsonl")).into_iter().chain(examples(include_str!("data/notation.jsonl")));
    for example in all {
        let cuts = example.text.char_indices().map(|(at, _)| at).chain([example.text.len()]);
        for cut in cuts {
            let (head, tail) = example.text.split_at(cut);
            for text in [head, tail, &format!("{tail}{head}")] {
                let answer = json(&extract(text));
                assert!(Answer::parse(&answer).is_ok(), "{text:?} gave {answer}");
            }
        }
    }
    for odd in [
        "",
        "-",
        "o",
        "+",
        "@",
        "o u o u",
        "-.5",
        "vs vs",
        "½u",
        "1e309",
        "o99999999999999999999.5",
        "\u{200d}",
        "((((",
    ] {
        assert!(Answer::parse(&json(&extract(odd))).is_ok(), "{odd:?}");
    }
}
