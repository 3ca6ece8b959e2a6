//! The trait of a bot, by which a deployment gets its job types, settings, tables, handlers, routes, commands and checks.

mod bot;
mod brakes;
mod check;
pub mod cli;
pub mod http;
mod platform;

pub use bot::{Bot, BotError, Bots, SandboxRoles, SetUpError};
pub use brakes::{OwnBrake, UnknownBrake, require_known};
pub use check::{Check, Level};
pub use platform::Platform;
