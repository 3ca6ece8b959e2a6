//! For the subcommands of bots: their dependencies, their output and their errors.

pub mod error;
pub mod format;
pub mod output;
pub mod parse;

use std::{fmt::Debug, sync::OnceLock};

use perch_base::Settings;
use perch_store::Store;
use serde_json::Value;

pub use error::CommandError;
pub use output::{Output, OutputStyle, Page, Paging};

use crate::Platform;
use error::chain;

/// Dependencies of subcommands. Each is set up only when it is requested, so that a command that needs no server works without one.
pub trait CommandSetup: Debug + Sync {
    /// The settings of the environment.
    ///
    /// # Errors
    ///
    /// There are none, or they say what cannot be.
    fn settings(&self) -> Result<Settings, CommandError>;

    /// The settings, and Postgres alone.
    ///
    /// # Errors
    ///
    /// The settings are not there, or name no Postgres.
    fn store(&self) -> Result<(Settings, Store), CommandError>;

    /// The platform.
    ///
    /// # Errors
    ///
    /// The settings are not there, or name no server.
    fn platform(&self) -> Result<Platform, CommandError>;
}

/// A subcommand to run.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// Its output.
    pub out: Output,
    /// Who runs it, for the history of jobs and the audit log.
    pub operator: String,
    set_up: &'a dyn CommandSetup,
    platform: OnceLock<Platform>,
}

impl<'a> Invocation<'a> {
    /// A subcommand run by `operator` with the output `out`.
    pub fn new(out: Output, operator: String, set_up: &'a dyn CommandSetup) -> Self {
        Self { out, operator, set_up, platform: OnceLock::new() }
    }

    /// The settings of the environment.
    ///
    /// # Errors
    ///
    /// There are none, or they say what cannot be.
    pub fn settings(&self) -> Result<Settings, CommandError> {
        self.set_up.settings()
    }

    /// The settings, and Postgres alone.
    ///
    /// # Errors
    ///
    /// The settings are not there, or name no Postgres.
    pub fn store(&self) -> Result<(Settings, Store), CommandError> {
        self.set_up.store()
    }

    /// The platform.
    ///
    /// # Errors
    ///
    /// The settings are not there, or name no server.
    pub fn platform(&self) -> Result<&Platform, CommandError> {
        if let Some(platform) = self.platform.get() {
            return Ok(platform);
        }
        let platform = self.set_up.platform()?;
        Ok(self.platform.get_or_init(|| platform))
    }

    /// Adds an entry to the audit log about an action that was done. While Postgres is away, a warning says that the entry is missing.
    pub async fn audit(&self, action: &str, object: &str, details: &Value) {
        let written = match self.store() {
            Ok((_, store)) => store.audit().record(&self.operator, action, object, details).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            not_audited(&self.out, &error);
        }
    }
}

/// Warns that an action is missing from the audit log.
pub fn not_audited(out: &Output, error: &(dyn std::error::Error + 'static)) {
    out.note(format_args!("warning: it was done, but the audit log does not say so: {}", chain(error)));
}
