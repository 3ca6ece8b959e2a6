use chrono::{DateTime, Utc};
use perch_jobs::JobId;
use sha2::{Digest, Sha256};

/// The id of a job by its time and name. The same ones always give the same id, so that an attempt that runs again after a crash
/// enqueues nothing twice.
pub fn job_id(at: DateTime<Utc>, name: &str) -> JobId {
    let digest = Sha256::digest(name);
    JobId::from_parts(at, digest.iter().take(10).fold(0, |bits, byte| (bits << 8) | u128::from(*byte)))
}

/// The first 12 hexadecimal digits of a SHA-256, to tell a few things apart in a key.
pub fn short_hash(text: &str) -> String {
    let bits = Sha256::digest(text).iter().take(6).fold(0u64, |bits, byte| (bits << 8) | u64::from(*byte));
    format!("{bits:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_time_and_name_give_the_same_id_and_others_another() {
        let at = DateTime::from_timestamp(1_790_000_000, 0).expect("a valid time");
        assert_eq!(job_id(at, "extract:1"), job_id(at, "extract:1"));
        assert_ne!(job_id(at, "extract:1"), job_id(at, "extract:2"));
        assert_eq!(job_id(at, "extract:1").created_at(), at);
        assert_eq!(short_hash("spread|nba").len(), 12);
    }
}
