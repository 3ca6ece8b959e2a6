//! A post and what it refers to.

use chrono::{DateTime, Utc};
use perch_readers::Reactions;

/// What a post refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reference {
    None,
    Reply(u64),
    Retweet(u64),
    Quote(u64),
}

impl Reference {
    /// The other post.
    pub const fn target(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Reply(id) | Self::Retweet(id) | Self::Quote(id) => Some(id),
        }
    }

    /// As X names the kind.
    pub const fn kind(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Reply(_) => Some("replied_to"),
            Self::Retweet(_) => Some("retweeted"),
            Self::Quote(_) => Some("quoted"),
        }
    }
}

/// A picture, GIF or video attached to a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub source: Source,
    pub alt_text: Option<String>,
}

/// Where a picture comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// An address of somebody else.
    At(String),
    /// The sandbox draws it, with this text on it.
    Drawn(String),
    /// A file that was uploaded through the API, by its id.
    Uploaded(u64),
}

/// A post.
#[derive(Debug, Clone)]
pub(crate) struct StoredPost {
    pub id: u64,
    pub author: u64,
    pub text: String,
    pub created_at: DateTime<Utc>,
    pub reference: Reference,
    pub pictures: Vec<Picture>,
    /// Made through the API, not by the sandbox.
    pub made: bool,
    pub deleted: bool,
    /// Its earlier versions, oldest first; empty unless it was edited.
    pub earlier: Vec<u64>,
    /// The version that took its place when it was edited.
    pub replaced_by: Option<u64>,
    /// All that its readers will do with it; none for a post that the sandbox wrote, or that answers somebody else.
    pub reactions: Option<Reactions>,
}

impl StoredPost {
    /// A post of the sandbox itself. Its id comes when it is stored.
    pub fn new(author: u64, text: impl Into<String>, created_at: DateTime<Utc>) -> Self {
        Self {
            id: 0,
            author,
            text: text.into(),
            created_at,
            reference: Reference::None,
            pictures: Vec::new(),
            made: false,
            deleted: false,
            earlier: Vec::new(),
            replaced_by: None,
            reactions: None,
        }
    }

    /// A post made through the API.
    pub fn made(author: u64, text: impl Into<String>, reference: Reference, created_at: DateTime<Utc>) -> Self {
        Self { reference, made: true, ..Self::new(author, text, created_at) }
    }
}
