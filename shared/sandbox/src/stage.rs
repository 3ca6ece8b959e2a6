//! The endpoints by which this machine stages posts of others, deletions, closed accounts and results; and the pictures.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, Path, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use perch_job::strict;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use crate::{AccountStanding, GameResult, NewPost, app::App, picture, state::is_username, wire::Cutter};

/// The endpoints for staging, and those that bots read.
pub(crate) fn routes(app: &App) -> Router {
    let staged = Router::new()
        .route("/sandbox/accounts/{username}", put(stand))
        .route("/sandbox/accounts/{username}/posts", post(publish))
        .route("/sandbox/posts/{id}", delete(withdraw).put(edit))
        .route("/sandbox/flow", put(flow))
        .route("/sandbox/results", put(set_results))
        .layer(from_fn(from_here));
    Router::new()
        .route("/sandbox/results", get(results))
        .route("/sandbox/media/{file}", get(media))
        .merge(staged)
        .with_state(app.clone())
}

/// Lets only requests of this machine through.
async fn from_here(ConnectInfo(peer): ConnectInfo<Cutter>, request: Request, next: Next) -> Response {
    if peer.is_local() {
        return next.run(request).await;
    }
    let detail = "only the machine that the sandbox runs on may stage posts".to_owned();
    StageError { status: StatusCode::FORBIDDEN, field: None, detail }.into_response()
}

/// Why a request to stage something is refused.
struct StageError {
    status: StatusCode,
    field: Option<&'static str>,
    detail: String,
}

impl StageError {
    fn field(field: &'static str, detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, field: Some(field), detail: detail.into() }
    }
}

impl IntoResponse for StageError {
    fn into_response(self) -> Response {
        let Self { status, field, detail } = self;
        let title = status.canonical_reason().unwrap_or_default();
        let mut body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
        if let Some(field) = field {
            body["field"] = field.into();
        }
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(body)).into_response()
    }
}

fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StageError> {
    strict::from_slice(bytes).map_err(|wrong| StageError::field("body", wrong.to_string()))
}

fn named(username: &str) -> Result<(), StageError> {
    let detail = "a username is 1 to 15 letters, digits or underscores, without @";
    if is_username(username) { Ok(()) } else { Err(StageError::field("username", detail)) }
}

async fn publish(State(app): State<App>, Path(username): Path<String>, bytes: Bytes) -> Result<Response, StageError> {
    named(&username)?;
    let new: NewPost = body(&bytes)?;
    if new.text.trim().is_empty() && new.retweet_of.is_none() {
        return Err(StageError::field("text", "a post has a text; only a repost does without"));
    }
    for (field, id) in [("reply_to", &new.reply_to), ("quote_of", &new.quote_of), ("retweet_of", &new.retweet_of)] {
        let Some(id) = id else { continue };
        let known = id.parse().is_ok_and(|id| app.state.lock().world.post(id).is_some());
        if !known {
            return Err(StageError::field(field, format!("there is no post {id}")));
        }
    }
    let id = app.state.publish(&username, new);
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
}

async fn withdraw(State(app): State<App>, Path(id): Path<String>) -> StatusCode {
    if app.state.delete(&id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditRequest {
    text: String,
}

async fn edit(State(app): State<App>, Path(id): Path<String>, bytes: Bytes) -> Result<Response, StageError> {
    let EditRequest { text } = body(&bytes)?;
    let edited = app.state.edit(&id, &text).ok_or_else(|| StageError {
        status: StatusCode::NOT_FOUND,
        field: None,
        detail: format!("there is no post {id}, or it has a newer version"),
    })?;
    Ok(Json(json!({ "id": edited })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StandingRequest {
    standing: AccountStanding,
}

async fn stand(State(app): State<App>, Path(username): Path<String>, bytes: Bytes) -> Result<StatusCode, StageError> {
    named(&username)?;
    app.state.set_standing(&username, body::<StandingRequest>(&bytes)?.standing);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FlowRequest {
    flows: bool,
}

async fn flow(State(app): State<App>, bytes: Bytes) -> Result<StatusCode, StageError> {
    app.state.set_flow(body::<FlowRequest>(&bytes)?.flows);
    Ok(StatusCode::NO_CONTENT)
}

async fn set_results(State(app): State<App>, bytes: Bytes) -> Result<StatusCode, StageError> {
    app.state.set_results(body(&bytes)?);
    Ok(StatusCode::NO_CONTENT)
}

async fn results(State(app): State<App>) -> Json<Vec<GameResult>> {
    Json(app.state.lock().results.clone())
}

async fn media(State(app): State<App>, Path(file): Path<String>) -> Result<Response, StatusCode> {
    if let Ok(id) = file.parse::<u64>() {
        let inner = app.state.lock();
        let uploaded = inner.files.get(id).filter(|file| file.is_ready()).ok_or(StatusCode::NOT_FOUND)?;
        // Only media types that the sandbox has recognised by the bytes.
        return Ok(([(header::CONTENT_TYPE, uploaded.media_type.clone())], uploaded.bytes.clone()).into_response());
    }
    let text = app.state.lock().drawn(&file).ok_or(StatusCode::NOT_FOUND)?;
    Ok(([(header::CONTENT_TYPE, "image/png")], picture::draw(&text)).into_response())
}
