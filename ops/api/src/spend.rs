//! Shows what calls to paid services cost.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use perch_bot::http::ApiResult;
use perch_core::spending::report::{SpendReport, report};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    App,
    input::{Paged, Paging, time},
};

/// The period of a spend report.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SpendPeriod {
    /// From when on the lines count; the beginning of this month when it is left out.
    #[serde(default, deserialize_with = "time")]
    since: Option<DateTime<Utc>>,
    /// Until when; now when it is left out.
    #[serde(default, deserialize_with = "time")]
    until: Option<DateTime<Utc>>,
}

/// What was spent
///
/// By provider with budgets and a forecast of the month; and page by page by bot, account and kind. All pages of a walk are about the
/// time of the first.
#[utoipa::path(get, path = "/spend", tag = "limits", operation_id = "spend", params(SpendPeriod, Paging),
    responses(
        (status = 200, description = "What was spent.", body = SpendReport)))]
pub(super) async fn spend(
    State(app): State<App>,
    Paged(time, paging): Paged<SpendPeriod>,
) -> ApiResult<Json<SpendReport>> {
    Ok(Json(report(&app.settings, &app.store, app.queues.redis(), time.since, time.until, &paging).await?))
}
