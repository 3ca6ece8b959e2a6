//! What operators type, and the files that they name: times, durations, lines.

pub mod lines;
pub mod time;
