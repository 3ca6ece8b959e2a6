use std::{fmt, io, path::PathBuf};

use crate::UnknownEnvironment;

/// Why a process does not start with its configuration. No message contains a credential.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `APP_ENV` is not set.
    #[error("APP_ENV is not set; set it to \"staging\" or \"production\"")]
    MissingEnvironment,
    /// `APP_ENV` names no environment.
    #[error(transparent)]
    UnknownEnvironment(#[from] UnknownEnvironment),
    /// A file is missing or cannot be read.
    #[error(
        "cannot read {}: {source}; start in the folder that holds config/, or set PERCH_CONFIG_DIR to it",
        file.display()
    )]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file is not TOML.
    #[error("{}, line {line}, column {column}: {reason}; correct the line", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The character of the line, counted from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// Invalid values: all of them, not only the first.
    #[error("{}", listed(.0))]
    Invalid(Vec<Problem>),
    /// The settings belong to a bot that this program does not have.
    #[error("this program has no bot with the settings [{name}]; build it with that bot")]
    NoSection {
        /// The name of the table.
        name: &'static str,
    },
    /// A credential that this process needs is missing.
    #[error("{variable} is not set; set it to {expected}")]
    MissingSecret {
        /// The environment variable.
        variable: &'static str,
        /// What to set it to.
        expected: &'static str,
    },
}

impl ConfigError {
    /// The invalid values, if that is the error.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid(problems) => problems,
            _ => &[],
        }
    }
}

fn listed(problems: &[Problem]) -> String {
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    };
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    format!("the configuration has {count}:\n  {}", lines.join("\n  "))
}

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => write!(f, "variable {name}"),
        }
    }
}

/// An invalid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was given.
    pub origin: Origin,
    /// The path of the key, for example `http.max_batch`; empty for a variable that is not part of the settings tree.
    pub key: String,
    /// What is wrong, as the rest of a sentence that starts with the key.
    pub wrong: String,
    /// What is allowed.
    pub allowed: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, key, wrong, allowed } = self;
        let gap = if key.is_empty() { "" } else { " " };
        write!(f, "{origin}: {key}{gap}{wrong}; allowed: {allowed}")
    }
}
