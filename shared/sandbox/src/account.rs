//! Accounts, and what X lets one do with them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What stands in the way of an account's posts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStanding {
    /// Nothing: everybody sees them.
    #[default]
    Open,
    /// Only followers see them, and no bot is one.
    Protected,
    /// X has closed the account.
    Suspended,
}

/// The plan of the application, which decides whom it may answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Plan {
    /// Only those who mentioned the account or quoted it may be answered, and nobody may be quoted. X since 2026.
    SelfServe,
    /// Every post may be answered and quoted.
    #[default]
    Enterprise,
}

/// An account.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub id: u64,
    pub username: String,
    pub created_at: DateTime<Utc>,
    pub standing: AccountStanding,
}

/// Why a post is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absence {
    /// It was deleted, its account is suspended, or it never was.
    Gone,
    /// Its account is protected.
    Hidden,
}
