use std::{cmp::Ordering, fmt, str::FromStr};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use ulid::{ULID_LEN, Ulid};

/// The id of a job: a ULID, so ids sort by creation time.
///
/// As text: 26 characters of Crockford's base 32, upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Ulid);

impl JobId {
    /// A new random id with the time `at`.
    pub fn at(at: DateTime<Utc>) -> Self {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
        Self(Ulid::from_parts(millis, Ulid::generate().random()))
    }

    /// An id from a time and 80 given bits, for ids that must be the same on every machine.
    pub fn from_parts(at: DateTime<Utc>, random: u128) -> Self {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
        Self(Ulid::from_parts(millis, random))
    }

    /// The creation time of the id, to the millisecond.
    pub fn created_at(self) -> DateTime<Utc> {
        i64::try_from(self.0.timestamp_ms()).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JobId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Ulid::from_string(text)
            .ok()
            .filter(|id| id.array_to_str(&mut [0; ULID_LEN]) == text)
            .map(Self)
            .ok_or_else(|| InvalidName::new("job id", text, "26 characters of upper-case Crockford base 32 (a ULID)"))
    }
}

impl JsonSchema for JobId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "JobId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-7][0-9A-HJKMNP-TV-Z]{25}$" })
    }
}

/// An invalid name or id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {given:?} is not valid: expected {rule}")]
pub struct InvalidName {
    what: &'static str,
    given: String,
    rule: &'static str,
}

impl InvalidName {
    fn new(what: &'static str, given: &str, rule: &'static str) -> Self {
        Self { what, given: given.chars().take(80).collect(), rule }
    }
}

const NAME_RULE: &str = "1 to 64 of a-z, 0-9 and _, starting with a letter";

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        ///
        /// 1 to 64 of `a-z`, `0-9` and `_`, starting with a letter.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(transparent)]
        pub struct $name(
            // Most names fit inline, so that cloning does not allocate.
            #[schemars(with = "String")] smol_str::SmolStr,
        );

        impl $name {
            /// A name known at compile time.
            ///
            /// # Panics
            /// If `name` is invalid; meant for constants, each of which a test builds once.
            pub fn from_static(name: &'static str) -> Self {
                assert!(is_name(name), concat!($what, " {:?} must be ", "a lower-case name"), name);
                Self(smol_str::SmolStr::new_static(name))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if is_name(text) { Ok(Self(text.into())) } else { Err(InvalidName::new($what, text, NAME_RULE)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                smol_str::SmolStr::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name_type!(
    /// The name of a queue, for example `pending_posts`.
    QueueName,
    "queue"
);
name_type!(
    /// The name of a job kind, for example `publish_post`.
    JobKind,
    "job kind"
);
name_type!(
    /// The name of an account that Perch posts as, from the configuration, for example `main`.
    AccountId,
    "account"
);

/// The id of a post on X: a decimal number kept as text, as the API gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct PostId(#[schemars(regex(pattern = r"^[0-9]{1,19}$"))] String);

impl PostId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Ids increase with time: the smaller number is the older post.
    pub fn by_age(&self, other: &Self) -> Ordering {
        let (digits, others) = (self.0.trim_start_matches('0'), other.0.trim_start_matches('0'));
        digits.len().cmp(&others.len()).then_with(|| digits.cmp(others))
    }

    /// Whether this post is older than the other.
    pub fn is_older_than(&self, other: &Self) -> bool {
        self.by_age(other).is_lt()
    }

    /// The number before it, as an exclusive bound; none before the first.
    pub fn before(&self) -> Option<Self> {
        self.number().and_then(|number| number.checked_sub(1)).map(|number| Self(number.to_string()))
    }

    /// The number after it, as an exclusive bound; none after the last that an id can be.
    pub fn after(&self) -> Option<Self> {
        self.number().and_then(|number| number.checked_add(1)).and_then(|number| number.to_string().parse().ok())
    }

    fn number(&self) -> Option<u64> {
        self.0.parse().ok()
    }
}

impl FromStr for PostId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if (1..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName::new("post id", text, "1 to 19 digits"))
        }
    }
}

impl fmt::Display for PostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PostId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(id: &str) -> PostId {
        id.parse().expect("an id")
    }

    #[test]
    fn ids_of_posts_are_told_apart_by_their_numbers_and_have_bounds_around_them() {
        assert!(post("999").is_older_than(&post("1000")) && !post("7").is_older_than(&post("007")));
        let around = |id: &str| (post(id).before().map(|id| id.to_string()), post(id).after().map(|id| id.to_string()));
        assert_eq!(around("1000"), (Some("999".into()), Some("1001".into())));
        assert_eq!(around("0"), (None, Some("1".into())));
        assert_eq!(around("9999999999999999999"), (Some("9999999999999999998".into()), None));
    }
}
