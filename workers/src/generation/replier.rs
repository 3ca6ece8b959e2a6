use std::path::PathBuf;

use perch_base::Settings;
use perch_safety::{BadPattern, Guard, Rules};

/// What replies are written with: the persona and the guard.
#[derive(Debug)]
pub struct Replier {
    pub(super) persona: String,
    pub(crate) guard: Guard,
}

/// Why replies cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReplierError {
    /// The file with the persona.
    #[error("mentions.persona_file: {} cannot be read: {source}", path.display())]
    Persona {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file with the persona says nothing.
    #[error("mentions.persona_file: {} is empty; write who the bot is", .0.display())]
    EmptyPersona(PathBuf),
    /// A word or phrase of the configuration.
    #[error("mentions.banned_topics or mentions.crisis_words: {0}")]
    Words(#[from] BadPattern),
}

/// The rules of the guard that the configuration adds.
pub fn safety_rules(settings: &Settings) -> Rules {
    let mentions = &settings.mentions;
    Rules {
        banned_topics: mentions.banned_topics.clone(),
        crisis: mentions.crisis_words.clone(),
        allowed_hosts: mentions.allowed_hosts.clone(),
    }
}

impl Replier {
    pub(crate) fn from_settings(settings: &Settings) -> Result<Self, ReplierError> {
        Ok(Self { persona: persona(settings)?, guard: Guard::new(&safety_rules(settings))? })
    }
}

fn persona(settings: &Settings) -> Result<String, ReplierError> {
    let file = settings.mentions.persona_file.trim();
    if file.is_empty() {
        return Ok(settings.mentions.persona.trim().to_owned());
    }
    let path = PathBuf::from(file);
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Err(ReplierError::EmptyPersona(path)),
        Ok(text) => Ok(text.trim().to_owned()),
        Err(source) => Err(ReplierError::Persona { path, source }),
    }
}
