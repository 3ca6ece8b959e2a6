//! Counts the bytes and the allocations of a job. A program of its own, since its allocator counts: one line of JSON a step.

use std::{alloc::System, process::ExitCode};

use perch_bench::cost;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

#[tokio::main]
async fn main() -> ExitCode {
    match cost::measure(allocations).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-cost: {error}");
            ExitCode::from(2)
        }
    }
}
