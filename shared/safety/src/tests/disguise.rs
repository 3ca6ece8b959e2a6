//! Ways to write a word so that a person reads it and a list does not.

use super::*;

#[test]
fn signs_within_a_word_hide_nothing() {
    for text in [
        "fu'ck",
        "f'u'c'k",
        "sh’it",
        "f....u....c....k",
        "f     u     c     k",
        "f_ck",
        "f#ck",
        "f@ck",
        "f-ck",
        "fu ck this",
        "f uck",
    ] {
        let verdict = BUILT_IN.text(text, None);
        assert!(verdict.says(Code::Profanity), "{text}: {verdict:?}");
    }
    for text in ["ni'gger", "n_gger", "ni gger", "nig ger", "ni ggas", "fag got", "re tards", "n1 gger", "f_ggot"] {
        assert!(matches!(BUILT_IN.mention(text), GuardVerdict::Refuse(_)), "{text}");
    }
}

#[test]
fn letters_of_other_scripts_are_read_as_what_they_look_like() {
    for text in ["ᖴᑌᑕK", "ᖴᑌᑕᛕ", "ꓝꓴꓚꓗ", "ꓢꓧꓲꓔ", "ᔕᕼIT", "ᗯᕼOᖇᗴ", "ꓚꓴꓠꓔ"]
    {
        let verdict = BUILT_IN.text(text, None);
        assert!(verdict.says(Code::Profanity), "{text}: {verdict:?}");
    }
}

#[test]
fn a_text_that_is_shown_backwards_is_not_published_and_answered_by_a_person() {
    let turned = "you \u{202e}kcuf\u{202c} off";
    let mention = BUILT_IN.mention(turned);
    assert!(matches!(mention, GuardVerdict::Review(_)) && codes(&mention) == [Code::Unreadable], "{mention:?}");
    let own = BUILT_IN.text(turned, None);
    assert!(matches!(own, GuardVerdict::Refuse(_)) && own.says(Code::Hidden), "{own:?}");
    assert_eq!(BUILT_IN.mention("Maccabi \u{2067}מכבי\u{2069} wins"), GuardVerdict::Pass);
}

#[test]
fn what_names_and_contractions_are_written_with_is_no_disguise() {
    for text in [
        "Who're you taking? They'd cover, she'd fade it",
        "He'll be here; it's his hit, that's hit number two",
        "D'Angelo, De'Aaron, Ja'Marr, Ka'imi and Le'Veon",
        "Q&A at 5, R&D_team, T-T, A-S-K",
        "co-owner, re-start, pre-snap, well-known",
        "Ni is nickel, Gger is nothing",
        "UNC-Duke, PIT-NYG, DAL_PHI, A&M vs. W&M",
    ] {
        assert_eq!(BUILT_IN.text(text, None), GuardVerdict::Pass, "{text}");
    }
}

#[test]
fn numbers_with_wide_signs_and_names_after_any_letter_are_found() {
    for text in ["212 - 555 - 0123", "(212) - 555 - 0123", "212  555  0123", "call 1 - 212 - 555 - 0123 - 2 units"] {
        assert!(BUILT_IN.text(text, None).says(Code::Phone), "{text}");
    }
    for text in ["112 - 108 final", "5 - 3 - 2 at home", "won 200 - 300 a night", "2024 - 2025 season, 1 - 0 up"] {
        assert_eq!(BUILT_IN.text(text, None), GuardVerdict::Pass, "{text}");
    }
    for text in ["привет@other", "é@other", "見て@other"] {
        assert!(BUILT_IN.text(text, Some("fan")).says(Code::Mention), "{text}");
        assert!(!BUILT_IN.without_ways_out(text, Some("fan")).contains("@other"), "{text}");
    }
    assert!(BUILT_IN.text("приветscam.top", None).says(Code::Link));
}
