use axum::{Json, extract::State};
use perch_bot::http::{Answer, BotState, Params, Routes};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use crate::store::{self, Beat};

/// The last beats.
#[derive(Debug, Serialize, ToSchema)]
struct Beats {
    /// The newest first.
    beats: Vec<Beat>,
}

/// How many.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// At most so many, 1 to 1000. Default 20.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// List beats
#[utoipa::path(get, path = "/heartbeat", tag = "heartbeat", operation_id = "heartbeat", params(Which),
    responses((status = 200, description = "The last beats.", body = Beats)))]
async fn list(State(state): State<BotState>, Params(which): Params<Which>) -> Answer<Json<Beats>> {
    let limit = i64::from(which.limit.unwrap_or(20).clamp(1, 1_000));
    Ok(Json(Beats { beats: store::latest(&state.store, limit).await? }))
}

pub fn routes() -> Routes {
    Routes::default().read(routes!(list))
}
