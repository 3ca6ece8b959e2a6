use serde::{Deserialize, Serialize};

/// What a model is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// Instructions that stand above the conversation.
    pub system: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// The name (`a-z`, `A-Z`, `0-9`, `_`, `-`) and the JSON schema of the answer. Without it the answer is free text.
    ///
    /// A schema of which every object is closed and has all its properties required is enforced by the provider;
    /// any other is a guide.
    pub schema: Option<(String, serde_json::Value)>,
    /// The longest answer, in tokens.
    pub max_tokens: Option<u32>,
    /// How freely it is drawn: 0.0 to 2.0.
    pub temperature: Option<f32>,
}

impl ChatRequest {
    /// About how many tokens it has, where nobody says. A picture is taken for a thousand.
    pub fn about_tokens(&self) -> u64 {
        let parts = self.messages.iter().flat_map(|message| &message.parts);
        let schema = self.schema.as_ref().map_or(0, |(_, schema)| about_tokens(&schema.to_string()));
        let asked: u64 = parts
            .map(|part| match part {
                Part::Text(text) => about_tokens(text),
                Part::ImageUrl(_) => 1_000,
            })
            .sum();
        schema + asked + self.system.as_deref().map_or(0, about_tokens)
    }
}

/// About how many tokens a text has: three bytes a token is on the safe side for English.
pub(super) fn about_tokens(text: &str) -> u64 {
    text.len() as u64 / 3
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said and shown.
    pub parts: Vec<Part>,
}

impl Message {
    /// A turn of the user that is only text.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, parts: vec![Part::Text(text.into())] }
    }

    /// A turn of the model that is only text.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: Role::Assistant, parts: vec![Part::Text(text.into())] }
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

/// A part of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text.
    Text(String),
    /// The URL of a picture. Left out when the provider is configured without pictures.
    ImageUrl(String),
}

/// A model's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The text, without what the model thought before it; JSON when a schema was asked for, which the caller still has to check.
    pub text: String,
    /// What it cost in tokens.
    pub usage: Usage,
    /// The model that answered, as the provider names it.
    pub model: String,
}

/// Tokens that a call took; about so many, by the length of question and answer, where the provider does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens that were read.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Tokens that were written, those of what the model thought among them.
    #[serde(default)]
    pub completion_tokens: u64,
}
