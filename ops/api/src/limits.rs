//! Shows the limits of outside services, accounts and pools.

use axum::{Json, extract::State};
use perch_bot::http::{ApiResult, Cause, Document, Problem};
use perch_jobs::AccountId;
use perch_publishing::limits::{LimitsReport, limits};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    App,
    input::{Params, parsed},
};

/// Which limits.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LimitsQuery {
    /// Only this account, and the application.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^[a-z][a-z0-9_]{0,63}$")]
    account: Option<AccountId>,
}

/// Look at the limits
///
/// The windows of outside services as their answers told them, what each account publishes today and may, and what each pool
/// may start.
#[utoipa::path(get, path = "/limits", tag = "limits", operation_id = "limits", params(LimitsQuery),
    responses(
        (status = 200, description = "The limits.", body = LimitsReport),
        (status = 404, description = "There is no such account.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn show(State(app): State<App>, Params(query): Params<LimitsQuery>) -> ApiResult<Json<LimitsReport>> {
    if let Some(account) = query.account.as_ref().filter(|account| !app.settings.x.accounts.contains_key(*account)) {
        let known: Vec<&str> = app.settings.x.accounts.keys().map(AccountId::as_str).collect();
        let reason = format!("there is no account {account}; configured are {}", known.join(", "));
        return Err(Problem::field(Cause::NotFound, "account", reason));
    }
    Ok(Json(limits(&app.settings, &app.queues, query.account.as_ref()).await?))
}
