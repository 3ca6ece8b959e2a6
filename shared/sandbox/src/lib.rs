//! Local servers with the APIs of X (v2) and of OpenAI chat completions, for staging and tests.
//!
//! [`Sandbox::start`] opens one listener: X under the root (`/2/…`), the models under `/v1`, and a page at `/` that shows
//! what was posted. Posts gain metrics, rate limits are counted, and faults can be injected through [`SandboxState`] or
//! `POST /sandbox/faults`. What accounts write, delete and hide can be staged the same way, under `/sandbox/accounts`,
//! `/sandbox/posts`, `/sandbox/flow` and `/sandbox/results`, from this machine alone. Web pages other than the sandbox's own cannot use
//! `/sandbox`, and bodies there must be declared as JSON. Nothing is written to disk and nothing leaves the machine.
//!
//! The sandbox does not know any bot. The posts of other people and the answers of models come from an [`Actor`] for each bot.
//!
//! Reads accept any bearer token except `bad`. Writes need OAuth 1.0a: the access token `sandbox-<username>-token` with the secret
//! `sandbox-<username>-secret` is that of the account, and the consumer secret is [`CONSUMER_SECRET`].

mod account;
mod actor;
mod analytics;
mod app;
mod audience;
mod chat;
mod control;
mod draw;
mod endpoint;
mod entities;
mod error;
mod faults;
mod flow;
mod growth;
mod guard;
mod limits;
mod media;
mod oauth;
mod options;
mod pages;
mod picture;
mod post;
mod problem;
mod query;
mod question;
mod reads;
mod results;
mod sandbox;
mod scene;
pub mod slate;
mod stage;
mod state;
mod view;
mod weight;
mod wire;
mod world;
mod writes;

pub use account::{AccountStanding, Plan};
pub use actor::{Actor, Turn};
pub use draw::Draw;
pub use endpoint::Endpoint;
pub use error::SandboxError;
pub use faults::{Fault, FaultKind, FaultTarget};
pub use oauth::CONSUMER_SECRET;
pub use options::SandboxOptions;
pub use question::Question;
pub use results::GameResult;
pub use sandbox::Sandbox;
pub use scene::Scene;
pub use state::{MadePost, NewPost, SandboxState, is_username};
pub use weight::{LONGEST, weight};
