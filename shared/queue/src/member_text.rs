//! JSON form of set and list members, which are ids or arbitrary bytes: one character for each byte, so an id stays readable.
//! Byte 0 becomes U+0100, to avoid NUL characters.

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

pub(crate) fn serialize<S: Serializer>(member: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let text: String = member.iter().map(|&b| if b == 0 { '\u{100}' } else { char::from(b) }).collect();
    serializer.serialize_str(&text)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
    let byte = |c: char| if c == '\u{100}' { Some(0) } else { u8::try_from(u32::from(c)).ok() };
    let member: Option<Vec<u8>> = String::deserialize(d)?.chars().map(byte).collect();
    member.ok_or_else(|| D::Error::custom("it is made of characters for bytes"))
}
