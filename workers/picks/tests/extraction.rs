//! How many of the labelled posts the rules read right.

use perch_bot_picks::{
    rules::{extract, read},
    score::Score,
};
use perch_jobs::ExtractedBets;
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

/// Reads every post and prints which were left out. Asserts that no pick is wrong and that at least `least` per cent of the posts are
/// right in every field.
fn reads(file: &str, least: f64) {
    let mut score = Score::default();
    for example in examples(file) {
        let expected = ExtractedBets::parse(&example.expected.to_string()).expect("each label is an answer");
        let got = extract(&example.text);
        if score.add(&expected, &got) {
            continue;
        }
        let doubts: Vec<String> = read(&example.text).doubts.iter().map(ToString::to_string).collect();
        println!("left out: {}\n  {}", example.text, doubts.join("; "));
        assert_eq!(got, ExtractedBets::Nothing(()), "{:?} is {}", example.text, json(&expected));
    }
    println!("{} of {} posts are right, {} false picks", score.exact, score.posts, score.false_picks);
    let share = score.exact_match().expect("there are examples") * 100.0;
    assert!(share >= least, "only {share:.1} of 100 posts are right");
}

fn json(answer: &ExtractedBets) -> String {
    serde_json::to_string(answer).expect("an answer is JSON")
}

#[test]
fn the_labelled_posts_are_read_right_to_the_field() {
    reads(include_str!("data/examples.jsonl"), 95.0);
}

#[test]
fn negations_and_prices_that_were_read_wrong_are_read_right() {
    reads(include_str!("data/negations.jsonl"), 100.0);
}

#[test]
fn no_warning_is_read_as_a_pick() {
    reads(include_str!("data/warnings.jsonl"), 100.0);
}

#[test]
fn plain_picks_in_any_notation_are_read() {
    reads(include_str!("data/plain.jsonl"), 100.0);
}

#[test]
fn most_picks_amid_the_chatter_of_a_timeline_are_read() {
    reads(include_str!("data/chatter.jsonl"), 85.0);
}

#[test]
fn notation_beyond_the_labelled_posts_is_read_too() {
    reads(include_str!("data/notation.jsonl"), 95.0);
}

#[test]
fn posts_as_they_stand_in_the_street_are_read_too() {
    reads(include_str!("data/street.jsonl"), 95.0);
}

#[test]
fn posts_from_every_corner_are_read_too() {
    reads(include_str!("data/corner.jsonl"), 95.0);
}

#[test]
fn what_a_whole_crowd_posts_is_read_too() {
    reads(include_str!("data/crowd.jsonl"), 90.0);
}

#[test]
fn posts_from_the_back_alley_are_read_too() {
    reads(include_str!("data/alley.jsonl"), 90.0);
}

#[test]
fn posts_made_to_mislead_are_read_or_left_out() {
    reads(include_str!("data/hard.jsonl"), 80.0);
}

#[test]
fn a_parlay_is_all_of_its_legs_or_nothing() {
    for (text, legs) in [
        ("SGP +500: Hurts anytime TD, Barkley anytime TD, Eagles -3", 3),
        ("ATD parlay +900\nDerrick Henry\nSaquon Barkley", 2),
        ("2-leg parlay +600\nLakers ML\nBoth teams to score", 0),
        ("three leg parlay +450 1u: Bills -3, Ravens ML and the other one", 0),
        ("3-team parlay +595: Bills ML, Ravens ML, Chiefs ML", 3),
        ("Parlay +310\nLakers ML", 0),
    ] {
        let read = match extract(text) {
            ExtractedBets::Nothing(()) => 0,
            ExtractedBets::Parlay(parlay) => parlay.picks.len(),
            single => panic!("{text:?} gave {single:?}"),
        };
        assert_eq!(read, legs, "{text:?}");
    }
}

#[test]
fn a_team_without_a_price_is_a_bet_only_where_nothing_else_is_said() {
    for bet in ["Lakers -3.5", "Lock of the day: Chiefs ML 🔒", "I like Suns +4 tonight", "Lakers -3.5 2u, easy money"]
    {
        assert_ne!(extract(bet), ExtractedBets::Nothing(()), "{bet:?}");
    }
    for talk in [
        "Everybody and their mother has Chiefs -3.5",
        "Imagine having Suns +4 there",
        "Parlay died on Cowboys -3.5, thanks guys",
        "That's a W! Jets +6.5 💰",
        "Ravens -2.5 at -150 is a trap. Staying away.",
        "Over 110 hit with five minutes left",
    ] {
        assert_eq!(extract(talk), ExtractedBets::Nothing(()), "{talk:?}");
    }
}

#[test]
fn the_rest_of_a_name_is_nobody() {
    for text in ["Wayne St -3.5 -110 1u", "Weber State -3.5 -110", "St -3 -110", "Arsenal Women -1.5 -110 1u"] {
        let picks = perch_bot_picks::score::picks(&extract(text));
        let names: Vec<&str> = picks.iter().filter_map(|pick| pick.selection.as_deref()).collect();
        assert!(!names.iter().any(|name| ["St", "State", "Women", "Arsenal"].contains(name)), "{text:?}: {names:?}");
    }
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
                assert!(ExtractedBets::parse(&answer).is_ok(), "{text:?} gave {answer}");
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
        assert!(ExtractedBets::parse(&json(&extract(odd))).is_ok(), "{odd:?}");
    }
}
