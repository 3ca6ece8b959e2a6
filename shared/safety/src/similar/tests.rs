use proptest::prelude::*;
use xxhash_rust::xxh64::xxh64;

use super::{fingerprint::KEPT, units::READ_BYTES, *};

fn alike(one: &str, other: &str) -> f64 {
    similarity(&Fingerprint::of(one), &Fingerprint::of(other))
}

/// Words that differ from one another after folding.
const WORDS: &str = "wind river stone bread captain quiet marble forest garden bridge yellow winter market doctor engine \
    pepper ticket camera planet rocket silver dragon orange jungle fabric helmet island kitchen mirror museum number \
    office parrot pocket ribbon saddle school shadow spirit summer temple throne tunnel valley violin walnut window \
    wizard zebra anchor basket candle desert empire falcon guitar hammer insect jacket kettle ladder magnet";

fn words(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(WORDS.split_whitespace().collect::<Vec<_>>(), length).prop_shuffle()
}

/// Other ways to write the same.
#[derive(Debug, Clone, Copy)]
enum Disguise {
    Capitals,
    Punctuation,
    Spaces,
    Emoji,
    LookAlikes,
    FullWidth,
    Invisible,
    Accents,
    Stretched,
}

fn any_disguise() -> impl Strategy<Value = Disguise> {
    use Disguise::*;
    let all = [Capitals, Punctuation, Spaces, Emoji, LookAlikes, FullWidth, Invisible, Accents, Stretched];
    prop::sample::select(all.to_vec())
}

fn disguised(text: &str, how: Disguise) -> String {
    let look_alike = |c| match c {
        'a' => 'а',
        'e' => 'е',
        'o' => 'ο',
        'p' => 'р',
        'i' => 'і',
        's' => 'ѕ',
        c => c,
    };
    let full_width = |c: char| match c {
        'a'..='z' => char::from_u32(u32::from(c) - u32::from('a') + 0xff41).unwrap_or(c),
        c => c,
    };
    match how {
        Disguise::Capitals => text.to_uppercase(),
        Disguise::Punctuation => format!("“{}”!?", text.replace(' ', "… ")),
        Disguise::Spaces => format!("\n {}\t", text.replace(' ', " \u{3000}\n\n")),
        Disguise::Emoji => format!("🇩🇪 {} 👨\u{200d}👩\u{200d}👧", text.replace(' ', " 🔥™️ ")),
        Disguise::LookAlikes => text.chars().map(look_alike).collect(),
        Disguise::FullWidth => text.chars().map(full_width).collect(),
        Disguise::Invisible => text.chars().flat_map(|c| [c, '\u{200b}']).collect(),
        Disguise::Accents => text.replace('a', "á").replace('u', "u\u{308}"),
        Disguise::Stretched => text.replace('e', "eeee").replace('n', "nnn"),
    }
}

#[test]
fn the_hash_is_the_published_one() {
    assert_eq!(xxh64(b"", 0), 0xef46_db37_51d8_e999);
    assert_eq!(xxh64(b"abc", 0), 0x44bc_2cf5_ad77_0999);
}

/// Keys are stored, so they must not change without a migration.
#[test]
fn keys_are_those_of_earlier_releases() {
    assert_eq!(Fingerprint::keys(""), [0x51d8_e999]);
    assert_eq!(Fingerprint::keys("ABC!"), [0xad77_0999]);
    assert_eq!(Fingerprint::keys("Good luck tonight, Лакерs!"), [796_554_063, 1_760_322_407, 2_407_359_058]);
    assert_eq!(Fingerprint::keys("がんばれ、阪神 2-1"), [100_647_152, 407_118_608, 1_182_971_068, 2_943_769_064]);
}

#[test]
fn what_stands_around_the_words_does_not_count_but_what_stands_among_them_does() {
    assert!(alike("@anna @ben hello there", "hello there") >= 1.0);
    assert!(alike("hello there #nba #lakers", "Hello there 3-1 https://example.com #win 🎉") >= 1.0);
    assert!(alike("the #lakers won", "the lakers won") >= 1.0);
    assert!(alike("the @lakers won", "the celtics won") < 1.0);
    assert!(alike("#nba #lakers", "#nba #celtics") < 1.0);
    assert!(alike("hello example[.]com there", "hello there") >= 1.0);
    assert!(alike("don't worry", "dont worry") >= 1.0);
    assert!(alike("c@n we win t0night", "can we win tonight") >= 1.0);
    assert!(alike("heIlo worId", "hello world") >= 1.0);
}

#[test]
fn a_text_without_words_is_compared_as_a_whole() {
    for text in ["", "🔥", "12:30", "https://example.com/a", "\u{200b}", "@", "#"] {
        assert!(alike(text, text) >= 1.0, "{text}");
    }
    assert!(alike("🔥🔥🔥", "🔥") >= 1.0 && alike("", " \u{200b}\n") >= 1.0);
    for (one, other) in [("🔥", "🎉"), ("12:30", "13:30"), ("🔥", ""), ("🔥", "fire"), ("#", "")] {
        assert!(alike(one, other) < NEAR_DUPLICATE, "{one} {other}");
    }
}

#[test]
fn languages_without_spaces_are_compared_by_their_characters() {
    for (one, near, apart) in [
        ("今日は天気がいいですね", "今日は、天気がいいですねーー!", "明日の試合を見に行きます"),
        ("今天的比赛非常精彩", "今天的比赛非常精彩!", "我昨天学会了做红烧肉"),
        ("วันนี้อากาศดีมาก", "วันนี้อากาศดีมาก!!", "พรุ่งนี้ฉันจะไปดูบอล"),
        ("iPhone 17が発売されました", "iPhone 16が発売されました", "iPhoneを落としてしまった"),
    ] {
        assert!(alike(one, near) >= 1.0, "{one} {near}");
        assert!(alike(one, apart) < NEAR_DUPLICATE, "{one} {apart}");
    }
}

#[test]
fn the_same_opening_is_known_again_in_other_letters() {
    assert_eq!(opening("@anna 🔥 HOT take: the Lakers are done"), "hot take the lakers");
    assert_eq!(opening("Hooot take – thе Lakers will win"), "hot take the lakers");
    assert_eq!(opening("Soon"), "soon");
    assert_eq!(opening("がんばれ、阪神タイガース!"), "がんばれ阪神タイ");
    assert_eq!(opening("iPhone 17が発売されました"), "iphone が発売されま");
    assert_eq!(opening("🔥 12 https://example.com"), "");
    assert!(same_opening("Hot take: the Lakers are done", "hot take the lakers"));
    assert!(same_opening("3 reasons why you should stay", "5 reasons why you should go"));
    assert!(!same_opening("Hot take: the Lakers", "Hot take: the Celtics"));
    assert!(!same_opening("Hot take", "Hot take: the Lakers"));
    assert!(!same_opening("", "") && !same_opening("🔥", "🎉"));
}

#[test]
fn of_a_text_of_any_length_as_much_is_read_as_the_longest_post_can_have() {
    for part in ["word on word ", "日_", "#tag ", "@a", "a.com ", "\u{301}", "ﷺ", "1a", "''''", "https://", "🇩🇪", "x. "]
    {
        let text = part.repeat(3_000_000 / part.len());
        let fingerprint = Fingerprint::of(&text);
        assert_eq!(fingerprint, Fingerprint::of(&text[..text.floor_char_boundary(READ_BYTES)]), "{part}");
        assert!(opening(&text).len() <= READ_BYTES);
    }
}

#[test]
fn a_long_text_keeps_few_shingles_and_is_a_near_duplicate_of_itself_with_changes() {
    let long: Vec<String> = (0..3000_u32).map(word).collect();
    let changed: Vec<String> = (0..3000_u32).map(|n| word(if n % 10 == 0 { n + 10_000 } else { n })).collect();
    let other: Vec<String> = (0..3000_u32).map(|n| word(n + 20_000)).collect();
    let [long, changed, other] = [long, changed, other].map(|words| Fingerprint::of(&words.join(" ")));
    assert_eq!(long.shingles().len(), KEPT);
    assert!(is_near_duplicate(&long, &changed) && !is_near_duplicate(&long, &other));
}

/// A word of its own for each number.
fn word(mut number: u32) -> String {
    let mut word = String::new();
    for nth in 0..6 {
        let syllables = if nth % 2 == 0 { "bdkmnprstv" } else { "aeouyaeouy" };
        word.extend(syllables.chars().nth(number as usize % if nth % 2 == 0 { 10 } else { 5 }));
        number /= if nth % 2 == 0 { 10 } else { 5 };
    }
    word
}

proptest! {
    #[test]
    fn similarity_is_symmetric_and_a_text_is_like_itself(one in any::<String>(), other in any::<String>()) {
        prop_assert!(alike(&one, &one) >= 1.0);
        prop_assert!((alike(&one, &other) - alike(&other, &one)).abs() < f64::EPSILON);
        prop_assert!((0.0..=1.0).contains(&alike(&one, &other)));
    }

    #[test]
    fn a_disguised_text_has_the_same_fingerprint(
        words in words(1..25), disguise in any_disguise(), second in any_disguise(),
        before in prop::sample::select(vec!["", "@bot ", "@one @two: ", "12. ", "https://example.com "]),
        after in prop::sample::select(vec!["", " 12.5%", " https://example.com/x #one", "\n\n#one #two_3 🔥"]),
    ) {
        let text = words.join(" ");
        let hidden = format!("{before}{}{after}", disguised(&disguised(&text, disguise), second));
        prop_assert_eq!(Fingerprint::of(&text), Fingerprint::of(&hidden), "{}", hidden);
        prop_assert_eq!(Fingerprint::keys(&text), Fingerprint::keys(&hidden));
        prop_assert!(same_opening(&text, &hidden), "{}", hidden);
    }

    #[test]
    fn a_text_with_one_word_changed_stays_a_near_duplicate(
        words in words(6..25), at in any::<prop::sample::Index>(), how in 0..4,
    ) {
        let at = at.index(words.len() - 1);
        let mut changed = words.clone();
        match how {
            0 => changed[at] = "different",
            1 => changed.insert(at, "another"),
            2 => drop(changed.remove(at)),
            _ => changed.swap(at, at + 1),
        }
        prop_assert!(alike(&words.join(" "), &changed.join(" ")) >= NEAR_DUPLICATE, "{:?}", changed);
    }

    #[test]
    fn texts_of_unrelated_words_are_not_near_duplicates(one in "([a-k]{3,8} ){1,40}", other in "([m-z]{3,8} ){1,40}") {
        prop_assert!(alike(&one, &other) <= 0.0);
    }

    #[test]
    fn near_duplicates_share_a_key(
        one in "([abcd]{1,2}[ 日本]){0,8}", other in "([abcd]{1,2}[ 日本]){0,8}", same in "([ab] ){0,4}",
    ) {
        let (one, other) = (format!("{same}{one}"), format!("{other}{same}"));
        if is_near_duplicate(&Fingerprint::of(&one), &Fingerprint::of(&other)) {
            let keys = Fingerprint::keys(&one);
            prop_assert!(Fingerprint::keys(&other).iter().any(|key| keys.contains(key)), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn an_opening_is_short_and_its_own_opening(text in any::<String>(), words in words(1..9)) {
        prop_assert!(opening(&text).chars().filter(|c| *c == ' ').count() < 8);
        let first = opening(&words.join(" "));
        prop_assert_eq!(opening(&first), first.clone());
        prop_assert!(same_opening(&words.join(" "), &first));
    }
}
