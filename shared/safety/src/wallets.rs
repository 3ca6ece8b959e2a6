//! Finding addresses of wallets by their form, and by their checksum if they are written in groups.

mod bech32;
mod ton;

use std::ops::Range;

/// The shortest address in base 58.
const SHORTEST: usize = 26;
/// The longest: one of Monero has 95.
const LONGEST: usize = 106;
/// The longest in base 58 that ends with a checksum.
const LONGEST_CHECKED: usize = 36;
/// Hexadecimal digits of an address of Ethereum and similar chains, and of a transaction or a key.
const HEX: [usize; 2] = [40, 64];
/// The most signs and spaces between two groups of an address.
const APART: usize = 3;

/// Finds addresses of wallets; the ranges are indices of `chars`.
pub(crate) fn find(chars: &[char], mut found: impl FnMut(Range<usize>)) {
    let words = stretches(chars, |c| c.is_ascii_alphanumeric());
    for (nth, word) in words.iter().enumerate() {
        let text: String = chars[word.clone()].iter().collect();
        if is_address(&text) || ton::is_account(chars, word) {
            found(word.clone());
        } else if let Some(end) = spread(chars, &words[nth..]) {
            found(word.start..end);
        }
    }
    // Addresses of TON contain signs that separate the groups of other addresses.
    let words = stretches(chars, ton::belongs);
    for (nth, word) in words.iter().enumerate() {
        ton::within(chars, word).into_iter().for_each(&mut found);
        if let Some(end) = spread_ton(chars, &words[nth..]) {
            found(word.start..end);
        }
    }
}

/// Ranges of consecutive characters that belong.
fn stretches(chars: &[char], belongs: impl Fn(char) -> bool) -> Vec<Range<usize>> {
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
    is_hex_address(text) || bech32::has_the_shape(text) || bech32::is_checked(text) || is_base58(text)
}

/// `0x` and the digits.
fn is_hex_address(text: &str) -> bool {
    hex_digits(text).is_some_and(|digits| HEX.contains(&digits.len()))
}

fn hex_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(digits)
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

/// Where an address in groups ends: `0x5290 8400 …`, `1A1zP1 eP5QGe …`, `bc1q ar0s …`. It reads on only while the text may still become
/// an address, which prose soon cannot.
fn spread(chars: &[char], words: &[Range<usize>]) -> Option<usize> {
    let mut text = String::new();
    for (nth, word) in words.iter().enumerate() {
        if nth > 0 && word.start - words[nth - 1].end > APART {
            return None;
        }
        text.extend(&chars[word.clone()]);
        if !(begins_in_hex(&text) || begins_in_base58(&text) || bech32::begins(&text)) {
            return None;
        }
        if nth > 0 && (is_hex_address(&text) || is_checked_base58(&text) || bech32::is_checked(&text)) {
            return Some(word.end);
        }
    }
    None
}

fn begins_in_hex(text: &str) -> bool {
    text == "0" || hex_digits(text).is_some_and(|digits| digits.len() <= HEX[1])
}

fn begins_in_base58(text: &str) -> bool {
    text.len() <= LONGEST_CHECKED && text.bytes().all(of_base58)
}

/// The same for an address of TON.
fn spread_ton(chars: &[char], words: &[Range<usize>]) -> Option<usize> {
    let mut text = Vec::with_capacity(ton::LENGTH);
    for (nth, word) in words.iter().enumerate() {
        let is_near = nth == 0 || word.start - words[nth - 1].end <= APART;
        if !is_near || text.len() + word.len() > ton::LENGTH {
            return None;
        }
        text.extend_from_slice(&chars[word.clone()]);
        if text.len() == ton::LENGTH {
            return ton::is_checked(&text).then_some(word.end);
        }
    }
    None
}

/// An address of Bitcoin, Tron, Ripple and similar chains, by its checksum.
fn is_checked_base58(text: &str) -> bool {
    let is_checked = |alphabet| bs58::decode(text).with_alphabet(alphabet).with_check(None).into_vec().is_ok();
    (SHORTEST..=LONGEST_CHECKED).contains(&text.len())
        && text.bytes().all(of_base58)
        && [bs58::Alphabet::BITCOIN, bs58::Alphabet::RIPPLE].into_iter().any(is_checked)
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
