use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// The longest name, in bytes.
const LONGEST: usize = 40;

/// The name of a persona: 1 to 40 of `a-z`, `0-9`, `_` and `-`, starting with a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct PersonaName(String);

/// A name that no persona can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be the name of a persona: use 1 to 40 of a-z, 0-9, _ and -, starting with a letter or a digit")]
pub struct InvalidPersonaName(String);

impl PersonaName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PersonaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PersonaName {
    type Err = InvalidPersonaName;

    fn from_str(text: &str) -> Result<Self, InvalidPersonaName> {
        let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        let fits = (1..=LONGEST).contains(&text.len())
            && text.bytes().all(is_inner)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidPersonaName(text.chars().take(80).collect())) }
    }
}

impl<'de> Deserialize<'de> for PersonaName {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_for_a_file_a_path_and_a_key() {
        for name in ["a", "template-bot", "0day", &"x".repeat(40)] {
            assert!(name.parse::<PersonaName>().is_ok(), "{name}");
        }
        for name in ["", "-a", "_a", "A", "a b", "a:b", "a/b", "ä", &"x".repeat(41)] {
            let error = name.parse::<PersonaName>().expect_err(name).to_string();
            assert!(error.contains("1 to 40"), "{error}");
        }
    }
}
