//! CPU and memory of a process, from `/proc`.

/// CPU that a process has taken since its start, in microseconds, to a hundredth of a second. `None` where there is no
/// `/proc`.
pub fn cpu(pid: u32) -> Option<f64> {
    /// What Linux calls a clock tick towards programs.
    const TICK_US: f64 = 10_000.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the parenthesis may hold spaces. User and system time are fields 14 and 15; after it they are 11 and 12.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks * TICK_US)
}

/// Resident memory of a process in millions of bytes. `None` where there is no `/proc`.
pub fn resident(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1_024.0 / 1e6)
}
