//! Accounts and posts in X's JSON: the default fields, and the others when requested.

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use crate::{
    account::{Absence, Account, AccountStanding},
    analytics::engagements,
    entities::written,
    growth::Metrics,
    media::{self, UploadedFile},
    picture,
    post::{Picture, Reference, Source, StoredPost},
    problem::Problem,
    query::Query,
    state::SharedState,
};

/// For so long X tells an author the private metrics of a post.
const PRIVATE_FOR: TimeDelta = TimeDelta::days(30);
/// Width and height given for pictures that the sandbox did not draw.
const USUAL_SIZE: (usize, usize) = (1_200, 675);

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// An account: `id`, `name`, `username`, and what `user.fields` names.
pub(crate) fn user(account: &Account, inner: &SharedState, query: &Query) -> Value {
    let mut user = json!({ "id": account.id.to_string(), "name": account.username, "username": account.username });
    for field in &query.user_fields {
        let value = match field.as_str() {
            "created_at" => time(account.created_at).into(),
            "description" => "An account of the sandbox.".into(),
            "protected" => (account.standing == AccountStanding::Protected).into(),
            "verified" => false.into(),
            "public_metrics" => json!({
                "followers_count": inner.world.followers(account, Utc::now()), "following_count": account.id % 900,
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
pub(crate) fn post(post: &StoredPost, inner: &SharedState, query: &Query) -> Value {
    let id = post.id.to_string();
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| object.insert(name.to_owned(), value);
    let (shown, note) = written(&post.text, &inner.world);
    set("id", id.clone().into());
    set("text", shown.text.into());
    // Both the name of the wire and the one of the description of August 2026.
    let history: Vec<String> = post.earlier.iter().map(u64::to_string).chain([id]).collect();
    set("edit_history_tweet_ids", json!(history));
    set("edit_history_post_ids", json!(history));
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
        set("public_metrics", json!(Metrics::from(inner.world.counts(post, Utc::now()))));
    }
    for (name, value) in private(post, inner, query) {
        if let Some(value) = value {
            set(name, value);
        }
    }
    if asked("attachments") && !post.pictures.is_empty() {
        set("attachments", json!({ "media_keys": keys(post) }));
    }
    if let Some(entities) = shown.entities.filter(|_| asked("entities")) {
        set("entities", entities);
    }
    if let Some(note) = note {
        let mut whole = json!({ "text": note.text });
        if let Some(entities) = note.entities {
            whole["entities"] = entities;
        }
        for name in ["note_tweet", "note_post"].into_iter().filter(|name| asked(name)) {
            set(name, whole.clone());
        }
    }
    if asked("conversation_id") {
        set("conversation_id", inner.world.conversation(post).to_string().into());
    }
    if let Some((kind, target)) = post.reference.kind().zip(post.reference.target()) {
        for name in ["referenced_tweets", "referenced_posts"].into_iter().filter(|name| asked(name)) {
            set(name, json!([{ "type": kind, "id": target.to_string() }]));
        }
    }
    if asked("in_reply_to_user_id")
        && let Some(author) = answered(post, inner)
    {
        set("in_reply_to_user_id", author.to_string().into());
    }
    Value::Object(object)
}

/// The metrics that only an author is told, and only of posts of the last 30 days: those asked for, without a value where they are refused.
fn private(post: &StoredPost, inner: &SharedState, query: &Query) -> Vec<(&'static str, Option<Value>)> {
    let counts = inner.world.counts(post, Utc::now());
    let told = query.reader == Some(post.author) && Utc::now() - post.created_at < PRIVATE_FOR;
    let seen = json!({
        "impression_count": counts.impressions, "engagements": engagements(&counts), "url_link_clicks": counts.url_clicks,
        "user_profile_clicks": counts.profile_clicks,
    });
    let organic = json!({
        "impression_count": counts.impressions, "url_link_clicks": counts.url_clicks,
        "user_profile_clicks": counts.profile_clicks, "like_count": counts.likes, "reply_count": counts.replies,
        "retweet_count": counts.reposts, "repost_count": counts.reposts,
    });
    let all = [("non_public_metrics", seen), ("organic_metrics", organic)];
    let asked = all.into_iter().filter(|(name, _)| query.post_fields.contains(*name));
    asked.map(|(name, value)| (name, told.then_some(value))).collect()
}

/// Replaces the text of the newest post in a response by an object, which is invalid.
pub(crate) fn make_odd(answer: &mut Value) {
    if let Some(post) = answer.pointer_mut("/data/0") {
        post["text"] = json!({ "of": "another shape" });
    }
}

/// The author of the post that a post replies to.
fn answered(post: &StoredPost, inner: &SharedState) -> Option<u64> {
    match post.reference {
        Reference::Reply(to) => inner.world.post(to).map(|target| target.author),
        _ => None,
    }
}

/// The keys of the files of a post.
fn keys(post: &StoredPost) -> Vec<String> {
    post.pictures.iter().map(|picture| key(post, picture)).collect()
}

fn key(post: &StoredPost, picture: &Picture) -> String {
    match picture.source {
        Source::Uploaded(id) => media::media_key(id),
        Source::At(_) | Source::Drawn(_) => media::media_key(post.id),
    }
}

/// The response for these posts: `data`, the `includes` of the expansions, and an error for each object that cannot be included. As at X,
/// an empty list has no `data` at all.
pub(crate) fn posts(posts: &[&StoredPost], mut errors: Vec<Value>, inner: &SharedState, query: &Query) -> Value {
    let mut answer = json!({});
    for post in posts {
        let refused = private(post, inner, query).into_iter().filter(|(_, value)| value.is_none());
        errors.extend(refused.map(|(name, _)| Problem::private(name, &post.id.to_string()).partial()));
    }
    if !posts.is_empty() {
        answer["data"] = posts.iter().map(|p| post(p, inner, query)).collect();
        let mut includes = Map::new();
        let mut put = |name: &str, list: Vec<Value>| {
            if !list.is_empty() {
                includes.insert(name.to_owned(), list.into());
            }
        };
        let targets = targets(posts, &mut errors, inner, query);
        put("users", users(posts, &targets, inner, query));
        if query.expansions.contains("attachments.media_keys") {
            put("media", posts.iter().chain(&targets).flat_map(|p| files(p, inner, query)).collect());
        }
        for (expansion, name) in REFERENCES {
            if query.expansions.contains(expansion) {
                put(name, targets.iter().map(|p| post(p, inner, query)).collect());
            }
        }
        if !includes.is_empty() {
            answer["includes"] = includes.into();
        }
    }
    if !errors.is_empty() {
        answer["errors"] = errors.into();
    }
    answer
}

/// The old and the new name of the expansion of references, each with its field in `includes`.
const REFERENCES: [(&str, &str); 2] = [("referenced_tweets.id", "tweets"), ("referenced_posts", "posts")];

/// The posts that others refer to, each once, with an error for each that is not shown.
fn targets<'a>(
    posts: &[&StoredPost],
    errors: &mut Vec<Value>,
    inner: &'a SharedState,
    query: &Query,
) -> Vec<&'a StoredPost> {
    let Some((expansion, _)) = REFERENCES.into_iter().find(|(expansion, _)| query.expansions.contains(*expansion))
    else {
        return Vec::new();
    };
    let ids: BTreeSet<u64> = posts.iter().filter_map(|post| post.reference.target()).collect();
    let mut found = Vec::new();
    for id in ids {
        match inner.world.look(id) {
            Ok(post) => found.push(post),
            Err(absence) => errors.push(absent(absence, expansion, &id.to_string())),
        }
    }
    found
}

/// The error for a post that is not shown.
pub(crate) fn absent(absence: Absence, parameter: &str, id: &str) -> Value {
    match absence {
        Absence::Gone => Problem::not_found("tweet", parameter, id).partial(),
        Absence::Hidden => Problem::hidden("tweet", parameter, id).partial(),
    }
}

/// The accounts that the expansions of a request include, each once.
fn users(posts: &[&StoredPost], targets: &[&StoredPost], inner: &SharedState, query: &Query) -> Vec<Value> {
    let mut ids = BTreeSet::new();
    if query.expansions.contains("author_id") {
        ids.extend(posts.iter().chain(targets).map(|post| post.author));
    }
    if query.expansions.contains("in_reply_to_user_id") {
        ids.extend(posts.iter().filter_map(|post| answered(post, inner)));
    }
    ids.into_iter().filter_map(|id| inner.world.by_id(id)).map(|account| user(account, inner, query)).collect()
}

/// The files of a post.
fn files(post: &StoredPost, inner: &SharedState, query: &Query) -> Vec<Value> {
    post.pictures.iter().map(|picture| file(post, picture, inner, query)).collect()
}

fn file(post: &StoredPost, picture: &Picture, inner: &SharedState, query: &Query) -> Value {
    let here = |name: String| format!("{}/sandbox/media/{name}", query.base_url);
    let (url, kind, (width, height)) = match &picture.source {
        Source::At(url) => (url.clone(), "photo", USUAL_SIZE),
        Source::Drawn(text) => (here(format!("{}.png", post.id)), "photo", picture::size(text)),
        Source::Uploaded(id) => {
            let kind = inner.files.get(*id).map_or("photo", UploadedFile::kind);
            (here(id.to_string()), kind, USUAL_SIZE)
        }
    };
    let mut media = json!({ "media_key": key(post, picture), "type": kind });
    let fields = [
        ("url", Some(Value::from(url))),
        ("width", Some(width.into())),
        ("height", Some(height.into())),
        ("alt_text", picture.alt_text.as_deref().map(Value::from)),
    ];
    for (name, value) in fields {
        if let Some(value) = value.filter(|_| query.media_fields.contains(name)) {
            media[name] = value;
        }
    }
    media
}
