//! Addresses of TON: 36 bytes in base 64, with `_` and `-` or `/` and `+` within (TEP 2), or a chain and 64 hexadecimal digits.

use std::ops::Range;

/// Letters and signs of an address.
pub(super) const LENGTH: usize = 48;
/// Its bytes: the kind, the chain, the account, and the checksum.
const BYTES: usize = 36;
const CHECK: usize = 2;
/// Kinds: bounceable or not, each also for the test network.
const KINDS: [u8; 4] = [0x11, 0x51, 0x91, 0xd1];
/// The chain of wallets, and the master chain.
const CHAINS: [u8; 2] = [0x00, 0xff];
/// Hexadecimal digits of an account.
pub(super) const ACCOUNT: usize = 64;

/// Whether it is a letter or sign of an address.
pub(super) fn belongs(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_+/".contains(c)
}

/// The addresses within a range of such letters and signs.
pub(super) fn within(chars: &[char], stretch: &Range<usize>) -> Vec<Range<usize>> {
    let starts = stretch.start..(stretch.end + 1).saturating_sub(LENGTH);
    starts.map(|at| at..at + LENGTH).filter(|at| is_checked(&chars[at.clone()])).collect()
}

/// Whether its bytes are those of an address, by their checksum: CRC 16 of XMODEM.
pub(super) fn is_checked(chars: &[char]) -> bool {
    let Some(bytes) = bytes(chars).filter(|bytes| bytes.len() == BYTES) else { return false };
    let (said, check) = bytes.split_at(BYTES - CHECK);
    KINDS.contains(&said[0]) && CHAINS.contains(&said[1]) && crc(said).to_be_bytes() == *check
}

/// Whether the digits of an account come after its chain: `0:83df…`, `-1:3333…`.
pub(super) fn is_account(chars: &[char], at: &Range<usize>) -> bool {
    let before = &chars[..at.start];
    at.len() == ACCOUNT
        && chars[at.clone()].iter().all(char::is_ascii_hexdigit)
        && (before.ends_with(&['0', ':']) || before.ends_with(&['-', '1', ':']))
}

fn bytes(chars: &[char]) -> Option<Vec<u8>> {
    let value = |c: char| match c {
        'A'..='Z' => Some(u32::from(c) - u32::from('A')),
        'a'..='z' => Some(u32::from(c) - u32::from('a') + 26),
        '0'..='9' => Some(u32::from(c) - u32::from('0') + 52),
        '+' | '-' => Some(62),
        '/' | '_' => Some(63),
        _ => None,
    };
    let four = |four: &[char]| {
        let [.., a, b, c] = four.iter().try_fold(0, |sum, c| Some(sum << 6 | value(*c)?))?.to_be_bytes();
        Some([a, b, c])
    };
    let threes: Option<Vec<[u8; 3]>> = chars.chunks(4).map(four).collect();
    threes.map(|threes| threes.concat())
}

fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8)
            .fold(crc ^ (u16::from(*byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_that_of_the_standard() {
        assert_eq!(crc(b"123456789"), 0x31c3);
        let address: Vec<char> = "EQCD39VS5jcptHL8vMjEXrzGaRcCVYto7HUn4bpAOg8xqB2N".chars().collect();
        assert!(is_checked(&address));
        for at in 0..address.len() {
            let mut slipped = address.clone();
            slipped[at] = if slipped[at] == 'A' { 'B' } else { 'A' };
            assert!(!is_checked(&slipped), "{slipped:?}");
        }
    }
}
