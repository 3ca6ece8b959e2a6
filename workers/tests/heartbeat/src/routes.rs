use axum::{Json, extract::State};
use perch_bot::http::{ApiResult, BotState, NoFilter, Page, Paged, Paging, Routes};
use utoipa_axum::routes;

use crate::store::{self, Beat};

/// List beats
#[utoipa::path(get, path = "/heartbeat", tag = "heartbeat", operation_id = "heartbeat", params(Paging),
    responses((status = 200, description = "The beats, the newest first.", body = Page<Beat>)))]
async fn list(
    State(state): State<BotState>,
    Paged(NoFilter {}, paging): Paged<NoFilter>,
) -> ApiResult<Json<Page<Beat>>> {
    Ok(Json(store::beats(&state.store, &paging).await?))
}

pub fn routes() -> Routes {
    Routes::default().read(routes!(list))
}
