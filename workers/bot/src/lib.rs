//! What a bot is to Perch: one trait, which a deployment asks for job types, settings, tables, handlers, routes, commands and checks.

mod bot;
mod check;
pub mod cli;
pub mod http;
mod platform;

pub use bot::{Bot, BotError, Bots, SandboxRoles, SetUpError};
pub use check::{Check, Level};
pub use platform::Platform;
