//! Negations, conditions and other people's views, also in words that no list has: beside a plain pick, each of them prevents a pick.

use perch_bot_picks::rules::{extract, read};
use perch_jobs::{ExtractedBets, Pick};
use proptest::prelude::*;
use serde_json::Value;

/// Plain picks that the rules are sure of when they stand alone.
fn plain() -> Vec<String> {
    let texts = include_str!("data/plain.jsonl").lines().map(|line| {
        let row: Value = serde_json::from_str(line).expect("each line is JSON");
        row["text"].as_str().expect("a text").to_owned()
    });
    texts.collect()
}

fn any_plain() -> impl Strategy<Value = String> {
    prop::sample::select(plain())
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

/// People whose view it is.
const WHO: &[&str] = &[
    "I",
    "We",
    "You",
    "They",
    "He",
    "She",
    "Nobody",
    "Everyone",
    "The public",
    "Sharps",
    "My buddy",
    "Vegas",
    "The books",
    "My model",
    "Twitter",
    "A friend",
    "Some clown",
    "My ex",
    "Whoever",
    "The group chat",
];
/// Things done with a bet other than making it.
const WITHOUT_IT: &[&str] = &[
    "passed on",
    "faded",
    "won't touch",
    "never took",
    "refused",
    "cashed out of",
    "regret",
    "would avoid",
    "might take",
    "almost took",
    "used to like",
    "hate",
    "can't back",
    "should have taken",
    "skipped",
    "bailed on",
    "hedged",
    "sold",
    "laughed at",
    "talked me out of",
    "posted",
    "screenshotted",
    "deleted",
    "voided",
    "wanted",
    "considered",
    "doubt",
    "dread",
    "mock",
    "am staying off",
    "am scared of",
    "lost on",
    "got burned by",
    "had",
    "was on",
    "is done with",
    "walked away from",
];
/// Words before a bet that is not made, or not yet made.
const BEFORE: &[&str] = &[
    "Not betting",
    "Never",
    "No way on",
    "Don't bet",
    "Do not touch",
    "Avoid",
    "Skip",
    "Pass on",
    "Passing on",
    "Fade",
    "Fading",
    "FADE",
    "Stay away from",
    "Staying off",
    "Steer clear of",
    "Forget",
    "Scratch",
    "Cancel",
    "Cancelled",
    "Void",
    "Voided",
    "If it drops, then",
    "Only if it moves:",
    "Unless he sits,",
    "Waiting on",
    "Once it hits plus money,",
    "In case you wondered,",
    "Assuming he plays,",
    "Provided it holds,",
    "Hypothetically",
    "Imagine",
    "Supposedly",
    "Allegedly",
    "Reportedly",
    "According to ESPN,",
    "Quote:",
    "Rumor:",
    "Line watch:",
    "Opening line",
    "Closing line",
    "Yesterday",
    "Last night",
    "Last week:",
    "Had",
    "Lost",
    "Won",
    "Should I bet",
    "Would you take",
    "Who has",
    "Thoughts on",
    "Poll:",
    "Sarcasm:",
    "lol",
    "Ugh,",
    "Hard no on",
    "Trap:",
    "Nope:",
    "Too late for",
    "Out on",
    "Off",
    "Done with",
    "Anything but",
    "Instead of",
    "Rather than",
    "Nobody bets",
    "Wish I had",
    "Hedged",
    "Cashed out",
    "Closed",
    "Sold",
    "Regret",
    "Remember",
    "Opposite of",
    "The other side of",
    "Against",
    "Zero units on",
    "Bad bet:",
    "Worst bet:",
    "Sucker bet:",
    "Public bet:",
    "Everyone is on",
    "They love",
    "He likes",
    "My wife took",
    "Lay",
    "LAY",
    "Laying",
    "Laid",
    "I lay",
    "0/10 confidence",
    "1/10 confident",
    "Confidence 2/5",
    "0%",
    "$0 on",
    "0u",
];
/// Words that take a bet back, or make it conditional.
const AFTER: &[&str] = &[
    "PASS",
    "pass",
    "no bet",
    "not today",
    "not for me",
    "never again",
    "is a trap",
    "is dead",
    "is off",
    "is wrong",
    "was yesterday",
    "cancelled",
    "void",
    "voided",
    "withdrawn",
    "retracted",
    "sold",
    "closed",
    "cashed out",
    "lost",
    "won",
    "pushed",
    "L",
    "jk",
    "just kidding",
    "lol",
    "lmao",
    "/s",
    "not",
    "NOT",
    "nah",
    "nope",
    "no thanks",
    "hard pass",
    "scratch that",
    "never mind",
    "if he plays",
    "unless it moves",
    "only at plus money",
    "when it drops",
    "until tip",
    "once confirmed",
    "pending news",
    "in your dreams",
    "said nobody",
    "says my uncle",
    "they said",
    "according to him",
    "allegedly",
    "maybe",
    "perhaps",
    "probably",
    "thoughts",
    "or",
    "or not",
    "vs the world",
    "but no",
    "but I'm out",
    "though I passed",
    "however no",
    "yikes",
    "ouch",
    "rip",
    "ha",
    "smh",
    "off the card",
    "taken down",
    "deleted",
    "expired",
    "gone",
    "too late",
    "wasn't it",
    "isn't it",
    "was bad",
    "lay",
    "(lay)",
    "0/10 confidence",
    "1/10 confidence",
    "confidence: 2/10",
    "conf 1/5",
    "3/10 confident",
    "0% confident",
    "5% confident",
    "0 units",
    "0u",
    "$0",
    "$0.00",
    "0%",
    "❌",
    "🚫",
    "👎",
    "🤡",
    "💀",
    "😂",
    "🤣",
    "🙄",
    "🤔",
    "?",
    "??",
    "L ❌",
    "⛔",
    "🗑️",
    "🙅‍♂️",
    "✖️",
    "✗",
    "☠️",
    "🧢",
    "🛑",
];
const LINKS: &[&str] = &[" ", ": ", ", ", ". ", "! ", "\n", "\n\n", " - ", " — ", "... ", " | ", "; "];

fn is_no_pick(text: &str) -> Result<(), TestCaseError> {
    prop_assert!(extract(text) == ExtractedBets::Nothing(()), "{text:?} is read as {:?}", read(text));
    Ok(())
}

/// Whether the text is read as one pick with a stake.
fn tells_a_stake(text: &str) -> bool {
    matches!(extract(text), ExtractedBets::One(Pick { units: Some(_), .. }))
}

#[test]
fn who_lays_a_side_at_the_price_of_an_exchange_backs_nobody() {
    for text in [
        "Lay Arsenal @ 2.1",
        "Lay Arsenal @ 2.10 2u",
        "Laying Arsenal to win @ 2.10",
        "LAY: Arsenal ML @ 1.85",
        "Laid Djokovic @ 1.30 1u",
        "Arsenal lay @ 2.10",
        "Arsenal v Chelsea: lay the draw @ 3.40",
        "Lay the draw @ 3.40",
        "Lay Liverpool v Everton over 2.5 @ 1.88",
        "Lay Arsenal -0.5 @ 1.93",
        "Lay of the day: Arsenal @ 2.10",
        // A price on a betting exchange, not a line.
        "Lay 2.5 Arsenal 1u",
        "Laying 3.5 on Arsenal 1u",
        "Getting 2.5 on Arsenal 1u",
        "Arsenal, getting 3.5, 1u",
    ] {
        assert_eq!(extract(text), ExtractedBets::Nothing(()), "{text:?} is read as {:?}", read(text));
    }
}

#[test]
fn points_that_are_taken_or_laid_against_the_sign_of_the_line_make_no_pick() {
    for text in [
        "Taking the points Lakers -3.5 -110 1u",
        "Lakers -3.5 -110 1u, taking the points",
        "Lakers -3.5 -110 1u. Taking the points",
        "Take the points. Lakers -3.5 -110",
        "Lakers Celtics -3.5 taking the points 1u",
        "Taking the points: Lakers ML -120",
        "Lakers ML -120 1u. Take the points!",
        "Lakers -3.5 plus the points -110",
        "Lakers pk -110 taking the points",
        "Laying the points Lakers +3.5 -110 1u",
        "Lakers +3.5 -110 1u. I'll lay the points",
        "Eating the chalk: Lakers +3.5 -110",
        "Home dog Lakers -3.5 -110 1u",
    ] {
        assert_eq!(extract(text), ExtractedBets::Nothing(()), "{text:?} is read as {:?}", read(text));
    }
    for text in [
        "Taking the points with Pittsburgh: Steelers +3 -115 1u",
        "Steelers +3 -115 1u. Taking the points",
        "I'll lay the points with Baltimore tonight. Ravens -6.5 (-110) for 1 unit",
        "Home dog Steelers +3 -115 1u",
        "Lakers -3.5 -110 1u Underdog Fantasy",
    ] {
        assert_ne!(extract(text), ExtractedBets::Nothing(()), "{text:?}: {:?}", read(text).doubts);
    }
}

#[test]
fn who_has_little_or_no_confidence_makes_no_pick() {
    for how in ["0/10", "1/10", "4/10", "0/5", "2/5", "0/100", "49/100"] {
        for text in [
            format!("Lakers ML -120 {how} confidence"),
            format!("Lakers ML -120, confidence: {how}"),
            format!("Lakers ML {how} confident"),
            format!("Lakers ML -120 1u. Confidence {how}"),
        ] {
            assert_eq!(extract(&text), ExtractedBets::Nothing(()), "{text:?} is read as {:?}", read(&text));
        }
    }
    for how in ["5/10", "8/10", "10/10", "3/5", "100/100"] {
        let text = format!("Lakers ML -120 {how} confidence");
        assert_ne!(extract(&text), ExtractedBets::Nothing(()), "{text:?}: {:?}", read(&text).doubts);
    }
}

#[test]
fn each_plain_pick_is_one_by_itself() {
    for text in plain() {
        assert_ne!(extract(&text), ExtractedBets::Nothing(()), "{text:?}: {:?}", read(&text).doubts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn a_pick_behind_a_negation_a_condition_or_somebody_elses_view_is_none(
        pick in any_plain(),
        before in prop_oneof![
            one_of(BEFORE),
            (one_of(WHO), one_of(WITHOUT_IT)).prop_map(|(who, what)| format!("{who} {what}")),
            (one_of(WHO), one_of(WITHOUT_IT)).prop_map(|(who, what)| format!("{who} {what} this one")),
        ],
        link in one_of(LINKS),
    ) {
        is_no_pick(&format!("{before}{link}{pick}"))?;
    }

    #[test]
    fn a_pick_that_is_taken_back_or_asked_about_is_none(
        pick in any_plain(),
        after in prop_oneof![
            one_of(AFTER),
            (one_of(WHO), one_of(WITHOUT_IT)).prop_map(|(who, what)| format!("{who} {what} this")),
        ],
        link in one_of(LINKS),
    ) {
        is_no_pick(&format!("{pick}{link}{after}"))?;
    }

    #[test]
    fn a_word_that_nobody_knows_makes_no_pick_wherever_it_stands(
        pick in any_plain(),
        word in "[bcdfghjkmnqrtvwxz][aeiy][bcdfghjkmnqrtvwxz]{2}[aeiy][bcdfghjkmnqrtvwxz]{1,3}",
        at in any::<prop::sample::Index>(),
    ) {
        let words: Vec<&str> = pick.split(' ').collect();
        let at = at.index(words.len() + 1);
        let text = [&words[..at], &[word.as_str()], &words[at..]].concat().join(" ");
        is_no_pick(&text)?;
    }

    #[test]
    fn a_second_price_of_which_none_is_said_to_count_makes_no_pick(
        pick in any_plain().prop_filter("one bet", |pick| !pick.contains('\n') && pick.contains("-110")),
        price in prop::sample::select(vec!["-105", "+120", "(-125)", "-115 at open", "@ 2.10", "/-120"]),
    ) {
        is_no_pick(&format!("{pick} {price}"))?;
    }

    #[test]
    fn a_second_stake_of_another_size_makes_no_pick(
        pick in any_plain().prop_filter("one stake", |pick| tells_a_stake(pick)),
        stake in prop::sample::select(vec!["0 units", "0u", "0.5u", "7.5 units", "Units: 7.5", "Stake: 0", "0 u"]),
        link in one_of(LINKS),
    ) {
        is_no_pick(&format!("{pick}{link}{stake}"))?;
    }

    #[test]
    fn points_that_a_pick_does_not_get_make_no_pick(
        pick in any_plain().prop_filter("gets no points", |pick| !pick.contains('+')),
        points in prop::sample::select(vec!["Taking the points", "Take the points", "taking the points", "plus the points"]),
        link in one_of(LINKS),
        ahead in any::<bool>(),
    ) {
        let text = if ahead { format!("{points}{link}{pick}") } else { format!("{pick}{link}{points}") };
        is_no_pick(&text)?;
    }
}
