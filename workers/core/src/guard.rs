use perch_base::Settings;
use perch_safety::{BadPattern, Guard, Rules};

/// The guard that the configuration describes.
///
/// # Errors
///
/// A word or phrase of the configuration is no pattern.
pub fn guard(settings: &Settings) -> Result<Guard, BadPattern> {
    let mentions = &settings.mentions;
    Guard::new(&Rules {
        banned_topics: mentions.banned_topics.clone(),
        crisis: mentions.crisis_words.clone(),
        allowed_hosts: mentions.allowed_hosts.clone(),
    })
}
