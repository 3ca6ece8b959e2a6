//! Parses what operators type: times, durations, rates, ids.

pub mod rate;

pub use perch_bot::cli::parse::{lines, time};

use perch_jobs::JobId;

/// Parses a job id, in upper or lower case.
pub fn job_id(text: &str) -> Result<JobId, String> {
    text.to_ascii_uppercase().parse().map_err(|error: perch_jobs::InvalidName| error.to_string())
}
