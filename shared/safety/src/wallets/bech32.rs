//! Addresses in bech32: a prefix for the network, a `1`, and data that ends with a checksum (BIP 173, and BIP 350 for bech32m).

const ALPHABET: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// Networks whose addresses are recognized without checksum, so that one with a typing error is found too.
const KNOWN: [&str; 12] =
    ["bc1", "tb1", "ltc1", "addr1", "stake1", "cosmos1", "osmo1", "bnb1", "inj1", "sei1", "erd1", "tex1"];
/// The longest prefix for a network.
const LONGEST_NETWORK: usize = 12;
/// The longest data, with its checksum; that of Cardano has 98 letters.
const LONGEST_DATA: usize = 120;
/// Letters of the checksum.
const CHECK: usize = 6;
/// The valid results of the checksum in bech32 and in bech32m.
const COMES_TO: [u32; 2] = [1, 0x2bc8_30a3];

/// Whether it looks like an address of a known network.
pub(super) fn has_the_shape(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let data = KNOWN.iter().find_map(|part| lower.strip_prefix(part));
    is_in_one_case(text) && data.is_some_and(|data| (20..=LONGEST_DATA).contains(&data.len()) && values(data).is_some())
}

/// Whether its checksum is valid, for any network.
pub(super) fn is_checked(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let Some((network, data)) = lower.split_once('1').filter(|_| begins(text)) else { return false };
    let Some(values) = values(data).filter(|values| values.len() >= 20 + CHECK) else { return false };
    let high = network.bytes().map(|b| u32::from(b >> 5));
    let low = network.bytes().map(|b| u32::from(b & 31));
    COMES_TO.contains(&check(high.chain([0]).chain(low).chain(values)))
}

/// Whether an address may begin with this text.
pub(super) fn begins(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let (network, data) = lower.split_once('1').unwrap_or((&lower, ""));
    let is_network = (1..=LONGEST_NETWORK).contains(&network.len()) && network.bytes().all(|b| b.is_ascii_lowercase());
    is_network && data.len() <= LONGEST_DATA && values(data).is_some() && is_in_one_case(text)
}

fn is_in_one_case(text: &str) -> bool {
    !text.contains(|c: char| c.is_ascii_lowercase()) || !text.contains(|c: char| c.is_ascii_uppercase())
}

/// The values of the letters of the data.
fn values(data: &str) -> Option<Vec<u32>> {
    data.chars().map(|c| ALPHABET.find(c).and_then(|at| u32::try_from(at).ok())).collect()
}

/// The remainder by the generator of BIP 173.
fn check(values: impl Iterator<Item = u32>) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.fold(1, |sum, value| {
        let top = sum >> 25;
        let shifted = ((sum & 0x1ff_ffff) << 5) ^ value;
        (0..).zip(GENERATOR).fold(shifted, |sum, (bit, part)| if (top >> bit) & 1 == 1 { sum ^ part } else { sum })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_check_of_its_standard_and_no_other() {
        for address in [
            "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            "addr1vx2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzers66hrl8",
        ] {
            assert!(is_checked(address) && begins(&address[..9]), "{address}");
            let slipped = format!("{}q", &address[..address.len() - 1]);
            assert!(!is_checked(&slipped), "{slipped}");
        }
    }

    #[test]
    fn prose_does_not_begin_so_for_long() {
        for text in ["", "1", "theLakerswin", "lakers1b", "Bc1q", "thelakerswintonight"] {
            assert!(!is_checked(text));
            assert!(!begins(text), "{text}");
        }
    }
}
