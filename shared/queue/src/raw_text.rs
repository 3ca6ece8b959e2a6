//! Text from Redis that may not be valid UTF-8: an entry written by hand must not hide the others.

use redis::{FromRedisValue, ParsingError, Value};

/// Text whose bytes need not be UTF-8.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct RawText(pub String);

impl FromRedisValue for RawText {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let bytes = Vec::<u8>::from_redis_value(value)?;
        Ok(Self(
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        ))
    }
}

impl RawText {
    /// Its value as a count; 0 if it is not a number.
    pub fn count(&self) -> u32 {
        self.0.parse().unwrap_or(0)
    }
}
