//! What a job costs, in counts that are the same on a fast machine and on a slow one: round trips and commands. Where they come
//! from is told in `docs/performance.md`; bytes and allocations are measured by `./ops/bench --only cost`.
//!
//! Every test has a Redis server of its own, whose own counters it reads. With `--no-capture` they print what they measured.

#[path = "../support/mod.rs"]
mod support;

mod drain;
mod enqueue;
mod ground;
mod growth;
mod tally;
