//! What the guard makes of the mentions that are played.

use perch_safety::{Code, Guard, GuardVerdict, Rules};

#[test]
fn of_the_mentions_of_the_sandbox_a_person_gets_the_cries_for_help_and_no_other() {
    let guard = Guard::new(&Rules::default()).expect("built in");
    let mut cries = 0;
    for line in include_str!("../data/mentions.jsonl").lines() {
        let text = line.split_once("\"text\": \"").map(|(_, text)| text.trim_end_matches("\"}")).expect("a text");
        let text = text.replace("{bot}", "perch_bot").replace("{first}", "Lakers").replace("{line}", "-3.5");
        let verdict = guard.mention(&text.replace("{second}", "Celtics").replace("{n}", "17"));
        let is_cry = line.contains("self_harm");
        cries += usize::from(is_cry);
        assert_eq!(verdict.says(Code::Crisis), is_cry, "{text}: {verdict:?}");
        assert_eq!(verdict == GuardVerdict::Pass, !is_cry, "{text}: {verdict:?}");
    }
    assert!(cries > 0);
}
