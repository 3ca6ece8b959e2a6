//! Parses the input of operators and their files: times, durations, lines.

pub mod lines;
pub mod time;
