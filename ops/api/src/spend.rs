//! What calls to paid services cost.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    App,
    input::{Params, time},
    problem::Answer,
};
use perch_core::spending::report::{SpendReport, report};

/// Which time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Time {
    /// From when on the lines count; the beginning of this month when it is left out.
    #[serde(default, deserialize_with = "time")]
    since: Option<DateTime<Utc>>,
    /// Until when; now when it is left out.
    #[serde(default, deserialize_with = "time")]
    until: Option<DateTime<Utc>>,
}

/// What was spent
///
/// By provider with budgets and a forecast of the month, and by bot, account and kind.
#[utoipa::path(get, path = "/spend", tag = "limits", operation_id = "spend", params(Time),
    responses(
        (status = 200, description = "What was spent.", body = SpendReport)))]
pub(super) async fn spend(State(app): State<App>, Params(time): Params<Time>) -> Answer<Json<SpendReport>> {
    Ok(Json(report(&app.settings, &app.store, app.queues.redis(), time.since, time.until).await?))
}
