//! Takes over the database of the template that many bots start from: a SQLite file with the tables `posts`, `bot_configs` and `bot_stats`.
//!
//! Each row of `bot_configs` becomes a persona, each unused post goes into the stock as a draft of a model would, and each used post is
//! kept as published, so that nothing similar is published again. A row that cannot be read is named and left out, and stops nothing.

mod carry_out;
mod cells;
mod config;
mod plan;
mod report;
mod sqlite;
mod times;

use std::{collections::BTreeMap, io, path::PathBuf};

use perch_jobs::{AccountId, PersonaName};
use perch_store::StoreError;

pub use carry_out::import_template;
pub use report::{BotImport, ImportOutcome, ImportedPosts, OddRow, TemplateImport};
pub use sqlite::{TemplateData, read_template};

/// How a file is taken over.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The names of the personas, for bots whose own name is to be another one or cannot be the name of a persona.
    pub names: BTreeMap<String, PersonaName>,
    /// The account of all bots that `accounts` does not name. Without it the account of the deployment, where there is one alone.
    pub account: Option<AccountId>,
    /// The accounts of bots by their names.
    pub accounts: BTreeMap<String, AccountId>,
    /// Whether only to find out what an import would do.
    pub dry_run: bool,
}

/// Why a file was not taken over. Nothing of it was, except where Postgres failed on the way; then the next import goes on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// SQLite cannot read the file.
    #[error("{}: SQLite cannot read it: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The file is no database of the template.
    #[error("{}: {reason}", path.display())]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// What it lacks or has too much of.
        reason: String,
    },
    /// The file was written while it was read.
    #[error("{}: it changed while it was read; stop the bot that writes it and import it again", .0.display())]
    Changed(PathBuf),
    /// An option names a bot that the file does not have.
    #[error("the file has no bot {named:?}; it has {there}")]
    UnknownBot {
        /// The bot that was named.
        named: String,
        /// Those there are.
        there: String,
    },
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
}
