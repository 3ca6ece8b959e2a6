//! Counters, their increases, and bounds for these.

use std::{collections::BTreeMap, fmt::Write as _};

use redis::aio::MultiplexedConnection;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// Calls over the network: scripts, blocking reads, and what a new connection begins with.
    Trips,
    /// Commands that scripts send. Commands of the engine that are not in [`TRIPS`] are included.
    Commands,
}

impl Count {
    const ALL: [Self; 2] = [Self::Trips, Self::Commands];

    const fn name(self) -> &'static str {
        match self {
            Self::Trips => "Redis round trips",
            Self::Commands => "Redis commands inside scripts",
        }
    }
}

/// Commands that only come over the network.
const TRIPS: [&str; 12] = [
    "auth",
    "blpop",
    "client|setinfo",
    "client|setname",
    "eval",
    "evalsha",
    "fcall",
    "hello",
    "ping",
    "script|exists",
    "script|load",
    "select",
];

/// Calls so far, by the name of the command.
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub async fn now(conn: &mut MultiplexedConnection) -> Self {
        let info: String = redis::cmd("INFO").arg("commandstats").query_async(conn).await.expect("INFO works");
        let calls = info.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        });
        Self(calls.filter(|(name, _)| name != "info").collect())
    }

    /// Calls of one command so far.
    pub fn calls(&self, command: &str) -> u64 {
        self.0.get(command).copied().unwrap_or(0)
    }

    /// What it cost since `before`, for each of `jobs` jobs.
    #[expect(clippy::cast_precision_loss, reason = "they are far below 2^52")]
    pub fn since(&self, before: &Self, what: &str, jobs: usize) -> Cost {
        let calls = |trips: bool| -> u64 {
            let of = self.0.iter().filter(|(name, _)| TRIPS.contains(&name.as_str()) == trips);
            of.map(|(name, calls)| calls - before.calls(name)).sum()
        };
        let counted = [(Count::Trips, calls(true)), (Count::Commands, calls(false))];
        Cost {
            what: what.to_owned(),
            each: counted.into_iter().map(|(count, sum)| (count, sum as f64 / jobs as f64)).collect(),
        }
    }
}

/// A bound for a count: its value when the bound was set, and its maximum.
pub struct Bound {
    pub of: Count,
    pub measured: f64,
    pub most: f64,
}

/// What something cost, each time.
pub struct Cost {
    what: String,
    each: BTreeMap<Count, f64>,
}

impl Cost {
    fn line(&self) -> String {
        let mut line = self.what.clone();
        for count in Count::ALL {
            write!(line, " | {:.4} {}", self.each[&count], count.name()).expect("text can be written");
        }
        line
    }

    /// # Panics
    /// If counts are above their bounds; the message names them.
    pub fn within(&self, bounds: &[Bound]) {
        println!("{}", self.line());
        let above = bounds.iter().filter(|bound| self.each[&bound.of] > bound.most);
        let above: Vec<String> = above
            .map(|Bound { of, measured, most }| {
                format!("{:.4} {}, at most {most} ({measured} when the bound was set)", self.each[of], of.name())
            })
            .collect();
        assert!(
            above.is_empty(),
            "{} costs more than it may: {}. docs/performance.md tells where the cost of a job comes from",
            self.what,
            above.join("; ")
        );
    }

    /// # Panics
    /// If one of `counts` is more than `times` its value in `before`.
    pub fn no_more_than(&self, before: &Self, times: f64, counts: &[Count]) {
        println!("{}\n{}", before.line(), self.line());
        let grown = counts.iter().filter(|count| self.each[count] > before.each[count] * times);
        let grown: Vec<String> = grown
            .map(|count| {
                let (now, then) = (self.each[count], before.each[count]);
                format!("{now:.4} {}, at most {:.4} ({then:.4} times {times})", count.name(), then * times)
            })
            .collect();
        assert!(
            grown.is_empty(),
            "{} costs more than {}: {}. docs/performance.md tells what the cost of a job grows with",
            self.what,
            before.what,
            grown.join("; ")
        );
    }
}
