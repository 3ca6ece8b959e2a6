//! Counts of users and posts that come with them. What X tells of a post over time is in `analytics.rs`.

use serde::{Deserialize, Serialize};

/// Counts of a user. `None` means that X does not report the count, not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserMetrics {
    /// Users who follow it.
    pub followers_count: Option<u64>,
    /// Users whom it follows.
    pub following_count: Option<u64>,
    /// Read through [`UserMetrics::posts`].
    post_count: Option<u64>,
    tweet_count: Option<u64>,
    /// Lists that it is in.
    pub listed_count: Option<u64>,
}

impl UserMetrics {
    /// How many posts it has made, under the new name of the field or the old one.
    pub fn posts(&self) -> Option<u64> {
        self.post_count.or(self.tweet_count)
    }
}

/// Counts of reactions to a post. `None` means that X does not report the count, not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicMetrics {
    /// Read through [`PublicMetrics::reposts`].
    repost_count: Option<u64>,
    retweet_count: Option<u64>,
    /// Replies.
    pub reply_count: Option<u64>,
    /// Likes.
    pub like_count: Option<u64>,
    /// Quotes.
    pub quote_count: Option<u64>,
    /// Bookmarks.
    pub bookmark_count: Option<u64>,
    /// Views.
    pub impression_count: Option<u64>,
}

impl PublicMetrics {
    /// How often it was reposted, under the new name of the field or the old one.
    pub fn reposts(&self) -> Option<u64> {
        self.repost_count.or(self.retweet_count)
    }
}

/// Counts that X shows to the author of a post. `None` means that X does not report the count, not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateMetrics {
    /// Views.
    pub impression_count: Option<u64>,
    /// Clicks on links in it.
    pub url_link_clicks: Option<u64>,
    /// Clicks on the profile of its author.
    pub user_profile_clicks: Option<u64>,
    /// All that readers did with it.
    pub engagements: Option<u64>,
    /// Likes.
    pub like_count: Option<u64>,
    /// Replies.
    pub reply_count: Option<u64>,
    /// Read through [`PrivateMetrics::reposts`].
    repost_count: Option<u64>,
    retweet_count: Option<u64>,
}

impl PrivateMetrics {
    /// How often it was reposted, under the new name of the field or the old one.
    pub fn reposts(&self) -> Option<u64> {
        self.repost_count.or(self.retweet_count)
    }
}
