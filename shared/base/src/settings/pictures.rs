//! The pictures of posts.

use serde::{Deserialize, Serialize};

/// The pictures of posts, as models get them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureSettings {
    /// Hosts that pictures are read from, over https.
    pub hosts: Vec<String>,
    /// Largest picture in bytes.
    pub max_bytes: usize,
    /// Most pictures of one post.
    pub most: usize,
}
