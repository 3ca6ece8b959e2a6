use std::fmt;

use perch_jobs::PersonaName;
use serde::Serialize;

/// What an import has done, or would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TemplateImport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The bots of the file, by name.
    pub bots: Vec<BotImport>,
    /// How many rows were left out because they cannot be read.
    pub odd: u64,
    /// The first of these rows.
    pub odd_rows: Vec<OddRow>,
}

/// What became of a bot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BotImport {
    /// Its name in the file.
    pub bot_id: String,
    /// The persona that it is now.
    pub persona: Option<PersonaName>,
    /// What became of its configuration.
    pub outcome: ImportOutcome,
    /// Why it was refused, each by its field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// What is not as in the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What became of its posts.
    pub posts: ImportedPosts,
}

/// What became of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// It is a persona now.
    Added,
    /// The persona was there and stays as it is.
    Kept,
    /// It cannot be a persona, and none of its posts was taken over.
    Refused,
}

impl ImportOutcome {
    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Kept => "kept",
            Self::Refused => "refused",
        }
    }
}

/// Posts of a bot by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ImportedPosts {
    /// Used posts that are kept as published.
    pub published: u64,
    /// Posts of the stock that were used since the import before, and are published now.
    pub caught_up: u64,
    /// Unused posts that can be published.
    pub ready: u64,
    /// Those that wait for a person.
    pub in_review: u64,
    /// Those that the guard or the policy rejected.
    pub rejected: u64,
    /// Those that are too similar to another post.
    pub similar: u64,
    /// Posts that were there already.
    pub known: u64,
    /// Posts of a bot that was refused.
    pub left_out: u64,
}

/// A row that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OddRow {
    /// Its table.
    pub table: &'static str,
    /// Its key, or its place where that cannot be read.
    pub row: String,
    /// The column.
    pub column: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for OddRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {} {}", self.table, self.row, self.column, self.reason)
    }
}
