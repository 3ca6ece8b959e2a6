//! For the routes of bots: reading requests, and the problems that answer wrong ones.

mod budget;
mod failure;
mod input;
mod problem;
mod query;

use std::{fmt, ops::Deref, sync::Arc};

use perch_store::ApiKey;
use serde_json::json;
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

pub use budget::{BodyBudget, FullBody, PartialBody};
pub use failure::{internal, postgres_is_away, redis_is_away};
pub use input::{
    BULK, JsonBody, MediaType, Path, ReadsBodies, from_json, media_type, number, read_body, text, wrong_type,
};
pub use perch_base::{Page, Paging};
pub use perch_queue::request::{parsed, time};
pub use problem::{ApiResult, Cause, Document, FieldError, Problem};
pub use query::{NoFilter, Paged, Params};

use crate::Platform;

/// The state shared by the routes of bots. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BotState {
    platform: Arc<Platform>,
    budget: BodyBudget,
}

impl BotState {
    /// The state for routes on `platform`. The budget for bodies is shared with all other routes.
    pub fn new(platform: Arc<Platform>, budget: BodyBudget) -> Self {
        Self { platform, budget }
    }

    /// Writes into the audit log that the caller did `action` to `object`. A log that cannot be written stops nothing; it is counted.
    pub async fn audit(&self, caller: &Caller, action: &str, object: &str, details: serde_json::Value) {
        caller.audit(&self.platform.store, action, object, details).await;
    }
}

impl Deref for BotState {
    type Target = Platform;

    fn deref(&self) -> &Platform {
        &self.platform
    }
}

impl ReadsBodies for BotState {
    fn budget(&self) -> &BodyBudget {
        &self.budget
    }

    fn most_body_bytes(&self) -> usize {
        self.platform.settings.http.max_body_bytes
    }
}

/// The routes of a bot under `/api/v1`, by the scope that a key needs for them. Each comes from `utoipa_axum::routes!`, so that every
/// route is documented and needs a key.
#[derive(Default)]
pub struct Routes(Parts);

/// The parts of [`Routes`].
#[derive(Default)]
pub struct Parts {
    /// Their tags.
    pub tags: Vec<Tag>,
    /// Routes for keys with the scope read or operate.
    pub read: OpenApiRouter<BotState>,
    /// Routes for keys with the scope operate.
    pub operate: OpenApiRouter<BotState>,
}

impl Routes {
    /// Adds a tag with its description in the API documentation.
    #[must_use]
    pub fn tag(mut self, name: &str, words: &str) -> Self {
        self.0.tags.push(TagBuilder::new().name(name).description(Some(words)).build());
        self
    }

    /// Adds a route for keys with the scope read or operate.
    #[must_use]
    pub fn read(mut self, route: UtoipaMethodRouter<BotState>) -> Self {
        self.0.read = self.0.read.routes(route);
        self
    }

    /// Adds a route for keys with the scope operate.
    #[must_use]
    pub fn operate(mut self, route: UtoipaMethodRouter<BotState>) -> Self {
        self.0.operate = self.0.operate.routes(route);
        self
    }

    /// The routes by scope.
    pub fn into_parts(self) -> Parts {
        self.0
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Routes")
    }
}

/// The API key of an authorized request. A handler takes it as `Extension<Caller>`.
#[derive(Debug, Clone)]
pub struct Caller(Arc<ApiKey>);

impl Caller {
    /// The caller with this key.
    pub fn new(key: Arc<ApiKey>) -> Self {
        Self(key)
    }

    /// The id of the key.
    pub fn key_id(&self) -> &str {
        &self.0.id
    }

    /// The name of the caller in the audit log and in the history of jobs.
    pub fn actor(&self) -> String {
        format!("api:{}", self.0.name)
    }

    /// Writes into the audit log that the caller did `action` to `object`. A log that cannot be written stops nothing; it is counted.
    pub async fn audit(&self, store: &perch_store::Store, action: &str, object: &str, details: serde_json::Value) {
        let actor = self.actor();
        let details = json!({ "over": "api", "key": self.key_id(), "what": details });
        if let Err(error) = store.audit().record(&actor, action, object, &details).await {
            metrics::counter!("perch_audit_failures_total").increment(1);
            tracing::error!(%error, actor, action, object, %details, "the audit log could not be written");
        }
    }
}
