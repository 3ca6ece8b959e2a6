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
    /// `GET /2/tweets/analytics`
    Analytics,
    /// `POST /2/media/upload`
    UploadMedia,
    /// `POST /2/media/upload/initialize`
    InitializeMedia,
    /// `POST /2/media/upload/{id}/append`
    AppendMedia,
    /// `POST /2/media/upload/{id}/finalize`
    FinalizeMedia,
    /// `GET /2/media/upload`
    MediaStatus,
    /// `POST /2/media/metadata`
    MediaMetadata,
    /// `POST /v1/chat/completions`
    Chat,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 16] = [
        Self::User,
        Self::Me,
        Self::UserPosts,
        Self::Mentions,
        Self::Posts,
        Self::CreatePost,
        Self::DeletePost,
        Self::Retweet,
        Self::Analytics,
        Self::UploadMedia,
        Self::InitializeMedia,
        Self::AppendMedia,
        Self::FinalizeMedia,
        Self::MediaStatus,
        Self::MediaMetadata,
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
            Self::Analytics => "analytics",
            Self::UploadMedia => "upload_media",
            Self::InitializeMedia => "initialize_media",
            Self::AppendMedia => "append_media",
            Self::FinalizeMedia => "finalize_media",
            Self::MediaStatus => "media_status",
            Self::MediaMetadata => "media_metadata",
            Self::Chat => "chat",
        }
    }

    /// Whether a user must call it: a write, or something that only its own user is told.
    pub(crate) const fn needs_user(self) -> bool {
        match self {
            Self::User | Self::UserPosts | Self::Mentions | Self::Posts | Self::Chat => false,
            Self::Me
            | Self::CreatePost
            | Self::DeletePost
            | Self::Retweet
            | Self::Analytics
            | Self::UploadMedia
            | Self::InitializeMedia
            | Self::AppendMedia
            | Self::FinalizeMedia
            | Self::MediaStatus
            | Self::MediaMetadata => true,
        }
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
            Self::Analytics => (None, Some(300)),
            Self::UploadMedia | Self::MediaMetadata => (None, Some(500)),
            Self::InitializeMedia | Self::AppendMedia | Self::FinalizeMedia => (None, Some(1_875)),
            Self::MediaStatus => (None, Some(1_000)),
            Self::Chat => (None, None),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
