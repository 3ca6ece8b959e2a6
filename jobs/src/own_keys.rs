//! The keys of Perch's own jobs and effects. A caller from outside may not use one: whoever holds the key of a reply is taken
//! for the reply, which then never goes out.

use crate::PayloadError;

/// What the keys of Perch's own jobs and effects begin with.
const BEGINNINGS: [&str; 9] =
    ["comment:", "extract:", "mention:", "mentions:", "poll:", "publish:", "reply:", "retweet:", "summary:"];
/// Keys of Perch's own jobs of which there is one at a time.
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

/// The refusal of a payload of `kind` whose effect key belongs to Perch's own jobs.
pub(crate) fn refused(kind: &str, effect_key: Option<&str>) -> Result<(), PayloadError> {
    match effect_key {
        Some(key) if is_own_key(key) => {
            Err(PayloadError { kind: kind.to_owned(), path: "$.effect_key".into(), reason: own_key_reason() })
        }
        _ => Ok(()),
    }
}
