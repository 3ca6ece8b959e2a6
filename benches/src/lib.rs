//! Measures Perch on this machine against what Redis and Postgres can do there, round by round in turn, and says which goals
//! are reached. `./ops/bench` builds it, starts what it needs, and runs it.

pub mod cost;
mod database;
mod deployed;
mod drained;
pub mod error;
mod http;
mod jobs;
mod numbers;
pub mod part;
mod process;
pub mod report;
pub mod scenario;
mod servers;
