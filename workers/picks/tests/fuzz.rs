//! Fuzzes the rules that read picks out of posts.

use perch_bot_picks::rules::read;
use perch_jobs::ExtractedBets;
use perch_testkit::fuzz;

#[test]
fn the_rules_read_something_that_is_an_answer_out_of_every_post() {
    fuzz(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/posts"), |input| {
        let text = String::from_utf8_lossy(input);
        let found = read(&text);
        let (answer, is_sure) = (found.likely.clone(), found.doubts.is_empty());
        assert_eq!(found.sure() == answer, is_sure || answer == ExtractedBets::Nothing(()), "{text:?}");
        let written = serde_json::to_string(&answer).expect("an answer is JSON");
        let again = ExtractedBets::parse(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
        assert_eq!(again, answer, "{written}");
        match answer {
            ExtractedBets::Nothing(()) => "nothing".to_owned(),
            ExtractedBets::One(pick) => format!("{:?} {} {is_sure}", pick.kind, pick.odds.is_some()),
            ExtractedBets::Several(picks) => format!("several {}", picks.len().min(4)),
            ExtractedBets::Parlay(parlay) => format!("parlay {}", parlay.picks.len().min(4)),
        }
    });
}
