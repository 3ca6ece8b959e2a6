//! A finding, and the check of a clock.

pub use perch_bot::{Check, Level};

/// The finding for a clock that is `ahead_ms` milliseconds ahead of this machine's, or behind if negative.
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
