//! The read endpoints of X: users, timelines, mentions, posts by id.

use axum::{
    Json, Router,
    extract::{Extension, Path, State},
    http::{HeaderMap, Uri},
    routing::get,
};
use serde_json::{Value, json};

use crate::{
    Endpoint,
    account::{Account, AccountStanding},
    app::App,
    guard::{Caller, guarded},
    problem::Problem,
    query::{OF_TIMELINES, Query, id, page_token},
    state::{SharedState, is_username},
    view,
    world::{Page, PagePosition},
};

type ReadResult = Result<Json<Value>, Problem>;

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

async fn user(State(app): State<App>, Path(username): Path<String>, uri: Uri) -> ReadResult {
    let query = Query::read(&uri, &[])?;
    if !is_username(&username) {
        let message = format!("The `username` value [{username}] does not match ^[A-Za-z0-9_]{{1,15}}$");
        return Err(Problem::invalid("username", &username, message));
    }
    let inner = app.state.lock();
    Ok(Json(match inner.world.find(&username) {
        Some(Account { standing: AccountStanding::Suspended, .. }) => alone(&Problem::suspended("username", &username)),
        Some(account) => json!({ "data": view::user(account, &inner, &query) }),
        None => alone(&Problem::not_found("user", "username", &username)),
    }))
}

/// The body of a response without data: X answers 200 with an error.
fn alone(problem: &Problem) -> Value {
    json!({ "errors": [problem.partial()] })
}

async fn me(State(app): State<App>, Extension(caller): Extension<Caller>, uri: Uri) -> ReadResult {
    let query = Query::read(&uri, &[])?;
    match caller {
        Caller::User(account) => Ok(Json(json!({ "data": view::user(&account, &app.state.lock(), &query) }))),
        Caller::App => Err(Problem::unsupported_authentication()),
    }
}

async fn timeline(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(user): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> ReadResult {
    let query = Query::read(&uri, &OF_TIMELINES)?.under(&headers).by(&caller);
    let (author, slice) = (id("id", &user)?, query.slice()?);
    let inner = app.state.lock();
    Ok(Json(match inner.world.by_id(author).map(|account| account.standing) {
        Some(AccountStanding::Open) => page(&inner.world.timeline(author, &slice), &inner, &query),
        Some(AccountStanding::Protected) => alone(&Problem::hidden("user", "id", &user)),
        Some(AccountStanding::Suspended) | None => alone(&Problem::not_found("user", "id", &user)),
    }))
}

async fn mentions(State(app): State<App>, Path(user): Path<String>, uri: Uri, headers: HeaderMap) -> ReadResult {
    let query = Query::read(&uri, &OF_TIMELINES[..6])?.under(&headers);
    let (account, slice) = (id("id", &user)?, query.slice()?);
    let inner = app.state.lock();
    Ok(Json(match inner.world.by_id(account) {
        None | Some(Account { standing: AccountStanding::Suspended, .. }) => {
            alone(&Problem::not_found("user", "id", &user))
        }
        Some(account) => page(&inner.world.mentions(account, &slice), &inner, &query),
    }))
}

fn page(page: &Page<'_>, inner: &SharedState, query: &Query) -> Value {
    let mut answer = view::posts(&page.posts, Vec::new(), inner, query);
    let mut meta = json!({ "result_count": page.posts.len() });
    if let (Some(newest), Some(oldest)) = (page.posts.first(), page.posts.last()) {
        meta["newest_id"] = newest.id.to_string().into();
        meta["oldest_id"] = oldest.id.to_string().into();
        let next = page_token(PagePosition::OlderThan(oldest.id)).filter(|_| page.has_older);
        let previous = page_token(PagePosition::NewerThan(newest.id)).filter(|_| page.has_newer);
        for (name, token) in [("next_token", next), ("previous_token", previous)] {
            if let Some(token) = token {
                meta[name] = token.into();
            }
        }
    }
    answer["meta"] = meta;
    answer
}

/// The ids that a request names.
pub(crate) fn ids(query: &Query) -> Result<Vec<&str>, Problem> {
    let ids = query.get("ids").unwrap_or_default();
    let list: Vec<&str> = ids.split(',').filter(|id| !id.is_empty()).collect();
    if (1..=100).contains(&list.len()) {
        return Ok(list);
    }
    let message = "The number of values in the `ids` query parameter list is not between 1 and 100";
    Err(Problem::invalid("ids", ids, message))
}

async fn posts(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> ReadResult {
    let query = Query::read(&uri, &["ids"])?.under(&headers).by(&caller);
    let inner = app.state.lock();
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for value in ids(&query)? {
        match inner.world.look(id("ids", value)?) {
            Ok(post) => found.push(post),
            Err(absence) => errors.push(view::absent(absence, "ids", value)),
        }
    }
    Ok(Json(view::posts(&found, errors, &inner, &query)))
}
