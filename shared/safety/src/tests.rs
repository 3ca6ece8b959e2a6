use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

mod disguise;
mod talk;
mod ways_out;

static BUILT_IN: LazyLock<Guard> = LazyLock::new(|| Guard::new(&Rules::default()).expect("the lists can be read"));

fn guard() -> Guard {
    let rules = Rules {
        banned_topics: vec!["election{|s}".into(), "vaccin*".into(), "crypto giveaway".into(), "выборы".into()],
        crisis: vec!["rien ne va plus pour moi".into()],
        allowed_hosts: vec!["example.com".into()],
    };
    Guard::new(&rules).expect("rules that can be read")
}

fn codes(verdict: &GuardVerdict) -> Vec<Code> {
    verdict.reasons().iter().map(|reason| reason.code).collect()
}

#[test]
fn a_listed_word_is_found_in_every_disguise() {
    let guard = guard();
    for text in [
        "fuck",
        "FUCK this line",
        "what the fuuuuuck",
        "f.u.c.k",
        "f u c k you",
        "f-u-c-k",
        "f_u_c_k",
        "fu.ck",
        "f*ck",
        "f**k",
        "fu\u{200b}ck",
        "f\u{ad}u\u{2060}c\u{feff}k",
        "ｆｕｃｋ",
        "𝐟𝐮𝐜𝐤 𝐭𝐡𝐢𝐬",
        "𝓕𝓾𝓬𝓴",
        "ⓕⓤⓒⓚ",
        "🅵🆄🅲🅺",
        "🇫🇺🇨🇰",
        "fυсκ",
        "ƒцск",
        "fúçk",
        "f̶u̶c̶k̶",
        "motherfucker",
        "clusterfucks",
        "f🔥u🔥c🔥k",
        "fuсking",
        "sh1t",
        "$hit",
        "sh!t",
        "s.h.1.t",
        "ѕһіt",
        "b1tch",
        "8itch",
        "ßhit happened to bitches",
        "bullsh1tter",
        "a$$hole",
        "@sshole",
        "assh0le",
        "wankers",
        "C U N T",
        "tw@t",
    ] {
        let verdict = guard.text(text, None);
        assert!(matches!(verdict, GuardVerdict::Refuse(_)) && verdict.says(Code::Profanity), "{text}: {verdict:?}");
    }
}

#[test]
fn slurs_are_found_and_neither_published_nor_answered() {
    let guard = guard();
    for text in
        ["n1gger", "n i g g e r", "ni99er", "nіggеr", "faggots", "f@gg0t", "retarded take", "k1ke", "Heil  Hitler"]
    {
        assert!(guard.text(text, None).says(Code::Slur), "{text}");
        assert!(matches!(guard.mention(text), GuardVerdict::Refuse(_)), "{text}");
    }
}

#[test]
fn words_that_only_contain_a_listed_one_pass() {
    let guard = guard();
    for text in [
        "Scunthorpe United to win",
        "I assess the class before I pass",
        "Charles Dickens read Dickinson",
        "Cocktails at Hancock's, a peacock by the cockpit",
        "Nigeria plays Niger, a niggardly snigger",
        "Arsenal and Essex in the Sussex analysis",
        "Titans -3.5, Lakers +455, a 5-5 record, 4-5-5 ATS",
        "Shiitake mushrooms, Yamashita pitches for the Yomiuri side",
        "Wankhede Stadium, raccoon, Dick Vitale on the call",
        "The therapist wrote a grapefruit press release",
        "Basement pushing it: push it, as soon as his hits land",
        "He'll be here, she'll pass it to the asset side",
        "as s.o.o.n as possible; i.e. U.S.S.R., U.S.A.",
        "c l a s s and g r a s s, spelled",
        "Craps and blackjack, a Gamecocks win",
        "O/U 45.5 $155 +17 @-110 50/50 10* play",
        "GRÜSSE aus Düsseldorf, Straßenbahn und Spaß",
        "Спасибо за прогноз, удачи всем",
        "頑張ってください 🇺🇸🏀",
        "It is 1:15 in 5 shirts, 7 hits, 3-1 count",
        "a kick-ass chink in the armor, tit for tat",
    ] {
        assert_eq!(guard.text(text, None), GuardVerdict::Pass, "{text}");
    }
}

#[test]
fn what_also_has_a_harmless_meaning_is_looked_at_by_a_person() {
    let guard = guard();
    for text in ["what an ass", "a55 move", "this dick again", "piss poor", "d.a.m.n"] {
        let verdict = guard.text(text, None);
        assert!(matches!(verdict, GuardVerdict::Review(_)) && verdict.says(Code::Coarse), "{text}: {verdict:?}");
        assert_eq!(guard.mention(text), GuardVerdict::Pass, "{text}");
    }
}

#[test]
fn a_mention_of_somebody_in_need_goes_to_a_person() {
    let guard = guard();
    for text in [
        "@bot I want to die",
        "honestly gonna kill myself after that beat",
        "k1ll mys3lf lol",
        "feeling suicidal tonight",
        "I dont want to live",
        "I don’t want to be here anymore",
        "no reason to live",
        "I can't stop gambling",
        "gambled away my rent, lost everything",
        "i bet my savings",
        "better off dead",
        "Rien ne va plus pour moi...",
    ] {
        let verdict = guard.mention(text);
        assert!(matches!(verdict, GuardVerdict::Review(_)) && verdict.says(Code::Crisis), "{text}: {verdict:?}");
    }
    for text in ["That bet died in overtime", "killing it tonight", "lost the last three", "I can't believe it"] {
        assert_eq!(guard.mention(text), GuardVerdict::Pass, "{text}");
    }
}

#[test]
fn threats_are_not_published_and_not_answered_by_themselves() {
    let guard = guard();
    for text in ["I'll kill you", "ill k!ll you", "kys", "k y s", "go die", "I know where you live", "hope you die"] {
        assert!(matches!(guard.text(text, None), GuardVerdict::Refuse(_)), "{text}");
        let verdict = guard.mention(text);
        assert!(matches!(verdict, GuardVerdict::Review(_)) && verdict.says(Code::Threat), "{text}: {verdict:?}");
    }
}

#[test]
fn banned_topics_are_found_as_whole_words_in_any_script() {
    let guard = guard();
    for text in ["the elections", "e l e c t i o n", "Vaccination now", "CRYPTO  giveaway!", "завтра ВЫБОРЫ"]
    {
        assert!(guard.text(text, None).says(Code::BannedTopic), "{text}");
    }
    for text in ["an electioneer", "crypto", "a giveaway"] {
        assert_eq!(guard.text(text, None), GuardVerdict::Pass, "{text}");
    }
}

#[test]
fn personal_data_is_told_by_its_shape_and_its_check_digits() {
    let guard = guard();
    for (text, code) in [
        ("write to jo.doe+bets@mail.example.org", Code::Email),
        ("jo at gmail dot com", Code::Email),
        ("jo[at]gmail[dot]com", Code::Email),
        ("call 212-555-0123", Code::Phone),
        ("(212) 555-0123 is mine", Code::Phone),
        ("+49 30 901820", Code::Phone),
        ("+1 (212) 555 0123", Code::Phone),
        ("020 7946 0958", Code::Phone),
        ("text me 2125550123", Code::Phone),
        ("４１５－５５５－０１２３", Code::Phone),
        ("GB82 WEST 1234 5698 7654 32", Code::Iban),
        ("DE89370400440532013000 please", Code::Iban),
        ("4111 1111 1111 1111", Code::Card),
        ("378282246310005", Code::Card),
        ("5555-5555-5555-4444", Code::Card),
        ("123-45-6789", Code::NationalId),
        ("server at 192.168.17.4", Code::IpAddress),
        ("He lives at 221B Baker Street.", Code::StreetAddress),
        ("Hauptstraße 12", Code::StreetAddress),
        ("PO Box 77, Reno", Code::StreetAddress),
    ] {
        let verdict = guard.text(text, None);
        assert!(matches!(verdict, GuardVerdict::Refuse(_)) && verdict.says(code), "{text}: {verdict:?}");
        assert!(matches!(guard.mention(text), GuardVerdict::Review(_)), "{text}");
    }
    for text in [
        "Lakers -110, Celtics +120 -110 -115 -120, over 220.5",
        "4111 1111 1111 1112",
        "GB82 WEST 1234 5698 7654 33",
        "2026-11-21 and 11/21/2026 at 7.30",
        "version 1.2.3 is 256.1.1.1",
        "12-5-2 ATS, 104-98, 3-2-1",
        "5 Game Road Trip, 3 Runs St. Louis, on 3rd Down Drive",
        "Post 1849212345678901234",
        "$1,234,567 at 8:30",
        "5000000000 fans",
    ] {
        assert_eq!(guard.text(text, None), GuardVerdict::Pass, "{text}");
    }
}

#[test]
fn links_go_to_allowed_hosts_and_handles_to_the_one_who_is_answered() {
    let guard = guard();
    for text in
        ["see bet.com", "https://evil.example/x", "http://example.com.evil.io", "notexample.com", "visit x dot com"]
    {
        assert!(guard.text(text, None).says(Code::Link), "{text}");
    }
    assert_eq!(guard.text("see https://example.com/a and www.example.com", None), GuardVerdict::Pass);
    assert_eq!(guard.text("@Fan well said", Some("fan")), GuardVerdict::Pass);
    for (text, answered) in
        [("@other look", Some("fan")), ("@fan", None), ("＠other hi", Some("fan")), ("hi,@other", None)]
    {
        assert!(guard.text(text, answered).says(Code::Mention), "{text}");
    }
}

#[test]
fn what_leads_elsewhere_is_taken_out_and_the_rest_stays() {
    let text = "@fan @other see https://evil.example/x?y  or www.example.com,\n  good luck @fan";
    assert_eq!(guard().without_ways_out(text, Some("fan")), "@fan see or www.example.com,\ngood luck @fan");
    assert_eq!(guard().without_ways_out("Under 220.5, no link", None), "Under 220.5, no link");
}

#[test]
fn the_length_is_that_of_x_and_nothing_is_no_text() {
    let guard = guard();
    assert_eq!(guard.text(&"ab ".repeat(93), None), GuardVerdict::Pass);
    assert_eq!(codes(&guard.text(&"日".repeat(141), None)), [Code::TooLong]);
    assert_eq!(codes(&guard.text(" \n", None)), [Code::Empty]);
    let long = "Rye needs time. ".repeat(1_500);
    assert_eq!(codes(&guard.long_text(&long, None, 23_000)), [Code::TooLong]);
    assert_eq!(guard.long_text(&long, None, 25_000), GuardVerdict::Pass);
    assert_eq!(guard.long_post(&long, 25_000), GuardVerdict::Pass);
    assert!(
        codes(&guard.long_post(&format!("{long}shit"), 25_000)).contains(&Code::Profanity),
        "it is read to its end"
    );
}

#[test]
fn a_reason_shows_its_place_and_nothing_of_the_lists() {
    let verdict = guard().text("Été: what a SH1T show", None);
    let [reason] = verdict.reasons() else { panic!("one reason: {verdict:?}") };
    assert_eq!((reason.at.start, reason.at.end, reason.found.as_str()), (12, 16, "SH1T"));
    let many = guard().text(&"fuck ".repeat(50), None);
    assert!(many.reasons().len() <= 5);
}

#[test]
fn a_text_that_is_made_to_be_slow_is_read_in_bounded_time_or_left_to_a_person() {
    let guard = guard();
    assert_eq!(guard.mention(&"a ".repeat(140)), GuardVerdict::Pass);
    let longest: String = ORDINARY.split_whitespace().cycle().flat_map(|word| [word, " "]).take(10_000).collect();
    assert_eq!(guard.mention(&longest), GuardVerdict::Pass, "the longest that X knows, of ordinary words, is read");
    let alphabet: String = ('a'..='z').collect();
    for part in ["a ", "i!l1|", "f.u.", "!", "* ", "$5s§"] {
        let verdict = guard.mention(&format!("{alphabet} {}", part.repeat(25_000 / part.len())));
        assert!(verdict == GuardVerdict::Pass || verdict.says(Code::Unreadable), "{part}: {:?}", codes(&verdict));
    }
}

#[test]
fn an_entry_that_cannot_be_looked_for_is_refused_by_its_text() {
    for entry in ["", "x", "*", "{a|b", "a}b", "{a{b|c}|d}", "!!"] {
        let rules = Rules { banned_topics: vec![entry.to_owned()], ..Rules::default() };
        let error = Guard::new(&rules).expect_err(entry);
        assert!(error.to_string().contains(&format!("{entry:?}")), "{error}");
    }
}

/// Entries that are one plain word.
fn listed() -> Vec<&'static str> {
    let plain = |entry: &str| entry.len() > 3 && entry.bytes().all(|b| b.is_ascii_lowercase() || b == b'*');
    words::built_in_entries()
        .into_iter()
        .filter(|(code, entry)| matches!(code, Code::Slur | Code::Profanity) && plain(entry))
        .map(|(_, entry)| entry.trim_matches('*'))
        .collect()
}

#[derive(Debug, Clone, Copy)]
enum Disguise {
    Upper,
    Wide,
    Bold,
    Alike,
    Leet,
    Stretched,
    Apart(char),
    Hidden(char),
    Accents,
    Starred(char),
}

fn disguised(word: &str, how: Disguise) -> String {
    let shifted = |base: u32| word.chars().filter_map(|c| char::from_u32(base + u32::from(c) - 97)).collect();
    let each = |change: &dyn Fn(usize, char) -> String| -> String {
        word.chars().enumerate().map(|(nth, c)| change(nth, c)).collect()
    };
    match how {
        Disguise::Upper => word.to_uppercase(),
        Disguise::Wide => shifted(0xff41),
        Disguise::Bold => shifted(0x1d41a),
        Disguise::Alike => each(&|_, c| {
            let at = "aceopxysijhbkmt".find(c);
            at.and_then(|at| "асеорхуѕіјһЬкмт".chars().nth(at)).unwrap_or(c).to_string()
        }),
        Disguise::Leet => each(&|nth, c| {
            let at = "aeiost".find(c).filter(|_| nth % 2 == 1);
            at.and_then(|at| "43105+".chars().nth(at)).unwrap_or(c).to_string()
        }),
        Disguise::Stretched => each(&|nth, c| c.to_string().repeat(1 + (nth * 3) % 4)),
        Disguise::Apart(sign) => each(&|nth, c| if nth == 0 { c.to_string() } else { format!("{sign}{c}") }),
        Disguise::Hidden(sign) => each(&|_, c| format!("{c}{sign}")),
        Disguise::Accents => each(&|_, c| format!("{c}\u{301}")),
        Disguise::Starred(sign) => each(&|nth, c| if nth == 1 { sign } else { c }.to_string()),
    }
}

fn any_disguise() -> impl Strategy<Value = Disguise> {
    prop_oneof![
        Just(Disguise::Upper),
        Just(Disguise::Wide),
        Just(Disguise::Bold),
        Just(Disguise::Alike),
        Just(Disguise::Leet),
        Just(Disguise::Stretched),
        prop::sample::select(vec!['.', ' ', '-', '_', '/', '\n', '🔥', '\'']).prop_map(Disguise::Apart),
        prop::sample::select(vec!['\u{200b}', '\u{200d}', '\u{ad}', '\u{2060}', '\u{fe0f}']).prop_map(Disguise::Hidden),
        Just(Disguise::Accents),
        prop::sample::select(vec!['*', '_', '#']).prop_map(Disguise::Starred),
    ]
}

const ORDINARY: &str = "the line moved again so we wait for better price tonight Lakers Celtics Titans Arsenal Essex \
    Scunthorpe Dickens assess class pass grass mass bass brass compass Massachusetts cockpit Hancock peacock analysis \
    therapist grape Sussex title button shirt shot hit sit six sixty cut count country account cup \
    fun fund funky duck luck tuck pack pick puck punt hunt hand band won one own no on an in it is as at a I if up us \
    half hook under over spread total units parlay record season coach field goal point guard Nigeria Niger Japan \
    Pakistan spice suspicious document accumulate circumstance Cumberland Matsumoto Yamashita prickly tweet twist";

proptest! {
    #[test]
    fn a_listed_word_is_found_under_any_disguise_amid_ordinary_words(
        word in prop::sample::select(listed()),
        how in any_disguise(),
        before in prop::sample::select(vec!["", "well, ", "that was ", "@bot ", "-110: "]),
        after in prop::sample::select(vec!["", "!", " tonight", ", really", " 🏀"]),
    ) {
        let text = format!("{before}{}{after}", disguised(word, how));
        let verdict = BUILT_IN.text(&text, Some("bot"));
        prop_assert!(verdict.says(Code::Slur) || verdict.says(Code::Profanity), "{text}: {verdict:?}");
    }

    #[test]
    fn ordinary_words_pass_in_any_order(
        words in prop::collection::vec(prop::sample::select(ORDINARY.split_whitespace().collect::<Vec<_>>()), 1..25),
        between in prop::sample::select(vec![" ", ", ", " - ", "\n"]),
        number in prop::sample::select(vec!["-110", "+455", "5-5", "220.5", "1u", "3rd"]),
    ) {
        let text = format!("{} {number}", words.join(between));
        let verdict = BUILT_IN.text(&text, None);
        prop_assert!(verdict == GuardVerdict::Pass || verdict.reasons().iter().all(|r| r.code == Code::TooLong), "{text}: {verdict:?}");
    }

    #[test]
    fn no_text_makes_the_guard_panic_and_places_lie_in_the_text(text in any::<String>()) {
        let length = text.chars().count();
        for verdict in [BUILT_IN.text(&text, None), BUILT_IN.mention(&text)] {
            prop_assert!(verdict.reasons().iter().all(|reason| reason.at.start <= reason.at.end && reason.at.end <= length));
        }
    }
}
