//! One finding of `perch doctor`.

use serde::Serialize;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Info,
    /// It works, and something may be lost or late.
    Warn,
    /// It does not work.
    Fail,
}

/// A finding: what was checked, what was found, and how to fix it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// Its severity.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// How to fix it.
    pub mend: Option<String>,
}

impl Check {
    fn new(name: &'static str, level: Level, found: impl Into<String>) -> Self {
        Self { name, level, found: found.into(), mend: None }
    }

    /// As it should be.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Level::Ok, found)
    }

    /// Good to know.
    pub fn info(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Level::Info, found)
    }

    /// It works, and something may be lost or late.
    pub fn warn(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Level::Warn, found)
    }

    /// It does not work.
    pub fn fail(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Level::Fail, found)
    }

    /// The same with a way to fix it.
    #[must_use]
    pub fn mend(mut self, how: impl Into<String>) -> Self {
        self.mend = Some(how.into());
        self
    }
}
