//! What a job costs, in counts that are the same on a fast machine and on a slow one: round trips, commands, bytes and
//! allocations. Where they come from is told in `docs/performance.md`.
//!
//! Every test has a Redis server of its own, whose own counters it reads, and all run one after the other. With
//! `--no-capture` they print what they measured.

#[path = "../support/mod.rs"]
mod support;

mod drain;
mod enqueue;
mod ground;
mod growth;
mod tally;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
