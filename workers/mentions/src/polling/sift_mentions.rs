//! Decides which of the mentions that a poll read are to be answered. Pure functions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use perch_clients::x::{Includes, ReferenceKind, XPost, unescape};
use perch_jobs::{Mention, PostId};

use crate::{blocked::is_among, replying::is_too_old, store::MentionState};

/// A mention that a poll read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadMention {
    pub mention: Mention,
    /// The ids of its earlier versions: an edited post is the same mention.
    pub earlier: Vec<PostId>,
    pub author: Option<String>,
    pub is_repost: bool,
}

/// Why a mention is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LeftOutReason {
    Own,
    Repost,
    Blocked,
    TooOld,
    Processed,
    ConversationFull,
    UserFull,
}

impl LeftOutReason {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Repost => "repost",
            Self::Blocked => "blocked",
            Self::TooOld => "too_old",
            Self::Processed => "processed",
            Self::ConversationFull => "conversation_full",
            Self::UserFull => "user_full",
        }
    }
}

/// Converts a post of X to a mention; `None` when it has no author or time.
pub(super) fn read(post: &XPost, includes: &Includes, now: DateTime<Utc>) -> Option<ReadMention> {
    let author_id = post.author_id.clone()?;
    let quoted = post.references().iter().find(|r| r.kind == ReferenceKind::Quoted).map(|r| &r.id);
    Some(ReadMention {
        author: includes.user(&author_id).map(|user| user.username.clone()),
        is_repost: post.is_repost(),
        earlier: post.earlier(),
        mention: Mention {
            id: post.id.clone(),
            text: unescape(post.full_text()).into_owned(),
            author_id,
            conversation_id: post.conversation_id.clone().unwrap_or_else(|| post.id.clone()),
            created_at: post.created_at?,
            processed_at: now,
            referenced_tweet_id: post.replied_to().or(quoted).cloned(),
        },
    })
}

/// Sorts mentions, the oldest first, and removes duplicates.
pub(super) fn in_order(mut mentions: Vec<ReadMention>) -> Vec<ReadMention> {
    mentions.sort_by(|a, b| a.mention.id.by_age(&b.mention.id));
    mentions.dedup_by(|a, b| a.mention.id == b.mention.id);
    mentions
}

/// What the decision needs besides the mention.
pub(super) struct SiftContext<'a> {
    pub own_id: &'a str,
    /// Blocked users: handles in lower case, and ids.
    pub blocked: &'a BTreeSet<String>,
    pub states: &'a BTreeMap<PostId, MentionState>,
    pub max_age: Duration,
    pub now: DateTime<Utc>,
}

/// Why a mention is left out, apart from the limits of replies.
pub(super) fn left_out(read: &ReadMention, known: &SiftContext<'_>) -> Option<LeftOutReason> {
    let mention = &read.mention;
    let is_dealt_with = |id: &PostId| known.states.get(id).is_some_and(|state| *state != MentionState::Seen);
    if is_dealt_with(&mention.id) || read.earlier.iter().any(is_dealt_with) {
        Some(LeftOutReason::Processed)
    } else if mention.author_id == known.own_id {
        Some(LeftOutReason::Own)
    } else if read.is_repost {
        Some(LeftOutReason::Repost)
    } else if is_among(known.blocked, &mention.author_id, read.author.as_deref()) {
        Some(LeftOutReason::Blocked)
    } else if is_too_old(mention.created_at, known.now, known.max_age) {
        Some(LeftOutReason::TooOld)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;

    fn post(value: &serde_json::Value) -> XPost {
        let mut whole = json!({
            "id": "7", "text": "@perch_bot A &amp; B?", "author_id": "12", "created_at": "2026-11-21T09:30:00Z",
        });
        for (name, value) in value.as_object().expect("an object") {
            whole[name] = value.clone();
        }
        serde_json::from_value(whole).expect("a post")
    }

    fn mention(value: &serde_json::Value) -> ReadMention {
        let includes = serde_json::from_value(json!({ "users": [{ "id": "12", "name": "Fan", "username": "Fan" }] }));
        read(&post(value), &includes.expect("includes"), Utc::now()).expect("a mention")
    }

    #[test]
    fn a_post_becomes_a_mention_with_what_it_answers_or_quotes() {
        let reply = mention(&json!({
            "conversation_id": "5",
            "referenced_tweets": [{ "type": "quoted", "id": "4" }, { "type": "replied_to", "id": "6" }],
        }));
        assert_eq!((reply.mention.text.as_str(), reply.author.as_deref()), ("@perch_bot A & B?", Some("Fan")));
        assert_eq!(reply.mention.conversation_id.as_str(), "5");
        assert_eq!(reply.mention.referenced_tweet_id.as_ref().map(PostId::as_str), Some("6"));
        let quote = mention(&json!({ "referenced_tweets": [{ "type": "quoted", "id": "4" }] }));
        assert_eq!(quote.mention.referenced_tweet_id.as_ref().map(PostId::as_str), Some("4"));
        assert_eq!(quote.mention.conversation_id.as_str(), "7", "a post of its own begins its conversation");
        assert!(read(&post(&json!({ "created_at": null })), &Includes::default(), Utc::now()).is_none());
    }

    #[test]
    fn each_reason_to_leave_a_mention_out_is_told_apart() {
        let (now, day) = (Utc::now(), Duration::from_secs(86_400));
        let blocked = BTreeSet::from(["troll".to_owned(), "99".to_owned()]);
        let states = BTreeMap::from([
            ("1".parse().expect("an id"), MentionState::Answered),
            ("2".parse().expect("an id"), MentionState::Seen),
        ]);
        let known = SiftContext { own_id: "1000", blocked: &blocked, states: &states, max_age: day, now };
        let at = |id: &str, author: &str, handle: &str| {
            let mut one = mention(&json!({ "id": id, "author_id": author }));
            one.mention.created_at = now;
            one.author = Some(handle.to_owned());
            one
        };
        assert_eq!(left_out(&at("1", "12", "fan"), &known), Some(LeftOutReason::Processed));
        assert_eq!(left_out(&at("2", "12", "fan"), &known), None, "one that was only seen is dealt with again");
        let edited = ReadMention { earlier: vec!["1".parse().expect("an id")], ..at("3", "12", "fan") };
        assert_eq!(left_out(&edited, &known), Some(LeftOutReason::Processed), "its first version was answered");
        assert_eq!(left_out(&at("3", "1000", "perch_bot"), &known), Some(LeftOutReason::Own));
        assert_eq!(
            left_out(&ReadMention { is_repost: true, ..at("3", "12", "fan") }, &known),
            Some(LeftOutReason::Repost)
        );
        assert_eq!(left_out(&at("3", "12", "Troll"), &known), Some(LeftOutReason::Blocked));
        assert_eq!(left_out(&at("3", "99", "other"), &known), Some(LeftOutReason::Blocked));
        let mut old = at("3", "12", "fan");
        old.mention.created_at = now - TimeDelta::hours(25);
        assert_eq!(left_out(&old, &known), Some(LeftOutReason::TooOld));
    }

    #[test]
    fn mentions_are_dealt_with_oldest_first_and_each_once() {
        let of = |id: &str| mention(&json!({ "id": id }));
        let ordered = in_order(vec![of("1000"), of("999"), of("1000"), of("7")]);
        let ids: Vec<&str> = ordered.iter().map(|read| read.mention.id.as_str()).collect();
        assert_eq!(ids, ["7", "999", "1000"]);
    }
}
