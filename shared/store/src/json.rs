//! JSON that Postgres can hold. `jsonb` refuses some of what JSON allows: the character U+0000, half a surrogate pair,
//! unbounded numbers, unbounded nesting.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// `json` with every U+0000 in it replaced by U+FFFD.
pub fn without_nul(json: &str) -> Cow<'_, str> {
    if !json.contains("\\u0000") {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = escape.strip_prefix("\\u0000") {
            out.push_str("\\ufffd");
            rest = after;
        } else {
            // An escape is a backslash and at least one character, which may be a backslash itself.
            let end = escape.char_indices().nth(2).map_or(escape.len(), |(i, _)| i);
            out.push_str(&escape[..end]);
            rest = &escape[end..];
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// `raw` if Postgres can hold it (once U+0000 is replaced), otherwise the same text as a JSON string.
pub(crate) fn storable(raw: Box<RawValue>) -> Box<RawValue> {
    if serde_json::from_str::<serde_json::Value>(raw.get()).is_ok() { raw } else { quoted(raw.get()) }
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> Box<RawValue> {
    serde_json::value::to_raw_value(text).expect("text is always a JSON string")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_nul_is_replaced_and_an_escaped_backslash_before_u0000_is_not() {
        assert_eq!(without_nul(r#""a\u0000b""#), r#""a\ufffdb""#);
        assert_eq!(without_nul(r#""a\\u0000b""#), r#""a\\u0000b""#);
        assert_eq!(without_nul(r#""a\\\u0000b""#), r#""a\\\ufffdb""#);
    }

    #[test]
    fn what_postgres_could_not_hold_becomes_text() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("JSON");
        assert_eq!(storable(raw(r#"{"a":1e999999}"#)).get(), r#""{\"a\":1e999999}""#);
        assert_eq!(storable(raw(r#"{"a":12345678901234567890123}"#)).get(), r#"{"a":12345678901234567890123}"#);
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(storable(raw(&deep)).get().starts_with('"'));
    }

    proptest! {
        #[test]
        fn text_keeps_its_meaning_but_for_nul(text in any::<String>(), nul in any::<bool>()) {
            let text = if nul { format!("{text}\0{text}") } else { text };
            let json = serde_json::to_string(&text).expect("JSON");
            let back: String = serde_json::from_str(&without_nul(&json)).expect("still JSON");
            prop_assert_eq!(back, text.replace('\0', "\u{fffd}"));
        }
    }
}
