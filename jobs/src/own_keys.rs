//! The keys of Perch's own jobs and effects. A caller from outside may not use one: whoever holds the key of a reply is taken
//! for the reply, which then never goes out.

use crate::{PayloadError, learner, mentions, personas, picks, platform};

/// Each file of job types says its own: what a key begins with, up to a colon, or a whole key of which there is one at a time.
const OWN: [&[&str]; 5] =
    [platform::OWN_KEYS, mentions::OWN_KEYS, personas::OWN_KEYS, learner::OWN_KEYS, picks::OWN_KEYS];

/// Whether a unique key, or the key of an effect, belongs to Perch's own jobs.
pub fn is_own_key(key: &str) -> bool {
    own().any(|own| if own.ends_with(':') { key.starts_with(own) } else { key == own })
}

/// Why a key that [`is_own_key`] is refused.
pub fn own_key_reason() -> String {
    let (mut beginnings, mut whole): (Vec<_>, Vec<_>) = own().partition(|own| own.ends_with(':'));
    beginnings.sort_unstable();
    whole.sort_unstable();
    format!(
        "it belongs to Perch's own jobs; choose one that begins with none of {} and is none of {}",
        beginnings.join(", "),
        whole.join(", ")
    )
}

fn own() -> impl Iterator<Item = &'static str> {
    OWN.iter().copied().flatten().copied()
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
