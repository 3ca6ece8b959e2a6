//! The sandbox's own endpoints: the page, its state, faults, health.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{delete, get},
};
use chrono::Utc;
use perch_job::strict;
use serde_json::{Value, json};

use crate::{
    Fault,
    app::App,
    growth::Metrics,
    post::{Reference, StoredPost},
    state::SharedState,
};

/// The most posts shown on the page.
const SHOWN: usize = 60;
/// The most posts of watched accounts shown on the page.
const WRITTEN_SHOWN: usize = 12;

/// The sandbox's own endpoints.
pub(crate) fn routes(app: &App) -> Router {
    Router::new()
        .route("/", get(async || Html(include_str!("../data/page.html"))))
        .route("/health", get(async || Json(json!({ "status": "ok" }))))
        .route("/sandbox/state", get(state))
        .route("/sandbox/faults", get(list).post(add).delete(clear))
        .route("/sandbox/faults/{id}", delete(remove))
        .with_state(app.clone())
}

async fn list(State(app): State<App>) -> Json<Value> {
    Json(json!({ "faults": app.state.lock().faults.list() }))
}

async fn add(State(app): State<App>, bytes: Bytes) -> Response {
    let fault: Fault = match strict::from_slice(&bytes) {
        Ok(fault) => fault,
        Err(wrong) => return refused("body", &wrong.to_string()),
    };
    if let Some((field, message)) = fault.mistake() {
        return refused(field, message);
    }
    let added = app.state.lock().faults.add(fault);
    app.state.changed();
    (StatusCode::CREATED, Json(added)).into_response()
}

fn refused(field: &str, message: &str) -> Response {
    let body =
        json!({ "type": "about:blank", "title": "Invalid fault", "status": 400, "field": field, "detail": message });
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/problem+json")], Json(body)).into_response()
}

async fn clear(State(app): State<App>) -> StatusCode {
    app.state.clear_faults();
    StatusCode::NO_CONTENT
}

async fn remove(State(app): State<App>, Path(id): Path<u64>) -> StatusCode {
    let removed = app.state.lock().faults.remove(id);
    app.state.changed();
    if removed { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn state(State(app): State<App>) -> Json<Value> {
    let inner = app.state.lock();
    let made = inner.world.made();
    let calls: Vec<Value> = inner
        .calls
        .iter()
        .map(|((endpoint, outcome), count)| json!({ "endpoint": endpoint, "outcome": outcome, "count": count }))
        .collect();
    Json(json!({
        "now": Utc::now(),
        "accounts": inner.world.accounts().iter().map(|a| json!({
            "id": a.id.to_string(), "username": a.username, "bot": inner.is_bot(&a.username), "standing": a.standing,
        })).collect::<Vec<_>>(),
        "posted_total": inner.world.made().count(),
        "written_total": inner.world.written().count(),
        "posted": made.take(SHOWN).map(|p| shown(p, &inner)).collect::<Vec<_>>(),
        "written": inner.world.written().take(WRITTEN_SHOWN).map(|p| shown(p, &inner)).collect::<Vec<_>>(),
        "calls": calls,
        "faults": inner.faults.list(),
    }))
}

fn shown(post: &StoredPost, inner: &SharedState) -> Value {
    let kind = match post.reference {
        Reference::None => None,
        Reference::Reply(_) => Some("reply"),
        Reference::Retweet(_) => Some("retweet"),
        Reference::Quote(_) => Some("quote"),
    };
    let target = kind.zip(post.reference.target()).map(|(kind, id)| {
        let post = inner.world.post(id);
        json!({
            "kind": kind,
            "id": id.to_string(),
            "account": post.map(|p| inner.username(p.author)),
            "text": post.map(|p| p.text.as_str()),
        })
    });
    json!({
        "id": post.id.to_string(),
        "account": inner.username(post.author),
        "text": post.text,
        "created_at": post.created_at,
        "deleted": post.deleted,
        "picture": !post.pictures.is_empty(),
        "target": target,
        "metrics": Metrics::from(inner.world.counts(post, Utc::now())),
    })
}
