//! Signs and emoji that do not change the meaning of a bet. Signs that may mean "no", "wrong" or mockery are not among them.

/// Faces and hands that cheer.
const CHEERS: &str = "😀😃😄😁😊😇🙂😉😍🥰😘😋😎🤩🥳😤🤑🤠😈👿🤝🙏💪👊✊🤞🤟🤘👌👍👆👇👉👈☝✌🫡🫶👏🙌🤙👀💯";
/// Pictures of things and animals that refuse, mock, warn or mourn.
const AGAINST: &str = "💀👎💔💩👻🤡🚫🛑🚷🚭🚯🚳🚱📵🔞🗑🧢🙅📉🥀🃏🏳🔕🔇🖕👹👺🕳🔙🔚💤🎣🚩🚽🚮🧻🪤🪦🪫🪃";
/// Punctuation that stands around the parts of a bet.
const PUNCTUATION: &str = ",.:;!()[]{}+-/|•▪►→·*&@'_▫◾◽■□●○◆◇»›‣⁃";
/// Harmless signs of the symbol blocks; the others there are crosses, warnings and the like.
const SIGNS: &str = "⭐★☆☀☁☂☃☄☎☔☕☘♈♉♊♋♌♍♎♏♐♑♒♓♠♣♥♦♨♻♾⚒⚓⚔⚖⚙⚛⚜⚡⚪⚫⚽⚾⛄⛅⛈⛏⛓⛩⛪⛰⛱⛲⛳⛴⛵⛷⛸⛹⛺✂✅☑✔✈✉✍✏✒✡✨✳✴✦❖❄❇❗❣❤➕➡➜➤▶⬆⬇⬛⬜⌚⏰⏱⏲⏳⏩⏫\u{20e3}";

/// Whether a sign does not change the meaning of a bet.
pub(super) fn is_harmless(sign: char) -> bool {
    let is_listed = [PUNCTUATION, SIGNS, CHEERS].iter().any(|list| list.contains(sign));
    is_listed || (is_picture(sign) && !AGAINST.contains(sign))
}

/// Whether a sign is an animal, weather, food, a sport, an object, a heart, a flag or a skin colour; faces are not.
fn is_picture(sign: char) -> bool {
    matches!(sign,
        '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f300}'..='\u{1f5ff}' | '\u{1f680}'..='\u{1f6ff}' | '\u{1f7e0}'..='\u{1f7eb}'
        | '\u{1f93a}'..='\u{1f93e}' | '\u{1f940}'..='\u{1f96f}' | '\u{1f980}'..='\u{1f9af}' | '\u{1f9b8}'..='\u{1f9bb}'
        | '\u{1f9c0}'..='\u{1f9cb}' | '\u{1f9d1}'..='\u{1f9d3}' | '\u{1f9d7}'..='\u{1f9ff}' | '\u{1fa70}'..='\u{1fadf}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_that_cheers_or_decorates_is_harmless_and_one_that_refuses_or_mocks_is_not() {
        for sign in "🔒🔥💰🏀🐻🍀⭐💎🚀🚨🎯⚾🦌🧊".chars() {
            assert!(is_harmless(sign), "{sign}");
        }
        for sign in "❌🚫👎🤡💀😂🤣🙄🤔😬🤮😭🧢⛔⚠🙃😅🤷❓\"^=".chars() {
            assert!(!is_harmless(sign), "{sign}");
        }
    }
}
