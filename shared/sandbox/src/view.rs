//! Accounts and posts as X writes them: the default fields, and the others when asked for.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::{
    query::Query,
    state::Inner,
    world::{Account, Reference, StoredPost},
};

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// An account: `id`, `name`, `username`, and what `user.fields` names.
pub(crate) fn user(account: &Account, query: &Query) -> Value {
    let mut user = json!({ "id": account.id.to_string(), "name": account.username, "username": account.username });
    for field in &query.user_fields {
        let value = match field.as_str() {
            "created_at" => time(account.created_at).into(),
            "description" => "An account of the sandbox.".into(),
            "protected" | "verified" => false.into(),
            "public_metrics" => json!({
                "followers_count": 500 + account.id % 40_000, "following_count": account.id % 900,
                "post_count": 100 + account.id % 5_000, "tweet_count": 100 + account.id % 5_000,
                "listed_count": account.id % 60, "like_count": account.id % 3_000,
            }),
            _ => continue,
        };
        user[field.as_str()] = value;
    }
    user
}

/// A post: `id`, `text`, its edit history, and what `tweet.fields` or `post.fields` names. An expansion brings the field
/// it expands.
pub(crate) fn post(post: &StoredPost, inner: &Inner, query: &Query) -> Value {
    let id = post.id.to_string();
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| object.insert(name.to_owned(), value);
    set("id", id.clone().into());
    set("text", post.text.clone().into());
    // Both the name of the wire and the one of the description of August 2026.
    set("edit_history_tweet_ids", json!([id]));
    set("edit_history_post_ids", json!([id]));
    let asked = |name: &str| query.post_fields.contains(name) || query.expansions.iter().any(|e| e.starts_with(name));
    if asked("author_id") {
        set("author_id", post.author.to_string().into());
    }
    if asked("created_at") {
        set("created_at", time(post.created_at).into());
    }
    if asked("lang") {
        set("lang", "en".into());
    }
    if asked("public_metrics") {
        set("public_metrics", json!(inner.world.metrics(post, Utc::now())));
    }
    if asked("attachments") && post.image.is_some() {
        set("attachments", json!({ "media_keys": [media_key(post)] }));
    }
    let reference = match post.reference {
        Reference::None => None,
        Reference::Reply(to) => Some(("replied_to", to)),
        Reference::Retweet(of) => Some(("retweeted", of)),
    };
    if asked("conversation_id") {
        set("conversation_id", conversation(post, inner).to_string().into());
    }
    if let Some((kind, target)) = reference {
        for name in ["referenced_tweets", "referenced_posts"].into_iter().filter(|name| asked(name)) {
            set(name, json!([{ "type": kind, "id": target.to_string() }]));
        }
        if asked("in_reply_to_user_id")
            && kind == "replied_to"
            && let Some(target) = inner.world.post(target)
        {
            set("in_reply_to_user_id", target.author.to_string().into());
        }
    }
    Value::Object(object)
}

fn media_key(post: &StoredPost) -> String {
    format!("3_{}", post.id)
}

fn conversation(post: &StoredPost, inner: &Inner) -> u64 {
    let mut root = post.id;
    let mut next = Some(post);
    while let Some(Reference::Reply(to)) = next.map(|p| p.reference) {
        root = to;
        next = inner.world.post(to);
    }
    root
}

/// What the expansions of a request bring along; nothing when there is none.
pub(crate) fn includes(posts: &[&StoredPost], inner: &Inner, query: &Query) -> Option<Value> {
    let expands = |name: &str| query.expansions.contains(name);
    let mut includes = Map::new();
    if expands("author_id") {
        let mut authors: Vec<u64> = posts.iter().map(|p| p.author).collect();
        authors.sort_unstable();
        authors.dedup();
        let users = authors.iter().filter_map(|id| inner.world.by_id(*id)).map(|a| user(a, query)).collect::<Vec<_>>();
        includes.insert("users".into(), users.into());
    }
    if expands("attachments.media_keys") {
        let media: Vec<Value> = posts.iter().filter_map(|p| picture(p, query)).collect();
        if !media.is_empty() {
            includes.insert("media".into(), media.into());
        }
    }
    for (expansion, name) in [("referenced_tweets.id", "tweets"), ("referenced_posts", "posts")] {
        if expands(expansion) {
            let targets = posts.iter().filter_map(|p| match p.reference {
                Reference::Reply(id) | Reference::Retweet(id) => inner.world.post(id),
                Reference::None => None,
            });
            let targets: Vec<Value> = targets.map(|p| post(p, inner, query)).collect();
            includes.insert(name.into(), targets.into());
        }
    }
    (!includes.is_empty()).then_some(Value::Object(includes))
}

fn picture(post: &StoredPost, query: &Query) -> Option<Value> {
    let url = post.image.as_deref()?;
    let mut media = json!({ "media_key": media_key(post), "type": "photo" });
    if query.media_fields.contains("url") {
        media["url"] = url.into();
    }
    if query.media_fields.contains("alt_text") {
        media["alt_text"] = "A bet slip".into();
    }
    Some(media)
}
