//! Addresses of wallets, each told by its shape, and by its check where what stands there is spread out.

use std::ops::Range;

/// The shortest address in base 58.
const SHORTEST: usize = 26;
/// The longest: one of Monero has 95.
const LONGEST: usize = 106;
/// Hexadecimal digits of an address of Ethereum and its kin.
const HEX: usize = 40;
/// Groups that an address may be spread over.
const MOST_GROUPS: usize = 16;
/// Human-readable parts of addresses in bech32.
const BECH32: [&str; 12] =
    ["bc1", "tb1", "ltc1", "addr1", "stake1", "cosmos1", "osmo1", "bnb1", "inj1", "sei1", "erd1", "tex1"];

/// Finds addresses of wallets; ranges are places among the characters.
pub(crate) fn find(chars: &[char], mut found: impl FnMut(Range<usize>)) {
    let words = words(chars);
    for (nth, word) in words.iter().enumerate() {
        let text: String = chars[word.clone()].iter().collect();
        if is_address(&text) {
            found(word.clone());
        } else if let Some(end) = spread(chars, &words[nth..]) {
            found(word.start..end);
        }
    }
}

/// Stretches of letters and digits of ASCII, with what such addresses have within: `_` and `-`.
fn words(chars: &[char]) -> Vec<Range<usize>> {
    let belongs = |c: char| c.is_ascii_alphanumeric();
    let mut words = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let end = chars[at..].iter().position(|c| !belongs(*c)).map_or(chars.len(), |n| at + n);
        if end > at {
            words.push(at..end);
        }
        at = end.max(at + 1);
    }
    words
}

fn is_address(text: &str) -> bool {
    is_hex_address(text) || is_bech32(text) || is_base58(text)
}

/// `0x` and 40 digits, or the 64 of a transaction or a key.
fn is_hex_address(text: &str) -> bool {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    digits.is_some_and(|digits| matches!(digits.len(), HEX | 64) && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_bech32(text: &str) -> bool {
    let one_case = !text.contains(|c: char| c.is_ascii_lowercase()) || !text.contains(|c: char| c.is_ascii_uppercase());
    let lower = text.to_ascii_lowercase();
    let data = BECH32.iter().find_map(|part| lower.strip_prefix(part));
    let of_the_alphabet = |b: u8| b"qpzry9x8gf2tvdw0s3jn54khce6mua7l".contains(&b);
    one_case && data.is_some_and(|data| (20..=120).contains(&data.len()) && data.bytes().all(of_the_alphabet))
}

/// Bitcoin, Tron, Solana, Ripple, Dogecoin, Monero and others: long, of the alphabet, with digits and letters of both cases.
fn is_base58(text: &str) -> bool {
    let has = |fits: fn(&u8) -> bool| text.as_bytes().iter().filter(|b| fits(b)).count();
    (SHORTEST..=LONGEST).contains(&text.len())
        && text.bytes().all(of_base58)
        && has(u8::is_ascii_digit) >= 2
        && has(u8::is_ascii_uppercase) >= 2
        && has(u8::is_ascii_lowercase) >= 2
}

fn of_base58(b: u8) -> bool {
    b.is_ascii_alphanumeric() && !b"0OIl".contains(&b)
}

/// An address in groups, with little between them: `0x5290 8400 …`, `1A1zP1 eP5QGe …`. Where the address ends.
fn spread(chars: &[char], words: &[Range<usize>]) -> Option<usize> {
    let mut text = String::new();
    let mut last: Option<&Range<usize>> = None;
    for word in words.iter().take(MOST_GROUPS) {
        let apart = last.map_or(0, |last| word.start - last.end);
        if apart > 3 || text.len() > HEX + 2 {
            return None;
        }
        text.extend(&chars[word.clone()]);
        let is_checked = (SHORTEST..=36).contains(&text.len()) && is_checked_base58(&text);
        if last.is_some() && (is_hex_address(&text) || is_checked) {
            return Some(word.end);
        }
        last = Some(word);
    }
    None
}

/// An address of Bitcoin, Tron and their kin by its check digits.
fn is_checked_base58(text: &str) -> bool {
    text.bytes().all(of_base58) && bs58::decode(text).with_check(None).into_vec().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let chars: Vec<char> = text.chars().collect();
        let mut out = Vec::new();
        find(&chars, |at| out.push(chars[at].iter().collect()));
        out
    }

    #[test]
    fn addresses_are_found_whole_and_in_groups() {
        for address in [
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
            "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
            "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL",
            "7EcDhSYGxXyscszYEp35KHN8vvw3svAuLKTzXwCFLtV",
            "rDsbeomae4FXwgQTJp9Rs64Qg9vDiTCdBv",
            "DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L",
        ] {
            assert_eq!(found(&format!("send to {address}, thanks")), [address]);
        }
        assert_eq!(found("1A1zP1eP5Q Gefi2DMPTfTL 5SLmv7DivfNa now").len(), 1);
        assert_eq!(found("0x 52908400 09852788 6E0F7030 069857D2 E4169EE7").len(), 1);
    }

    #[test]
    fn words_numbers_and_ids_are_none() {
        for text in [
            "Los Angeles Lakers -3.5 -110 2u over 221.5",
            "supercalifragilisticexpialidocious",
            "Post 1849212345678901234 and 0xbeef",
            "01KAJ3Z8Q0V5N6T7R8S9W0X1Y2",
            "de305d54-75b4-431b-adb2-eb6b9e546014",
            "bc1 is a prefix, TNP is none",
        ] {
            assert_eq!(found(text), Vec::<String>::new(), "{text}");
        }
    }
}
