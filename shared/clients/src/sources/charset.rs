//! Bytes to text, by what the server and the document say of their encoding.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// How far into a document its own statement of the encoding is looked for, in bytes; the HTML standard says 1024.
const HEAD: usize = 1_024;

/// The text of a document. `stated` is the charset that the server names.
///
/// A byte order mark decides; then the first of the server's statement and the document's own that decodes without a fault; then
/// UTF-8, and Windows-1252, which decodes anything.
pub(super) fn decode(bytes: &[u8], stated: Option<&str>) -> String {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark..]).0.into_owned();
    }
    let stated = stated.and_then(|label| Encoding::for_label(label.as_bytes()));
    let own = own_label(bytes).and_then(|label| Encoding::for_label(&label)).map(readable);
    let candidates = [stated, own, Some(UTF_8)].into_iter().flatten();
    for encoding in candidates {
        if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(bytes) {
            return text.into_owned();
        }
    }
    let first = stated.or(own).unwrap_or(UTF_8);
    let (text, _) = first.decode_without_bom_handling(bytes);
    if first == UTF_8 && is_garbled(&text) {
        return WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned();
    }
    text.into_owned()
}

/// A document in which the statement could be read as ASCII is not in UTF-16, whatever it says.
fn readable(encoding: &'static Encoding) -> &'static Encoding {
    if encoding.is_ascii_compatible() { encoding } else { UTF_8 }
}

/// Whether most of what is not ASCII could not be decoded.
fn is_garbled(text: &str) -> bool {
    let foreign = text.chars().filter(|c| !c.is_ascii()).count();
    let faults = text.chars().filter(|c| *c == char::REPLACEMENT_CHARACTER).count();
    faults * 2 > foreign
}

/// The encoding that a document states: `encoding="…"` of XML, `charset=…` of HTML.
fn own_label(bytes: &[u8]) -> Option<Vec<u8>> {
    let head = bytes[..bytes.len().min(HEAD)].to_ascii_lowercase();
    let key: &[u8] = if head.trim_ascii_start().starts_with(b"<?xml") { b"encoding" } else { b"charset" };
    let at = head.windows(key.len()).position(|window| window == key)? + key.len();
    let value = head[at..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let value = value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value);
    let end = value.iter().position(|b| !b.is_ascii_alphanumeric() && !b"-_.:".contains(b)).unwrap_or(value.len());
    Some(value[..end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_decoded_as_the_server_or_the_document_says() {
        let latin = b"caf\xe9";
        assert_eq!(decode(latin, Some("iso-8859-1")), "café");
        assert_eq!(
            decode(b"<?xml version='1.0' encoding='ISO-8859-2'?>\xb1", None),
            "<?xml version='1.0' encoding='ISO-8859-2'?>ą"
        );
        assert_eq!(decode(b"<meta charset=\"shift_jis\">\x93\xfa\x96\x7b", None), "<meta charset=\"shift_jis\">日本");
        assert_eq!(decode("\u{feff}日本".as_bytes(), Some("iso-8859-1")), "日本");
        assert_eq!(decode(b"\xff\xfeh\0i\0", None), "hi");
    }

    #[test]
    fn a_wrong_or_unknown_charset_does_not_garble_the_text() {
        assert_eq!(decode(b"caf\xe9", Some("utf-8")), "café");
        assert_eq!(decode(b"caf\xe9", None), "café");
        assert_eq!(decode("日本".as_bytes(), Some("klingon")), "日本");
        assert_eq!(decode("<meta charset=utf-16>日本".as_bytes(), None), "<meta charset=utf-16>日本");
        let damaged = [b"\xe9".as_slice(), "日本語です".as_bytes()].concat();
        assert_eq!(decode(&damaged, Some("utf-8")), "\u{fffd}日本語です");
        assert_eq!(decode(b"", Some("utf-8")), "");
    }
}
