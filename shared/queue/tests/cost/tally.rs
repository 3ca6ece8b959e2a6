//! Counters, what they rose by, and the bounds that this is held against.

use std::{collections::BTreeMap, fmt::Write as _};

use perch_queue::worker::WorkerName;
use redis::aio::MultiplexedConnection;

use crate::ALLOCATOR;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// Calls over the network: scripts, blocking reads, and what a new connection begins with.
    Trips,
    /// Commands that scripts send. A command that the engine sends by itself and that is none of [`TRIPS`] is among them.
    Commands,
    /// Bytes to Redis.
    Sent,
    /// Bytes from Redis.
    Received,
    /// Allocations and reallocations in this process.
    Allocations,
}

impl Count {
    const ALL: [Self; 5] = [Self::Trips, Self::Commands, Self::Sent, Self::Received, Self::Allocations];

    const fn name(self) -> &'static str {
        match self {
            Self::Trips => "Redis round trips",
            Self::Commands => "Redis commands inside scripts",
            Self::Sent => "bytes sent to Redis",
            Self::Received => "bytes received from Redis",
            Self::Allocations => "allocations",
        }
    }
}

/// What only comes over the network.
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

/// The counters at one time.
pub struct Tally {
    /// Calls by the name of the command.
    calls: BTreeMap<String, u64>,
    sent: u64,
    received: u64,
    /// Bytes of the answer that told all this, which Redis counts only afterwards.
    answer: u64,
    allocations: usize,
}

impl Tally {
    pub async fn now(conn: &mut MultiplexedConnection) -> Self {
        let info: String = redis::cmd("INFO").arg("all").query_async(conn).await.expect("INFO works");
        let field = |name: &str| -> u64 {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("INFO tells {name}"))
        };
        let calls = info.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        });
        let stats = ALLOCATOR.stats();
        Self {
            calls: calls.filter(|(name, _)| name != "info").collect(),
            sent: field("total_net_input_bytes"),
            received: field("total_net_output_bytes"),
            answer: (format!("${}\r\n", info.len()).len() + info.len() + "\r\n".len()) as u64,
            allocations: stats.allocations + stats.reallocations,
        }
    }

    /// Calls of one command so far.
    pub fn calls(&self, command: &str) -> u64 {
        self.calls.get(command).copied().unwrap_or(0)
    }

    /// What it cost since `before`, for each of `jobs` jobs.
    #[expect(clippy::cast_precision_loss, reason = "they are far below 2^52")]
    pub fn since(&self, before: &Self, what: &str, jobs: usize) -> Cost {
        let calls = |trips: bool| -> u64 {
            let of = self.calls.iter().filter(|(name, _)| TRIPS.contains(&name.as_str()) == trips);
            of.map(|(name, calls)| calls - before.calls(name)).sum()
        };
        let counted = [
            (Count::Trips, calls(true)),
            (Count::Commands, calls(false)),
            (Count::Sent, self.sent - before.sent),
            (Count::Received, (self.received - before.received).saturating_sub(before.answer)),
            (Count::Allocations, (self.allocations - before.allocations) as u64),
        ];
        Cost {
            what: what.to_owned(),
            each: counted.into_iter().map(|(count, sum)| (count, sum as f64 / jobs as f64)).collect(),
        }
    }
}

/// A count that must not rise: what it was when the bound was set, and the most that it may be.
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

    /// The same without the name of the worker, which is as long as that of the machine: so many that are sent and received.
    #[expect(clippy::cast_precision_loss, reason = "a name is short")]
    pub fn without_names(mut self, sent: usize, received: usize) -> Self {
        let length = WorkerName::of_this_process().to_string().len();
        for (count, names) in [(Count::Sent, sent), (Count::Received, received)] {
            self.each.entry(count).and_modify(|bytes| *bytes -= (names * length) as f64);
        }
        self
    }

    /// # Panics
    /// When a count is above its bound, naming each that is.
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
    /// When one of `counts` is more than `times` what it was in `before`.
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
