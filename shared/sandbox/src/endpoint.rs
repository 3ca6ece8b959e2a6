use std::fmt;

use serde::{Deserialize, Serialize};

/// An endpoint with counted calls, a rate limit and faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `GET /2/users/by/username/{username}`
    User,
    /// `GET /2/users/me`
    Me,
    /// `GET /2/users/{id}/tweets`
    UserPosts,
    /// `GET /2/users/{id}/mentions`
    Mentions,
    /// `GET /2/tweets`
    Posts,
    /// `POST /2/tweets`
    CreatePost,
    /// `DELETE /2/tweets/{id}`
    DeletePost,
    /// `POST /2/users/{id}/retweets`
    Retweet,
    /// `POST /v1/chat/completions`
    Chat,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 9] = [
        Self::User,
        Self::Me,
        Self::UserPosts,
        Self::Mentions,
        Self::Posts,
        Self::CreatePost,
        Self::DeletePost,
        Self::Retweet,
        Self::Chat,
    ];

    /// Its name in faults, counts and on the page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Me => "me",
            Self::UserPosts => "user_posts",
            Self::Mentions => "mentions",
            Self::Posts => "posts",
            Self::CreatePost => "create_post",
            Self::DeletePost => "delete_post",
            Self::Retweet => "retweet",
            Self::Chat => "chat",
        }
    }

    /// Whether it is a write, which needs a user.
    pub(crate) const fn writes(self) -> bool {
        matches!(self, Self::CreatePost | Self::DeletePost | Self::Retweet)
    }

    /// The most requests in 15 minutes: of the application, then of one user. `None` for no limit.
    /// Source: X API documentation, rate limits, August 2026.
    pub(crate) const fn limits(self) -> (Option<u32>, Option<u32>) {
        match self {
            Self::User => (Some(300), Some(900)),
            Self::Me => (None, Some(75)),
            Self::UserPosts => (Some(10_000), Some(900)),
            Self::Mentions => (Some(450), Some(300)),
            Self::Posts => (Some(3_500), Some(5_000)),
            Self::CreatePost => (None, Some(100)),
            Self::DeletePost | Self::Retweet => (None, Some(50)),
            Self::Chat => (None, None),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
