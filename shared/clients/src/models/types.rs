use serde::{Deserialize, Serialize};

/// A request to a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// Instructions before the conversation.
    pub system: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// The name (`a-z`, `A-Z`, `0-9`, `_`, `-`) and the JSON schema of the answer. Without it the answer is free text.
    ///
    /// The provider enforces the schema only if every object is closed and all its properties are required; otherwise it is a hint.
    pub schema: Option<(String, serde_json::Value)>,
    /// The longest answer, in tokens.
    pub max_tokens: Option<u32>,
    /// The sampling temperature, 0.0 to 2.0.
    pub temperature: Option<f32>,
}

impl ChatRequest {
    /// An estimate of its tokens. A picture counts as 1,000.
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

/// An estimate of the tokens of a text: three bytes per token errs on the high side for English.
pub(super) fn about_tokens(text: &str) -> u64 {
    text.len() as u64 / 3
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Its texts and pictures.
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
    /// The user.
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
    /// The text, without reasoning; JSON when a schema was requested, which the caller still has to check.
    pub text: String,
    /// What it cost in tokens.
    pub usage: Usage,
    /// The model that answered, as the provider names it.
    pub model: String,
}

/// The tokens that a call used; estimated from question and answer where the provider does not report them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens that were read.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Tokens that were written, including reasoning.
    #[serde(default)]
    pub completion_tokens: u64,
}
