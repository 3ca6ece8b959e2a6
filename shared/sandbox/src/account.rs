//! Accounts, who may see their posts, and the plan of the application.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Who may see the posts of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStanding {
    /// Everybody.
    #[default]
    Open,
    /// Only followers, which bots are not.
    Protected,
    /// Nobody: X has suspended the account.
    Suspended,
}

/// The plan of the application, which decides whom it may reply to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Plan {
    /// It may reply only to users who mentioned or quoted the account, and may quote nobody. X since 2026.
    SelfServe,
    /// It may reply to every post and quote every post.
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
    /// It was deleted, its account is suspended, or it never existed.
    Gone,
    /// Its account is protected.
    Hidden,
}
