use std::{fmt, str::FromStr};

use serde::Serialize;

/// The environment a process belongs to. Everything it reads or writes in Redis starts with [`Environment::prefix`],
/// and every row it writes to Postgres carries [`Environment::as_str`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// `APP_ENV=staging`, prefix `stg:`.
    Staging,
    /// `APP_ENV=production`, prefix `prod:`.
    Production,
}

/// An unknown value of `APP_ENV`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("APP_ENV is {0:?}; it must be \"staging\" or \"production\"")]
pub struct UnknownEnvironment(pub String);

impl Environment {
    /// What every Redis key of the environment starts with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Staging => "stg:",
            Self::Production => "prod:",
        }
    }

    /// The value in `APP_ENV` and in the environment columns.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

impl FromStr for Environment {
    type Err = UnknownEnvironment;

    fn from_str(text: &str) -> Result<Self, UnknownEnvironment> {
        match text {
            "staging" => Ok(Self::Staging),
            "production" => Ok(Self::Production),
            other => Err(UnknownEnvironment(other.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
