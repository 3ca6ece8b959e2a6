//! Which posts are worth a model call.

use perch_bot_picks::rules::worth;
use serde_json::Value;

#[test]
fn no_labelled_pick_is_left_out_and_most_of_the_rest_is_saved() {
    let files = [
        include_str!("data/examples.jsonl"),
        include_str!("data/notation.jsonl"),
        include_str!("data/street.jsonl"),
        include_str!("data/corner.jsonl"),
        include_str!("data/crowd.jsonl"),
        include_str!("data/alley.jsonl"),
        include_str!("data/hard.jsonl"),
    ];
    let (mut nulls, mut saved) = (0, 0);
    for line in files.into_iter().flat_map(str::lines) {
        let row: Value = serde_json::from_str(line).expect("each line is JSON");
        let verdict = worth(row["text"].as_str().expect("a text"), false);
        if row["expected"].is_null() {
            nulls += 1;
            saved += usize::from(!verdict.worth);
            if verdict.worth {
                println!("a call too many: {line}");
            }
        } else {
            assert!(verdict.worth, "{}: {line}", verdict.reason);
        }
    }
    println!("{saved} of {nulls} posts without a pick cost no call");
    assert!(saved * 100 >= nulls * 80, "only {saved} of {nulls} posts without a pick are saved");
}

#[test]
fn each_verdict_has_its_reason() {
    for (text, has_pictures, worth_it, reason) in [
        ("Lakers -3.5 (-110) 2u", false, true, "the rules read a bet in it"),
        ("Somebody unheard of at +450 is my sleeper", false, true, "it speaks of odds, a line or a stake"),
        ("", true, true, "it is a picture"),
        ("👇", true, true, "its picture may show a bet"),
        ("Tonight's card 👇", true, true, "its picture may show a bet"),
        ("", false, false, "there is nothing to read"),
        ("3-0 last night! Celtics ML ✅", false, false, "it looks back"),
        ("Recap: 2-1 on the night", true, false, "it looks back"),
        ("Join the VIP, link in bio", true, false, "it advertises"),
        ("Sharps opened this one low", false, false, "it speaks of lines, not bets"),
        ("Who are we on today?", false, false, "it asks"),
        ("What a beautiful day", false, false, "it names no bet"),
    ] {
        let verdict = worth(text, has_pictures);
        assert_eq!((verdict.worth, verdict.reason), (worth_it, reason), "{text:?}");
    }
}
