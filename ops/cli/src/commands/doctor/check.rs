//! One finding.

use serde::Serialize;

/// How bad it is.
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

/// What was looked at, what was found, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub level: Level,
    pub found: String,
    pub mend: Option<String>,
}

impl Check {
    fn new(name: &'static str, level: Level, found: impl Into<String>) -> Self {
        Self { name, level, found: found.into(), mend: None }
    }

    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Level::Ok, found)
    }

    pub fn info(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Level::Info, found)
    }

    pub fn warn(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Level::Warn, found)
    }

    pub fn fail(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Level::Fail, found)
    }

    /// The same with what to do.
    #[must_use]
    pub fn mend(mut self, how: impl Into<String>) -> Self {
        self.mend = Some(how.into());
        self
    }
}

/// Judges how far another clock is from this one, in milliseconds; positive when the other is ahead.
pub fn clock(name: &'static str, other: &str, ahead_ms: i64) -> Check {
    let off = std::time::Duration::from_millis(ahead_ms.unsigned_abs());
    let direction = if ahead_ms > 0 { "ahead of" } else { "behind" };
    if off > std::time::Duration::from_secs(1) {
        let off = humantime::format_duration(off);
        Check::warn(name, format!("the clock of {other} is {off} {direction} this machine's")).mend(
            "let both follow a time server (chrony, systemd-timesyncd); schedules fire at the wrong time until then",
        )
    } else {
        Check::ok(name, format!("within a second of the clock of {other}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_more_than_a_second_off_is_a_warning_with_its_direction() {
        assert_eq!(clock("clock", "Redis", 900).level, Level::Ok);
        let behind = clock("clock", "Redis", -2_500);
        assert_eq!(behind.level, Level::Warn);
        assert!(behind.found.contains("2s 500ms behind") && behind.mend.is_some(), "{behind:?}");
    }
}
