//! Language models behind OpenAI's chat completions: xAI, Together, `OpenAI` and whoever else speaks that wire.

mod client;
mod error;
mod types;
mod wire;

pub use client::{ModelClient, ProviderConfig};
pub use error::ModelError;
pub use types::{ChatRequest, Completion, Message, Part, Role, Usage};
