use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::PostId;

/// A post from X, reduced to what the bots need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Post {
    /// The id of the post.
    pub id: PostId,
    /// The id of the account that wrote it.
    pub author_id: String,
    /// The handle of that account, without `@`.
    pub author: String,
    /// The text in full.
    pub text: String,
    /// When it was posted.
    pub created_at: DateTime<Utc>,
    /// Pictures attached to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
}

/// A picture attached to a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// Where the picture is.
    pub url: String,
    /// Its description by the author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt_text: Option<String>,
}
