//! Requests and answers, after X's description of its API v2.

use chrono::{DateTime, Utc};
use perch_jobs::PostId;
use serde::Deserialize;

use super::{MediaId, PrivateMetrics, Problem, PublicMetrics, UnreadableItem, UserMetrics, lenient::LenientList};

/// A user of X.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct XUser {
    /// The id, a decimal number as text.
    pub id: String,
    /// The name shown on the profile.
    #[serde(default)]
    pub name: String,
    /// The handle, without `@`.
    pub username: String,
    /// How many follow it, and other counts.
    pub public_metrics: Option<UserMetrics>,
}

/// A post as X gives it. Which fields are set depends on the request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct XPost {
    /// The id.
    pub id: PostId,
    /// The text, with `&`, `<` and `>` as HTML entities and links as `t.co` links; cut when the post is a long one.
    #[serde(default)]
    pub text: String,
    /// The id of the author.
    pub author_id: Option<String>,
    /// When it was posted.
    pub created_at: Option<DateTime<Utc>>,
    /// What is attached to it.
    pub attachments: Option<Attachments>,
    /// The post that its conversation began with; its own id when it began one.
    pub conversation_id: Option<PostId>,
    /// The author of the post that this one answers.
    pub in_reply_to_user_id: Option<String>,
    /// Read through [`XPost::references`].
    #[serde(default)]
    referenced_posts: Vec<ReferencedPost>,
    #[serde(default)]
    referenced_tweets: Vec<ReferencedPost>,
    /// What is in the text.
    pub entities: Option<Entities>,
    /// Read through [`XPost::note`].
    note_post: Option<NotePost>,
    note_tweet: Option<NotePost>,
    /// Counts of what others did with it.
    pub public_metrics: Option<PublicMetrics>,
    /// Counts that X shows to the author alone, for 30 days.
    pub non_public_metrics: Option<PrivateMetrics>,
    /// The same without what was paid for, with likes, replies and reposts.
    pub organic_metrics: Option<PrivateMetrics>,
    /// Read through [`XPost::earlier`]. X gives it unasked.
    #[serde(default)]
    edit_history_post_ids: Vec<PostId>,
    #[serde(default)]
    edit_history_tweet_ids: Vec<PostId>,
}

/// X has renamed fields, and an answer may carry the old name, the new one, or both.
impl XPost {
    /// The posts that this one replies to, quotes or retweets.
    pub fn references(&self) -> &[ReferencedPost] {
        if self.referenced_posts.is_empty() { &self.referenced_tweets } else { &self.referenced_posts }
    }

    /// Its earlier versions, oldest first; none unless it was edited. Each edit gives a post an id of its own.
    pub fn earlier(&self) -> Vec<PostId> {
        let of_old = self.edit_history_post_ids.is_empty();
        let history = if of_old { &self.edit_history_tweet_ids } else { &self.edit_history_post_ids };
        let mut earlier: Vec<PostId> = history.iter().filter(|id| id.is_older_than(&self.id)).cloned().collect();
        earlier.sort_by(PostId::by_age);
        earlier.dedup();
        earlier
    }

    /// The whole text of a long post.
    pub fn note(&self) -> Option<&NotePost> {
        self.note_post.as_ref().or(self.note_tweet.as_ref())
    }

    /// The post that this one answers.
    pub fn replied_to(&self) -> Option<&PostId> {
        self.references().iter().find(|r| r.kind == ReferenceKind::RepliedTo).map(|r| &r.id)
    }

    /// The post that this one quotes.
    pub fn quoted(&self) -> Option<&PostId> {
        self.references().iter().find(|r| r.kind == ReferenceKind::Quoted).map(|r| &r.id)
    }

    /// Whether it answers another post.
    pub fn is_reply(&self) -> bool {
        self.in_reply_to_user_id.is_some() || self.replied_to().is_some()
    }

    /// The post that this one only repeats.
    pub fn repost_of(&self) -> Option<&PostId> {
        self.references().iter().find(|r| r.kind == ReferenceKind::Retweeted).map(|r| &r.id)
    }

    /// Whether it only repeats another post.
    pub fn is_repost(&self) -> bool {
        self.repost_of().is_some()
    }
}

/// What is attached to a post.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Attachments {
    /// The keys of its pictures and videos, found in [`Includes::media`].
    pub media_keys: Option<Vec<String>>,
}

/// A reference of one post to another.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReferencedPost {
    /// The kind of reference.
    #[serde(rename = "type")]
    pub kind: ReferenceKind,
    /// The other post.
    pub id: PostId,
}

/// The kind of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceKind {
    /// It repeats the other.
    Retweeted,
    /// It quotes the other.
    Quoted,
    /// It answers the other.
    RepliedTo,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

/// What is in the text of a post.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Entities {
    /// Its links.
    pub urls: Option<Vec<UrlEntity>>,
    /// The accounts it names.
    pub mentions: Option<Vec<MentionEntity>>,
}

/// An account that the text of a post names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct MentionEntity {
    /// The handle, without `@`.
    pub username: Option<String>,
    /// The id of the account.
    pub id: Option<String>,
}

/// A link in the text of a post.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct UrlEntity {
    /// The link as it stands in the text, a `t.co` link.
    pub url: Option<String>,
    /// Where it leads.
    pub expanded_url: Option<String>,
    /// The file that it stands for, if it stands for a picture or video of the post.
    pub media_key: Option<String>,
}

/// The whole text of a long post.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NotePost {
    /// The text.
    pub text: String,
    /// What is in it.
    pub entities: Option<Entities>,
}

/// A picture or video.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct XMedia {
    /// What [`Attachments::media_keys`] names it by.
    pub media_key: Option<String>,
    /// `photo`, `video` or `animated_gif`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Where a picture is.
    pub url: Option<String>,
    /// Where the still picture of a video is.
    pub preview_image_url: Option<String>,
    /// Its description by the author.
    pub alt_text: Option<String>,
    /// In pixels.
    pub width: Option<u32>,
    /// In pixels.
    pub height: Option<u32>,
}

/// What posts refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Included")]
pub struct Includes {
    /// Pictures and videos.
    pub media: Vec<XMedia>,
    /// Authors.
    pub users: Vec<XUser>,
    /// Read through [`Includes::post`].
    posts: Vec<XPost>,
    /// The items of all lists that cannot be read.
    pub(super) odd: Vec<UnreadableItem>,
}

/// The included lists, under their old and new names.
#[derive(Deserialize)]
struct Included {
    #[serde(default)]
    media: LenientList<XMedia>,
    #[serde(default)]
    users: LenientList<XUser>,
    #[serde(default)]
    posts: LenientList<XPost>,
    #[serde(default)]
    tweets: LenientList<XPost>,
}

impl From<Included> for Includes {
    fn from(Included { media, users, posts, tweets }: Included) -> Self {
        Self {
            media: media.items,
            users: users.items,
            posts: posts.items.into_iter().chain(tweets.items).collect(),
            odd: [media.odd, users.odd, posts.odd, tweets.odd].concat(),
        }
    }
}

impl Includes {
    /// A post that another one replies to, quotes or retweets. `None` when it is gone, or hidden.
    pub fn post(&self, id: &PostId) -> Option<&XPost> {
        self.posts.iter().find(|post| post.id == *id)
    }

    /// The user with that id.
    pub fn user(&self, id: &str) -> Option<&XUser> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(super) fn add(&mut self, more: Self) {
        self.media.extend(more.media);
        self.users.extend(more.users);
        self.posts.extend(more.posts);
        self.odd.extend(more.odd);
    }
}

/// Which posts of an account to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostsQuery {
    /// Posts in one page, 5 to 100; other values are moved into that range.
    pub max_results: u8,
    /// Only posts newer than this one.
    pub since_id: Option<PostId>,
    /// Only posts older than this one.
    pub until_id: Option<PostId>,
    /// Only posts from this time on, to the second.
    pub start_time: Option<DateTime<Utc>>,
    /// The page, as [`Page::next_token`] of the one before it says.
    pub pagination_token: Option<String>,
    /// Leave out replies. Has no effect on mentions.
    pub exclude_replies: bool,
    /// Leave out reposts. Has no effect on mentions.
    pub exclude_reposts: bool,
}

impl Default for PostsQuery {
    fn default() -> Self {
        Self {
            max_results: 10,
            since_id: None,
            until_id: None,
            start_time: None,
            pagination_token: None,
            exclude_replies: false,
            exclude_reposts: false,
        }
    }
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub data: Vec<T>,
    /// What that refers to.
    pub includes: Includes,
    /// What X could not include.
    pub errors: Vec<Problem>,
    /// The items on it that cannot be read.
    pub odd: Vec<UnreadableItem>,
    /// The newest id on the page, whether the post can be read or not.
    pub newest_id: Option<PostId>,
    /// How to ask for the next page; `None` on the last.
    pub next_token: Option<String>,
}

/// The requested items that were found, and the reasons for the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial<T> {
    /// What was found.
    pub data: Vec<T>,
    /// The users, media and posts that these refer to, if the request asked for them.
    pub includes: Includes,
    /// One problem for each item that was not found; [`Problem::resource_id`] names it, [`Problem::absence`] says why.
    pub errors: Vec<Problem>,
    /// The items that were found but cannot be read.
    pub odd: Vec<UnreadableItem>,
}

impl<T> Default for Partial<T> {
    fn default() -> Self {
        Self { data: Vec::new(), includes: Includes::default(), errors: Vec::new(), odd: Vec::new() }
    }
}

/// A post to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreatePost {
    /// Its text, at most 280 units by [`crate::text::weighted_length`].
    pub text: String,
    /// The post it answers.
    pub reply_to: Option<PostId>,
    /// Whether the post that it answers is the account's own. X charges such a reply like a post.
    pub continues_thread: bool,
    /// The files that it carries, as [`XClient::upload_media`](super::XClient::upload_media) gave their ids: at most 4.
    pub media_ids: Vec<MediaId>,
    /// Whether to say that a model made it.
    pub made_with_ai: bool,
    /// Whether to say that it is paid for.
    pub paid_partnership: bool,
}

/// The answer to a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Deleted {
    pub(super) deleted: bool,
}

/// A post that was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CreatedPost {
    /// Its id.
    pub id: PostId,
    /// Its text as X keeps it: with HTML entities and `t.co` links.
    pub text: String,
}

/// The answer to a retweet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reposted {
    /// Whether the account now repeats the post.
    pub retweeted: bool,
    /// The id that X gave back for it.
    pub rest_id: Option<String>,
}

/// The envelope of every answer of X.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<T> {
    pub(super) data: Option<T>,
    #[serde(default)]
    pub(super) errors: LenientList<Problem>,
    #[serde(default)]
    pub(super) includes: Includes,
    #[serde(default)]
    pub(super) meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Meta {
    pub(super) newest_id: Option<PostId>,
    pub(super) next_token: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_under_its_old_name_its_new_name_or_both_is_read_once() {
        for names in
            [vec!["referenced_posts"], vec!["referenced_tweets"], vec!["referenced_posts", "referenced_tweets"]]
        {
            let mut post =
                json!({ "id": "9", "public_metrics": { "reply_count": 0, "like_count": 0, "quote_count": 0 } });
            for name in &names {
                post[name] = json!([{ "type": "replied_to", "id": "7" }]);
                let count = if name.ends_with("tweets") { "retweet_count" } else { "repost_count" };
                post["public_metrics"][count] = json!(3);
            }
            let post: XPost = serde_json::from_value(post).expect("a post");
            assert_eq!(post.replied_to().map(PostId::as_str), Some("7"), "{names:?}");
            assert_eq!(post.public_metrics.map(|m| m.reposts()), Some(Some(3)), "{names:?}");
        }
    }

    #[test]
    fn an_edit_knows_its_earlier_versions_by_either_name() {
        for name in ["edit_history_post_ids", "edit_history_tweet_ids"] {
            let post: XPost =
                serde_json::from_value(json!({ "id": "1000", name: ["1000", "998", "999"] })).expect("a post");
            assert_eq!(post.earlier().iter().map(PostId::as_str).collect::<Vec<_>>(), ["998", "999"], "{name}");
        }
        let unedited: XPost =
            serde_json::from_value(json!({ "id": "7", "edit_history_post_ids": ["7"] })).expect("a post");
        assert!(unedited.earlier().is_empty());
    }

    #[test]
    fn a_post_that_another_refers_to_is_found_under_the_old_name_and_the_new_one() {
        for name in ["posts", "tweets"] {
            let includes: Includes =
                serde_json::from_value(json!({ name: [{ "id": "7", "text": "Suns ML" }] })).expect("includes");
            let found = includes.post(&"7".parse().expect("an id"));
            assert_eq!(found.map(|post| post.text.as_str()), Some("Suns ML"), "{name}");
        }
    }
}
