//! What leads readers or money away, and how it is disguised: wallets, promises, tags, look-alike dots, invisible characters.

use super::*;

const WALLETS: [&str; 5] = [
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL",
    "7EcDhSYGxXyscszYEp35KHN8vvw3svAuLKTzXwCFLtV",
];

fn is_refused(verdict: &GuardVerdict, code: Code) -> bool {
    matches!(verdict, GuardVerdict::Refuse(_)) && verdict.says(code)
}

#[test]
fn no_wallet_goes_out_also_in_wide_letters_or_in_groups() {
    let wide =
        |text: &str| text.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c)).collect::<String>();
    for wallet in WALLETS {
        for text in [format!("tips: {wallet}"), format!("({wallet})"), wide(wallet), format!("{wallet}\nthank you")] {
            assert!(is_refused(&BUILT_IN.post(&text), Code::Wallet), "{text}");
        }
    }
    for text in ["0x 5290 8400 0985 2788 6E0F 7030 0698 57D2 E416 9EE7", "1A1zP1-eP5QGefi-2DMPTfTL-5SLmv7DivfNa"] {
        assert!(is_refused(&BUILT_IN.post(text), Code::Wallet), "{text}");
    }
}

/// Addresses with a checksum, of every kind. Those of TON contain signs, so their groups are only separated by white space.
const CHECKED: [&str; 12] = [
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
    "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL",
    "rDsbeomae4FXwgQTJp9Rs64Qg9vDiTCdBv",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
    "addr1vx2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzers66hrl8",
    "EQCD39VS5jcptHL8vMjEXrzGaRcCVYto7HUn4bpAOg8xqB2N",
    "UQCETswIFk4uqydjSpre4a-mWZ5YlXDnGXhOCAznR_wORex2",
];

#[test]
fn no_wallet_goes_out_whose_address_has_signs_within() {
    for wallet in [
        "EQCD39VS5jcptHL8vMjEXrzGaRcCVYto7HUn4bpAOg8xqB2N",
        "UQCETswIFk4uqydjSpre4a-mWZ5YlXDnGXhOCAznR_wORex2",
        "0:83dfd552e63729b472fcbcc8c45ebcc6691702558b68ec7527e1ba403a0f31a8",
    ] {
        for text in
            [format!("tips: {wallet}"), format!("({wallet})"), format!("-{wallet}-"), format!("{wallet}, thanks")]
        {
            assert!(is_refused(&BUILT_IN.post(&text), Code::Wallet), "{text}");
        }
    }
}

#[test]
fn no_winnings_are_promised() {
    for text in [
        "This is a guaranteed win",
        "GUARANTEED winner tonight",
        "Profit guaranteed, every week",
        "guaranteed payouts",
        "I guarantee you a win",
        "Winnings are 100% guaranteed",
        "You can't lose this bet",
        "you cannot lose",
        "risk-free play of the day",
        "R I S K  F R E E",
        "zero risk at all",
        "a sure thing",
        "sure win tonight",
        "it is free money",
        "fr33 m0ney",
        "double your bankroll by Sunday",
        "get rich with me",
        "100% sure, trust me",
        "fixed matches, dm me",
        "guaranteеd wins",
        "never miss bet of the day, we never lose",
    ] {
        let verdict = BUILT_IN.text(text, None);
        assert!(is_refused(&verdict, Code::Promise), "{text}: {verdict:?}");
    }
    for text in [
        "There is no such thing as a sure thing",
        "No guaranteed wins here, just my opinion",
        "Winnings are not guaranteed",
        "The Lakers can't lose their focus",
        "He is on a guaranteed contract",
        "A win and they are in",
        "They took a risk on fourth down and got rid of the ball",
        "Free throws decide it",
    ] {
        assert_eq!(BUILT_IN.text(text, None), GuardVerdict::Pass, "{text}");
    }
}

#[test]
fn a_reply_has_no_tags_and_a_post_that_an_operator_hands_over_may() {
    for (text, code) in [
        ("Go #Lakers", Code::Hashtag),
        ("＃betting twitter", Code::Hashtag),
        ("won it!#GamblingX", Code::Hashtag),
        ("long $DKNG and short", Code::Cashtag),
        ("＄btc to the moon", Code::Cashtag),
    ] {
        assert!(is_refused(&BUILT_IN.text(text, None), code), "{text}");
        assert_eq!(BUILT_IN.post(text), GuardVerdict::Pass, "{text}");
        assert_eq!(BUILT_IN.text(&BUILT_IN.without_ways_out(text, None), None), GuardVerdict::Pass, "{text}");
    }
    for text in ["The #1 seed at $100", "Q&A#", "# of wins: 3", "C# is a note", "US$ and A$AP"] {
        assert_eq!(BUILT_IN.text(text, None), GuardVerdict::Pass, "{text}");
    }
    assert_eq!(BUILT_IN.without_ways_out("Go #Lakers, $DKNG and #1", None), "Go Lakers, DKNG and #1");
}

/// Signs that are taken for a dot.
const DOTS: &str = "․。．｡﹒·‧∙⋅۔・";

#[test]
fn a_link_is_one_whatever_stands_for_its_dot() {
    for dot in DOTS.chars() {
        for text in [format!("see bet{dot}com now"), format!("https://evil{dot}example/x"), format!("t{dot}me/tips")] {
            assert!(is_refused(&BUILT_IN.post(&text), Code::Link), "{text}");
            assert!(!BUILT_IN.without_ways_out(&text, None).contains(dot), "{text}");
        }
        let mail = format!("jo@mail{dot}com");
        assert!(is_refused(&BUILT_IN.post(&mail), Code::Email), "{mail}");
    }
    for text in ["bet[.]com", "bet(.)com", "bet .com", "bet . com", "ｂｅｔ．ｃｏｍ", "𝐛𝐞𝐭.𝐜𝐨𝐦"]
    {
        assert!(is_refused(&BUILT_IN.post(text), Code::Link), "{text}");
    }
    let allowed = guard();
    assert_eq!(allowed.post("see example。com/a"), GuardVerdict::Pass);
    for text in ["Lakers·Celtics at 7", "Wait… what", "Over 8.5. Great game", "nice shot .", "won 3 .500 series"] {
        assert_eq!(BUILT_IN.post(text), GuardVerdict::Pass, "{text}");
    }
}

#[test]
fn characters_that_nobody_sees_do_not_go_out_and_those_that_a_script_or_an_emoji_needs_do() {
    for hidden in [
        "\u{7}",
        "\u{0}",
        "\u{1b}",
        "\u{85}",
        "\u{200b}",
        "\u{202e}",
        "\u{2066}",
        "\u{e0041}",
        "\u{e0001}",
        "\u{fe0f}",
        "\u{2800}",
    ] {
        let text = format!("Good{hidden} luck");
        assert!(is_refused(&BUILT_IN.post(&text), Code::Hidden), "{text:?}");
        assert_eq!(visible(&text), "Good luck");
        assert_eq!(BUILT_IN.without_ways_out(&text, None), "Good luck");
    }
    let smuggled = "Nice\u{1f3f4}\u{e0067}\u{e0062}\u{e0078}\u{e0078}\u{e0078}\u{e007f}";
    assert!(BUILT_IN.post(smuggled).says(Code::Hidden), "no such flag");
    for text in [
        "Family 👨‍👩‍👧‍👦 and 🧑🏽‍⚖️ and 🏳️‍🌈 ❤️‍🔥 1️⃣ ⚽️",
        "Come on England \u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        "نمی\u{200c}دانم",
        "Maccabi \u{2067}מכבי\u{2069} wins",
        "क्\u{200d}ष",
        "two\nlines\tand tabs",
        "naïve e\u{301}clair",
    ] {
        assert_eq!(BUILT_IN.post(text), GuardVerdict::Pass, "{text}");
        assert_eq!(visible(text), text);
    }
}

#[test]
fn a_text_in_which_there_is_nothing_to_see_is_empty() {
    for text in [
        "",
        " ",
        "\u{200b}",
        "\u{200b}\n\u{feff}",
        "\u{2060}\u{ad}",
        "\u{e0041}",
        "\u{3164}",
        "\u{2800}",
        "\u{202e}",
        "\u{301}",
    ] {
        assert!(BUILT_IN.text(text, None).says(Code::Empty), "{text:?}");
        assert!(BUILT_IN.post(text).says(Code::Empty), "{text:?}");
    }
    assert!(!BUILT_IN.post("👍").says(Code::Empty));
}

/// Texts that may not be published, each with its code.
fn any_banned() -> impl Strategy<Value = (String, Code)> {
    let of = |texts: &'static [&'static str], code| prop::sample::select(texts).prop_map(move |t| (t.to_owned(), code));
    prop_oneof![
        of(&WALLETS, Code::Wallet),
        of(&["bet.com", "https://evil.example/x", "t.me/tips"], Code::Link),
        of(&["jo@mail.com", "jo.doe@example.org"], Code::Email),
        of(&["guaranteed win", "risk free", "free money", "sure thing"], Code::Promise),
        of(&["#Lakers", "#GamblingX"], Code::Hashtag),
        of(&["$DKNG", "$BTC"], Code::Cashtag),
        of(&["@other", "@some_one"], Code::Mention),
        of(&["212-555-0123", "+1 (212) 555 0123"], Code::Phone),
        of(&["DE89370400440532013000"], Code::Iban),
        prop::sample::select(listed()).prop_map(|word| (word.to_owned(), Code::Profanity)),
    ]
}

fn any_hidden() -> impl Strategy<Value = char> {
    prop_oneof![
        prop::sample::select(vec![
            '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}', '\u{ad}', '\u{fe0f}', '\u{180e}'
        ]),
        prop::sample::select(vec![
            '\u{202a}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2069}', '\u{200e}', '\u{200f}'
        ]),
        (0xe0000_u32..0xe0080).prop_filter_map("a tag", char::from_u32),
        (0x1_u32..0x20).prop_filter_map("a control", char::from_u32).prop_filter("is no space", |c| !c.is_whitespace()),
        (0x80_u32..0xa0)
            .prop_filter_map("a control", char::from_u32)
            .prop_filter("is no space", |c| !c.is_whitespace()),
    ]
}

#[test]
fn what_stands_beside_something_hidden_hides_too() {
    for text in ["\u{180e}\u{180e}", "1\u{fe0f}\u{200d}❤", "❤\u{200b}\u{180e}"] {
        let left = visible(text);
        assert!(BUILT_IN.text(text, None).says(Code::Hidden) && !BUILT_IN.post(&left).says(Code::Hidden), "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_address_with_a_check_goes_out_however_it_is_grouped(
        wallet in prop::sample::select(CHECKED.to_vec()),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..60),
        sign in prop::sample::select(vec![" ", "  ", "\n", " - ", "-", ".", "_", "/"]),
        before in prop::sample::select(vec!["", "see ", "send to: ", "(", "🔥 ", "All in 1 wallet "]),
        after in prop::sample::select(vec!["", " now", "!", ") ok", " 🏀"]),
    ) {
        let is_of_ton = wallet.len() == 48;
        let sign = if is_of_ton { " " } else { sign };
        let mut ends: Vec<usize> = cuts.iter().map(|cut| 1 + cut.index(wallet.len() - 1)).collect();
        ends.sort_unstable();
        ends.dedup();
        let (mut groups, mut from) = (Vec::new(), 0);
        for end in ends.into_iter().chain([wallet.len()]) {
            groups.push(&wallet[from..end]);
            from = end;
        }
        let text = format!("{before}{}{after}", groups.join(sign));
        prop_assert!(is_refused(&BUILT_IN.post(&text), Code::Wallet), "{text}");
    }

    #[test]
    fn what_may_not_go_out_is_caught_with_any_hidden_characters_anywhere_in_it(
        (thing, code) in any_banned(),
        hidden in prop::collection::vec((any_hidden(), any::<prop::sample::Index>()), 1..6),
        before in prop::sample::select(vec!["", "see ", "send to: ", "(", "🔥 "]),
        after in prop::sample::select(vec!["", " now", "!", ") ok", " 🏀"]),
    ) {
        let mut letters: Vec<char> = thing.chars().collect();
        for (c, at) in hidden {
            letters.insert(at.index(letters.len() + 1), c);
        }
        let text = format!("{before}{}{after}", letters.into_iter().collect::<String>());
        let verdict = BUILT_IN.text(&text, None);
        let same = |found: Code| found == code || (code == Code::Profanity && found == Code::Slur);
        prop_assert!(verdict.reasons().iter().any(|reason| same(reason.code)), "{text:?}: {verdict:?}");
        prop_assert!(matches!(verdict, GuardVerdict::Refuse(_)), "{text:?}: {verdict:?}");
        prop_assert!(verdict.says(Code::Hidden), "{text:?}: {verdict:?}");
    }

    #[test]
    fn what_is_left_of_a_text_hides_nothing(
        text in prop_oneof![
            any::<String>(),
            prop::collection::vec(
                prop_oneof![any_hidden(), prop::sample::select("👨❤🏴1aم क".chars().collect::<Vec<_>>())],
                0..12,
            ).prop_map(String::from_iter),
        ],
    ) {
        let left = visible(&text);
        prop_assert!(!BUILT_IN.post(&left).says(Code::Hidden), "{text:?} became {left:?}");
        prop_assert_eq!(visible(&left), left);
    }
}
