//! The write endpoints of X: posts, replies, deletions, reposts.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Extension, Path, State},
    http::StatusCode,
    routing::{delete, post},
};
use chrono::Utc;
use perch_job::strict;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    Endpoint,
    account::Account,
    app::App,
    guard::{Caller, guarded},
    post::{Reference, StoredPost},
    problem::Problem,
    query::id,
    weight::{LONGEST, LONGEST_OF_ALL, weight},
    world::Refusal,
};

/// The write endpoints.
pub(crate) fn routes(app: &App) -> Router {
    Router::new()
        .route("/2/tweets", guarded(app, Endpoint::CreatePost, post(create)))
        .route("/2/tweets/{id}", guarded(app, Endpoint::DeletePost, delete(remove)))
        .route("/2/users/{id}/retweets", guarded(app, Endpoint::Retweet, post(retweet)))
        .with_state(app.clone())
}

/// Every field that X accepts in a new post.
const FIELDS: [&str; 16] = [
    "card_uri",
    "community_id",
    "direct_message_deep_link",
    "edit_options",
    "for_super_followers_only",
    "geo",
    "made_with_ai",
    "media",
    "nullcast",
    "paid_partnership",
    "poll",
    "quote_tweet_id",
    "reply",
    "reply_settings",
    "share_with_followers",
    "text",
];

/// The fields that the sandbox uses; the others are accepted and ignored.
#[derive(Deserialize)]
struct NewTweet {
    #[serde(default)]
    text: String,
    #[serde(default)]
    reply: Option<Reply>,
    #[serde(default)]
    quote_tweet_id: Option<String>,
    #[serde(default)]
    media: Option<Media>,
}

#[derive(Deserialize)]
struct Media {
    media_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Reply {
    in_reply_to_tweet_id: String,
}

fn new_tweet(bytes: &[u8]) -> Result<NewTweet, Problem> {
    let fields: Map<String, Value> = body(bytes)?;
    if let Some(other) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(Problem::invalid(other, "", format!("The field `{other}` is not one of those allowed.")));
    }
    body(bytes)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repost {
    tweet_id: String,
}

pub(crate) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    strict::from_slice(bytes).map_err(|error| Problem::invalid("body", "", error.to_string()))
}

pub(crate) fn user(caller: Caller) -> Result<Account, Problem> {
    match caller {
        Caller::User(account) => Ok(account),
        Caller::App => Err(Problem::unsupported_authentication()),
    }
}

async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let account = user(caller)?;
    let new = new_tweet(&bytes)?;
    let media_ids = new.media.as_ref().map_or(&[][..], |media| &media.media_ids);
    if new.text.trim().is_empty() && media_ids.is_empty() {
        return Err(Problem::invalid("text", &new.text, "text is required."));
    }
    let is_long = app.state.lock().long_posts.iter().any(|username| username.eq_ignore_ascii_case(&account.username));
    let (units, most) = (weight(&new.text), if is_long { LONGEST_OF_ALL } else { LONGEST });
    if units > most {
        let message = format!("text has {units} units by X's weighted count; the most is {most}.");
        return Err(Problem::invalid("text", &new.text, message));
    }
    let reference = match (&new.reply, &new.quote_tweet_id) {
        (Some(reply), _) => Reference::Reply(id("reply.in_reply_to_tweet_id", &reply.in_reply_to_tweet_id)?),
        (None, Some(quoted)) => Reference::Quote(id("quote_tweet_id", quoted)?),
        (None, None) => Reference::None,
    };
    let made = {
        let mut inner = app.state.lock();
        let pictures = inner.files.pictures(account.id, media_ids)?;
        let post = StoredPost::made(account.id, new.text.as_str(), reference, Utc::now());
        inner.world.make(&account, StoredPost { pictures, ..post })
    };
    match made {
        Ok(id) => {
            app.state.changed();
            let id = id.to_string();
            let data =
                json!({ "id": id, "text": new.text, "edit_history_tweet_ids": [id], "edit_history_post_ids": [id] });
            Ok((StatusCode::CREATED, Json(json!({ "data": data }))))
        }
        Err(refusal) => Err(Problem::forbidden(match refusal {
            Refusal::Duplicate => "You are not allowed to create a Tweet with duplicate content.",
            // X does not say more where it takes a post for spam.
            Refusal::Copy => "You are not permitted to perform this action.",
            Refusal::NoSuchPost => "You attempted to reply to a Tweet that is deleted or not visible to you.",
            Refusal::NotSummoned => {
                "Reply to this conversation is not allowed because you have not been mentioned or otherwise engaged by the \
                 author of the post you are replying to."
            }
            Refusal::NoQuotes => "Quoting posts is not part of the plan of your application.",
        })),
    }
}

async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(post): Path<String>,
) -> Result<Json<Value>, Problem> {
    let account = user(caller)?;
    let target = id("id", &post)?;
    let mut inner = app.state.lock();
    match inner.world.post(target).map(|p| p.author) {
        None => return Err(Problem::not_found("tweet", "id", &post)),
        Some(author) if author != account.id => {
            return Err(Problem::forbidden("You are not allowed to delete a Tweet of another user."));
        }
        Some(_) => inner.world.delete(account.id, target),
    };
    drop(inner);
    app.state.changed();
    Ok(Json(json!({ "data": { "deleted": true } })))
}

async fn retweet(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(user_id): Path<String>,
    bytes: Bytes,
) -> Result<Json<Value>, Problem> {
    let account = user(caller)?;
    if id("id", &user_id)? != account.id {
        let message = format!("The `id` path parameter value [{user_id}] must be the id of the authenticated user.");
        return Err(Problem::invalid("id", &user_id, message));
    }
    let target = id("tweet_id", &body::<Repost>(&bytes)?.tweet_id)?;
    let mut inner = app.state.lock();
    if !inner.world.may_refer_to(target) {
        return Err(Problem::not_found("tweet", "tweet_id", &target.to_string()));
    }
    if inner.world.has_retweeted(account.id, target) {
        let message = "You cannot retweet a Tweet that you have already retweeted.";
        return Err(Problem::invalid("tweet_id", &target.to_string(), message));
    }
    let text = inner.repeated(target);
    inner.world.store(StoredPost::made(account.id, text, Reference::Retweet(target), Utc::now()));
    drop(inner);
    app.state.changed();
    Ok(Json(json!({ "data": { "retweeted": true, "rest_id": target.to_string() } })))
}
