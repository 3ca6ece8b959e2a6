//! Language models with OpenAI's chat completions API: xAI, Together, `OpenAI` and other compatible providers.

mod answer;
mod client;
mod dialect;
mod error;
mod reasoning;
mod shape;
mod types;
mod wire;

pub use client::{ModelClient, ProviderConfig};
pub use dialect::{Dialect, Setting};
pub use error::ModelError;
pub use shape::object_with;
pub use types::{ChatRequest, Completion, Message, Part, Role, Usage};
