//! The route of the model server.

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::Response,
    routing::post,
};

use super::{
    answer, complaint,
    wire::{ChatQuestion, FinishReason, completion},
};
use crate::{Endpoint, app::App, guard::guarded};

/// Pictures come inline, so requests may be large.
const LARGEST_BODY: usize = 25 * 1024 * 1024;

/// The chat endpoint.
pub(crate) fn routes(app: &App) -> Router {
    Router::new()
        .route("/v1/chat/completions", guarded(app, Endpoint::Chat, post(complete)))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(app.clone())
}

async fn complete(State(app): State<App>, bytes: Bytes) -> Response {
    let asked = match ChatQuestion::read(&bytes) {
        Ok(asked) => asked,
        Err(wrong) => return complaint(StatusCode::BAD_REQUEST, wrong.code, &wrong.message, wrong.param),
    };
    let answer = answer(&asked, &app);
    completion(&asked, &answer, FinishReason::Stop)
}
