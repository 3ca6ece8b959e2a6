//! The keys of Perch's own jobs and effects. Callers from outside may not use them: a job with the key of a reply would count as
//! that reply, which would then never be sent.

use crate::PayloadError;

/// The prefixes of the keys of Perch's own jobs and effects.
const BEGINNINGS: [&str; 9] =
    ["comment:", "extract:", "mention:", "mentions:", "poll:", "publish:", "reply:", "retweet:", "summary:"];
/// Complete keys of Perch's own jobs.
const WHOLE: [&str; 3] = ["fetch_results", "poll_due_accounts", "sync"];

/// Whether a unique key, or the key of an effect, belongs to Perch's own jobs.
pub fn is_own_key(key: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| key.starts_with(beginning)) || WHOLE.contains(&key)
}

/// Why a key that [`is_own_key`] is refused.
pub fn own_key_reason() -> String {
    format!(
        "it belongs to Perch's own jobs; choose one that begins with none of {} and is none of {}",
        BEGINNINGS.join(", "),
        WHOLE.join(", ")
    )
}

/// The error for a payload of `kind` whose effect key belongs to Perch's own jobs.
pub(crate) fn refused(kind: &str, effect_key: Option<&str>) -> Result<(), PayloadError> {
    match effect_key {
        Some(key) if is_own_key(key) => {
            Err(PayloadError { kind: kind.to_owned(), path: "$.effect_key".into(), reason: own_key_reason() })
        }
        _ => Ok(()),
    }
}
