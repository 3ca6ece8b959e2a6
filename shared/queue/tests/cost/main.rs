//! The cost of a job in counts that do not depend on the machine: round trips and commands. `docs/performance.md` explains them;
//! `./ops/bench --only cost` measures bytes and allocations.
//!
//! Every test has its own Redis server and reads the counters of that. With `--no-capture` they print their results.

#[path = "../support/mod.rs"]
mod support;

mod drain;
mod enqueue;
mod ground;
mod growth;
mod tally;
