//! The personas.

use std::sync::Arc;

use axum::{Extension, Json, extract::State, http::StatusCode};
use perch_bot::http::{
    ApiResult, BotState, Caller, Cause, Document, JsonBody, NoFilter, Page, Paged, Paging, Path, Problem,
};
use perch_core::personas::{Persona, PersonaChange, PersonaFilter, PersonaLimits, PersonaSpec, PersonaStore as _};
use perch_jobs::{AccountId, PersonaName};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    PersonaHealth, PersonasSettings,
    health::health_of,
    store::{Slot, StockStore as _},
};

pub(super) fn own(app: &BotState) -> ApiResult<Arc<PersonasSettings>> {
    Ok(app.settings.sections.get::<PersonasSettings>()?)
}

fn named(name: &str) -> ApiResult<PersonaName> {
    name.parse().map_err(|error: perch_jobs::InvalidPersonaName| Problem::new(Cause::NotFound, error.to_string()))
}

fn unknown(name: &PersonaName) -> Problem {
    Problem::new(Cause::NotFound, format!("there is no persona {name}"))
}

/// The persona with this name.
pub(super) async fn find(app: &BotState, name: &str) -> ApiResult<Persona> {
    let name = named(name)?;
    app.store.personas().get(&name).await?.ok_or_else(|| unknown(&name))
}

/// Which personas.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PersonaParams {
    /// Only of this account.
    #[param(value_type = Option<String>)]
    account: Option<AccountId>,
    /// Only those that post, or only those that do not.
    enabled: Option<bool>,
}

/// List personas
///
/// By name.
#[utoipa::path(get, path = "/personas", tag = "personas", operation_id = "personas",
    params(PersonaParams, Paging),
    responses((status = 200, description = "The personas.", body = Page<Persona>)))]
pub(super) async fn list(
    State(app): State<BotState>,
    Paged(PersonaParams { account, enabled }, paging): Paged<PersonaParams>,
) -> ApiResult<Json<Page<Persona>>> {
    Ok(Json(app.store.personas().list(&PersonaFilter { account, enabled }, &paging).await?))
}

/// A persona with its health.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonaAnswer {
    /// The persona.
    pub persona: Persona,
    /// Whether it posts as it is to, and its statistics.
    pub health: Option<PersonaHealth>,
}

/// Look at a persona
///
/// What it is, whether it posts as it is to, and its statistics.
#[utoipa::path(get, path = "/personas/{name}", tag = "personas", operation_id = "persona",
    params(("name" = String, Path, description = "The name of the persona.", example = "template-bot")),
    responses(
        (status = 200, description = "The persona.", body = PersonaAnswer),
        (status = 404, description = "There is no such persona.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn one(State(app): State<BotState>, Path(name): Path<String>) -> ApiResult<Json<PersonaAnswer>> {
    let persona = find(&app, &name).await?;
    let health = health_of(&app.store, &*own(&app)?, &persona).await?;
    Ok(Json(PersonaAnswer { persona, health }))
}

/// A persona to write.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonaRequest {
    /// What it is. Everything that is left out gets its default.
    spec: PersonaSpec,
    /// The version that was read before: with another one nothing is changed. 0 when there must be none yet.
    #[serde(default)]
    version: Option<u64>,
}

/// Add or change a persona
///
/// A change is live at once. Every problem is named by its field.
#[utoipa::path(put, path = "/personas/{name}", tag = "personas", operation_id = "put_persona",
    params(("name" = String, Path, description = "The name of the persona.", example = "template-bot")),
    request_body = PersonaRequest,
    responses(
        (status = 201, description = "It is added.", body = Persona),
        (status = 200, description = "It is changed, or was so before.", body = Persona),
        (status = 409, description = "It has another version.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be so.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn put(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    JsonBody(PersonaRequest { spec, version }): JsonBody<PersonaRequest>,
) -> ApiResult<(StatusCode, Json<Persona>)> {
    let name = named(&name)?;
    if let Some(problem) = PersonaLimits::of(&app.settings).problems(&spec).into_iter().next() {
        return Err(Problem::field(Cause::InvalidRequest, format!("$.spec.{}", problem.field), problem.reason));
    }
    match app.store.personas().put(&name, &spec, version, &caller.actor()).await? {
        PersonaChange::Added(persona) => Ok((StatusCode::CREATED, Json(persona))),
        PersonaChange::Changed(persona) | PersonaChange::Unchanged(persona) => Ok((StatusCode::OK, Json(persona))),
        PersonaChange::Conflict(persona) => {
            let detail = format!("{name} is version {} now; read it and try again", persona.version);
            Err(Problem::new(Cause::Conflict, detail))
        }
        PersonaChange::Unknown => Err(unknown(&name)),
    }
}

/// Remove a persona
///
/// Its stock of posts ends; posts that are in a slot go out.
#[utoipa::path(delete, path = "/personas/{name}", tag = "personas", operation_id = "remove_persona",
    params(("name" = String, Path, description = "The name of the persona.", example = "template-bot")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "There is no such persona.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn remove(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<StatusCode> {
    let name = named(&name)?;
    if !app.store.personas().remove(&name, &caller.actor()).await? {
        return Err(unknown(&name));
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn switch(app: &BotState, caller: &Caller, name: &str, enabled: bool) -> ApiResult<Json<Persona>> {
    let name = named(name)?;
    match app.store.personas().set_enabled(&name, enabled, &caller.actor()).await? {
        PersonaChange::Unknown => Err(unknown(&name)),
        PersonaChange::Added(persona)
        | PersonaChange::Changed(persona)
        | PersonaChange::Unchanged(persona)
        | PersonaChange::Conflict(persona) => Ok(Json(persona)),
    }
}

/// Pause a persona
///
/// It does not post until it is resumed.
#[utoipa::path(post, path = "/personas/{name}/pause", tag = "personas", operation_id = "pause_persona",
    params(("name" = String, Path, description = "The name of the persona.", example = "template-bot")),
    responses(
        (status = 200, description = "It does not post.", body = Persona),
        (status = 404, description = "There is no such persona.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn pause(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<Json<Persona>> {
    switch(&app, &caller, &name, false).await
}

/// Resume a persona
#[utoipa::path(post, path = "/personas/{name}/resume", tag = "personas", operation_id = "resume_persona",
    params(("name" = String, Path, description = "The name of the persona.", example = "template-bot")),
    responses(
        (status = 200, description = "It posts.", body = Persona),
        (status = 404, description = "There is no such persona.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn resume(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<Json<Persona>> {
    switch(&app, &caller, &name, true).await
}

/// List slots
///
/// The times of a persona and what became of them, the latest first.
#[utoipa::path(get, path = "/personas/{name}/slots", tag = "personas", operation_id = "persona_slots",
    params(("name" = String, Path, description = "The name of the persona.", example = "template-bot"), Paging),
    responses(
        (status = 200, description = "The slots.", body = Page<Slot>),
        (status = 404, description = "There is no such persona.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn slots(
    State(app): State<BotState>,
    Path(name): Path<String>,
    Paged(NoFilter {}, paging): Paged<NoFilter>,
) -> ApiResult<Json<Page<Slot>>> {
    let persona = find(&app, &name).await?;
    Ok(Json(app.store.slots().list(&persona.name, &paging).await?))
}
