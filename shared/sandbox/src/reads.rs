//! What is read from X: users, timelines, mentions, posts by id.

use axum::{
    Json, Router,
    extract::{Extension, Path, State},
    http::Uri,
    routing::get,
};
use serde_json::{Value, json};

use crate::{
    Endpoint,
    guard::{Caller, guarded},
    problem::Problem,
    query::{OF_TIMELINES, Query, id, page_token},
    sandbox::App,
    state::Inner,
    view,
    world::StoredPost,
};

type Answer = Result<Json<Value>, Problem>;

/// The read endpoints.
pub(crate) fn routes(app: &App) -> Router {
    Router::new()
        .route("/2/users/by/username/{username}", guarded(app, Endpoint::User, get(user)))
        .route("/2/users/me", guarded(app, Endpoint::Me, get(me)))
        .route("/2/users/{id}/tweets", guarded(app, Endpoint::UserPosts, get(timeline)))
        .route("/2/users/{id}/mentions", guarded(app, Endpoint::Mentions, get(mentions)))
        .route("/2/tweets", guarded(app, Endpoint::Posts, get(posts)))
        .with_state(app.clone())
}

async fn user(State(app): State<App>, Path(username): Path<String>, uri: Uri) -> Answer {
    let query = Query::read(&uri, &[])?;
    let valid = (1..=15).contains(&username.len()) && username.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !valid {
        let message = format!("The `username` value [{username}] does not match ^[A-Za-z0-9_]{{1,15}}$");
        return Err(Problem::invalid("username", &username, message));
    }
    let inner = app.state.lock();
    Ok(Json(match inner.world.find(&username) {
        Some(account) => json!({ "data": view::user(account, &query) }),
        // X answers 200 with an error beside no data.
        None => json!({ "errors": [Problem::not_found("user", "username", &username).partial()] }),
    }))
}

async fn me(Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let query = Query::read(&uri, &[])?;
    match caller {
        Caller::User(account) => Ok(Json(json!({ "data": view::user(&account, &query) }))),
        Caller::App => Err(Problem::unsupported_authentication()),
    }
}

async fn timeline(State(app): State<App>, Path(user): Path<String>, uri: Uri) -> Answer {
    let query = Query::read(&uri, &OF_TIMELINES)?;
    let (author, slice) = (id("id", &user)?, query.slice()?);
    let inner = app.state.lock();
    if inner.world.by_id(author).is_none() {
        return Ok(Json(json!({ "errors": [Problem::not_found("user", "id", &user).partial()] })));
    }
    let (posts, more) = inner.world.timeline(author, &slice);
    Ok(Json(page(&posts, more, &inner, &query)))
}

async fn mentions(State(app): State<App>, Path(user): Path<String>, uri: Uri) -> Answer {
    let query = Query::read(&uri, &OF_TIMELINES[..6])?;
    let (account, slice) = (id("id", &user)?, query.slice()?);
    let inner = app.state.lock();
    let Some(account) = inner.world.by_id(account) else {
        return Ok(Json(json!({ "errors": [Problem::not_found("user", "id", &user).partial()] })));
    };
    let (posts, more) = inner.world.mentions(account, &slice);
    Ok(Json(page(&posts, more, &inner, &query)))
}

fn page(posts: &[&StoredPost], more: bool, inner: &Inner, query: &Query) -> Value {
    let mut meta = json!({ "result_count": posts.len() });
    let mut answer = json!({});
    if let (Some(newest), Some(oldest)) = (posts.first(), posts.last()) {
        meta["newest_id"] = newest.id.to_string().into();
        meta["oldest_id"] = oldest.id.to_string().into();
        if more {
            meta["next_token"] = page_token(oldest.id).into();
        }
        // Like X, an empty page has no `data` at all.
        answer["data"] = posts.iter().map(|p| view::post(p, inner, query)).collect();
        if let Some(includes) = view::includes(posts, inner, query) {
            answer["includes"] = includes;
        }
    }
    answer["meta"] = meta;
    answer
}

async fn posts(State(app): State<App>, uri: Uri) -> Answer {
    let query = Query::read(&uri, &["ids"])?;
    let ids = query.get("ids").unwrap_or_default();
    let list: Vec<&str> = ids.split(',').filter(|id| !id.is_empty()).collect();
    if list.is_empty() || list.len() > 100 {
        let message = "The number of values in the `ids` query parameter list is not between 1 and 100";
        return Err(Problem::invalid("ids", ids, message));
    }
    let inner = app.state.lock();
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for value in list {
        match inner.world.post(id("ids", value)?) {
            Some(post) => found.push(post),
            None => errors.push(Problem::not_found("tweet", "ids", value).partial()),
        }
    }
    let mut answer = json!({});
    if !found.is_empty() {
        answer["data"] = found.iter().map(|p| view::post(p, &inner, &query)).collect();
        if let Some(includes) = view::includes(&found, &inner, &query) {
            answer["includes"] = includes;
        }
    }
    if !errors.is_empty() {
        answer["errors"] = errors.into();
    }
    Ok(Json(answer))
}
