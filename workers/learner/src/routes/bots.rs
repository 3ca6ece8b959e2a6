//! The learning posters.

use axum::{Extension, Json, extract::State, http::StatusCode};
use perch_bot::http::{ApiResult, BotState, Caller, Cause, Document, JsonBody, Page, Paged, Paging, Path, Problem};
use perch_core::personas::PersonaStore as _;
use perch_jobs::PersonaName;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    health::{HealthError, LearnerHealth, health_of},
    spec::{LearnerSpec, problems},
    store::{ArmStats, BotChange, BotFilter, CurvePoint, DaySummary, FollowerDay, LearnerBot, LearnerStore as _},
};

pub(super) fn named(name: &str) -> ApiResult<PersonaName> {
    name.parse().map_err(|error: perch_jobs::InvalidPersonaName| Problem::new(Cause::NotFound, error.to_string()))
}

pub(super) fn unknown(name: &PersonaName) -> Problem {
    Problem::new(Cause::NotFound, format!("{name} does not learn"))
}

/// The learning poster with this name.
pub(super) async fn find(app: &BotState, name: &str) -> ApiResult<LearnerBot> {
    let name = named(name)?;
    app.store.learner().bot(&name).await?.ok_or_else(|| unknown(&name))
}

/// Which learning posters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LearnerParams {
    /// Only those that post, or only those that do not.
    enabled: Option<bool>,
}

/// List learning posters
///
/// By name.
#[utoipa::path(get, path = "/learners", tag = "learners", operation_id = "learners",
    params(LearnerParams, Paging),
    responses((status = 200, description = "The learning posters.", body = Page<LearnerBot>)))]
pub(super) async fn list(
    State(app): State<BotState>,
    Paged(LearnerParams { enabled }, paging): Paged<LearnerParams>,
) -> ApiResult<Json<Page<LearnerBot>>> {
    Ok(Json(app.store.learner().bots(BotFilter { enabled }, &paging).await?))
}

/// A learning poster with its health.
#[derive(Debug, Serialize, ToSchema)]
pub struct LearnerAnswer {
    /// The learning poster.
    pub bot: LearnerBot,
    /// Whether it posts as it is to.
    pub health: LearnerHealth,
}

/// Look at a learning poster
///
/// What it tries, and whether it posts as it is to.
#[utoipa::path(get, path = "/learners/{name}", tag = "learners", operation_id = "learner",
    params(("name" = String, Path, description = "The persona that it posts as.", example = "template-bot")),
    responses(
        (status = 200, description = "The learning poster.", body = LearnerAnswer),
        (status = 404, description = "That persona does not learn.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn one(State(app): State<BotState>, Path(name): Path<String>) -> ApiResult<Json<LearnerAnswer>> {
    let bot = find(&app, &name).await?;
    let health = health_of(&app.store, &app.settings, &bot).await.map_err(|error| match error {
        HealthError::Store(error) => Problem::from(error),
        HealthError::Config(error) => error.into(),
    })?;
    Ok(Json(LearnerAnswer { bot, health }))
}

/// Figures of a learning poster.
#[derive(Debug, Serialize, ToSchema)]
pub struct LearnerStats {
    /// By arm, the best first.
    pub arms: Vec<ArmStats>,
    /// By day, the latest first, at most 90.
    pub days: Vec<DaySummary>,
    /// What the policy chose against what it chose only to explore, by week, the oldest first.
    pub curve: Vec<CurvePoint>,
    /// The followers of its account by day, the oldest first.
    pub followers: Vec<FollowerDay>,
}

/// Look at the figures of a learning poster
///
/// By arm, by day and by week, with its followers.
#[utoipa::path(get, path = "/learners/{name}/stats", tag = "learners", operation_id = "learner_stats",
    params(("name" = String, Path, description = "The persona that it posts as.", example = "template-bot")),
    responses(
        (status = 200, description = "The figures.", body = LearnerStats),
        (status = 404, description = "That persona does not learn.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn stats(State(app): State<BotState>, Path(name): Path<String>) -> ApiResult<Json<LearnerStats>> {
    let (bot, tables) = (find(&app, &name).await?.bot, app.store.learner());
    let followers = match app.store.personas().get(&bot).await? {
        Some(persona) => tables.followers(&persona.spec.account).await?,
        None => Vec::new(),
    };
    Ok(Json(LearnerStats {
        arms: tables.by_arm(&bot).await?,
        days: tables.days(&bot).await?,
        curve: tables.curve(&bot).await?,
        followers,
    }))
}

/// A learning poster to write.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LearnerRequest {
    /// How it learns. Everything that is left out gets its default.
    #[serde(default)]
    spec: LearnerSpec,
    /// The version that was read before: with another one nothing is changed. 0 when there must be none yet.
    #[serde(default)]
    version: Option<u64>,
}

/// Let a persona learn, or change how it does
///
/// A change is live at once. Every problem is named by its field.
#[utoipa::path(put, path = "/learners/{name}", tag = "learners", operation_id = "put_learner",
    params(("name" = String, Path, description = "The persona that it posts as.", example = "template-bot")),
    request_body = LearnerRequest,
    responses(
        (status = 201, description = "It learns now.", body = LearnerBot),
        (status = 200, description = "It is changed, or was so before.", body = LearnerBot),
        (status = 404, description = "There is no such persona.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It has another version.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be so.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn put(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    JsonBody(LearnerRequest { spec, version }): JsonBody<LearnerRequest>,
) -> ApiResult<(StatusCode, Json<LearnerBot>)> {
    let name = named(&name)?;
    let persona = app.store.personas().get(&name).await?;
    let persona = persona.ok_or_else(|| Problem::new(Cause::NotFound, format!("there is no persona {name}")))?;
    if let Some(problem) = problems(&spec, &persona.spec.topics).into_iter().next() {
        return Err(Problem::field(Cause::InvalidRequest, format!("$.spec.{}", problem.field), problem.reason));
    }
    match app.store.learner().put_bot(&name, &spec, version, &caller.actor()).await? {
        BotChange::Added(bot) => Ok((StatusCode::CREATED, Json(bot))),
        BotChange::Changed(bot) | BotChange::Unchanged(bot) => Ok((StatusCode::OK, Json(bot))),
        BotChange::Conflict(bot) => {
            Err(Problem::new(Cause::Conflict, format!("{name} is version {} now; read it and try again", bot.version)))
        }
        BotChange::Unknown => Err(unknown(&name)),
    }
}

/// End the learning of a persona
///
/// Its log of decisions and its rewards stay.
#[utoipa::path(delete, path = "/learners/{name}", tag = "learners", operation_id = "remove_learner",
    params(("name" = String, Path, description = "The persona that it posts as.", example = "template-bot")),
    responses(
        (status = 204, description = "It does not learn any more."),
        (status = 404, description = "That persona does not learn.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn remove(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<StatusCode> {
    let name = named(&name)?;
    if !app.store.learner().remove_bot(&name, &caller.actor()).await? {
        return Err(unknown(&name));
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn switch(app: &BotState, caller: &Caller, name: &str, enabled: bool) -> ApiResult<Json<LearnerBot>> {
    let name = named(name)?;
    match app.store.learner().set_enabled(&name, enabled, None, &caller.actor()).await? {
        BotChange::Unknown => Err(unknown(&name)),
        BotChange::Added(bot) | BotChange::Changed(bot) | BotChange::Unchanged(bot) | BotChange::Conflict(bot) => {
            Ok(Json(bot))
        }
    }
}

/// Pause a learning poster
///
/// It does not post until it is resumed.
#[utoipa::path(post, path = "/learners/{name}/pause", tag = "learners", operation_id = "pause_learner",
    params(("name" = String, Path, description = "The persona that it posts as.", example = "template-bot")),
    responses(
        (status = 200, description = "It does not post.", body = LearnerBot),
        (status = 404, description = "That persona does not learn.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn pause(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<Json<LearnerBot>> {
    switch(&app, &caller, &name, false).await
}

/// Resume a learning poster
///
/// Also one that stopped itself.
#[utoipa::path(post, path = "/learners/{name}/resume", tag = "learners", operation_id = "resume_learner",
    params(("name" = String, Path, description = "The persona that it posts as.", example = "template-bot")),
    responses(
        (status = 200, description = "It posts.", body = LearnerBot),
        (status = 404, description = "That persona does not learn.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn resume(
    State(app): State<BotState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<Json<LearnerBot>> {
    switch(&app, &caller, &name, true).await
}
