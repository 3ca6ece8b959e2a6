//! What the routes of a bot are made of: how requests are read, and what is said when something is wrong.

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
pub use input::{BULK, JsonBody, MediaType, Path, ReadsBodies, from_json, media_type, read_body, text, wrong_type};
pub use perch_base::{Page, Paging};
pub use perch_queue::request::{parsed, time};
pub use problem::{ApiResult, Cause, Document, FieldError, Problem};
pub use query::{NoFilter, Paged, Params};

use crate::Platform;

/// What the routes of bots share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BotState {
    platform: Arc<Platform>,
    budget: BodyBudget,
}

impl BotState {
    /// For routes that stand on `platform`, with room for bodies that they share with all others.
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

/// The routes of a bot, under `/api/v1`, by the scope that a key needs for them. Each is one of `utoipa_axum::routes!`, so that there is
/// none which is not described, and none that needs no key.
#[derive(Default)]
pub struct Routes(Parts);

/// What routes come to.
#[derive(Default)]
pub struct Parts {
    /// What their tags stand for.
    pub tags: Vec<Tag>,
    /// Those for keys that may read, or operate.
    pub read: OpenApiRouter<BotState>,
    /// Those for keys that may operate.
    pub operate: OpenApiRouter<BotState>,
}

impl Routes {
    /// With what a tag of theirs stands for, in the description of the API.
    #[must_use]
    pub fn tag(mut self, name: &str, words: &str) -> Self {
        self.0.tags.push(TagBuilder::new().name(name).description(Some(words)).build());
        self
    }

    /// With a route for keys that may read, or operate.
    #[must_use]
    pub fn read(mut self, route: UtoipaMethodRouter<BotState>) -> Self {
        self.0.read = self.0.read.routes(route);
        self
    }

    /// With a route for keys that may operate.
    #[must_use]
    pub fn operate(mut self, route: UtoipaMethodRouter<BotState>) -> Self {
        self.0.operate = self.0.operate.routes(route);
        self
    }

    /// By what a key needs for them.
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

/// The key of a request that was let in; a handler asks for `Extension<Caller>`.
#[derive(Debug, Clone)]
pub struct Caller(Arc<ApiKey>);

impl Caller {
    /// Whoever has this key.
    pub fn new(key: Arc<ApiKey>) -> Self {
        Self(key)
    }

    /// The id of the key.
    pub fn key_id(&self) -> &str {
        &self.0.id
    }

    /// How the audit log and the history of a job name it.
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
