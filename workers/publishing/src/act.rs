use std::future::Future;

use chrono::{DateTime, Utc};
use perch_clients::{XError, x::Search};
use perch_jobs::{AccountId, JobId, PostId};
use perch_store::{ActionKind, PlaceKind, PublishedPost};
use serde_json::Value;

use super::permit::LeasedPermit;
use crate::Publisher;

/// Something that is done on X once: all in which one kind of it differs from another.
pub(super) trait Act: Sync {
    /// As the ledger and messages call it, for example `post`.
    fn kind(&self) -> &'static str;

    /// What the limits of the account count it as.
    fn counts_as(&self) -> PlaceKind;

    /// The account that acts.
    fn account(&self) -> &AccountId;

    /// What is asked of X. Two acts under one key must not differ in it.
    fn request(&self) -> Vec<&str>;

    /// Asks X for what has to be known before anything is claimed.
    fn prepare(&self, _: &Publisher) -> impl Future<Output = Result<(), XError>> + Send {
        async { Ok(()) }
    }

    /// Does it.
    fn call(&self, publisher: &Publisher, permit: LeasedPermit) -> impl Future<Output = Result<ActResponse, XError>> + Send;

    /// Looks whether the user `user_id`, who is the account that acts, has done it since then.
    fn look(
        &self,
        publisher: &Publisher,
        user_id: &str,
        since: DateTime<Utc>,
    ) -> impl Future<Output = Result<Search, XError>> + Send;

    /// What the record of the action says of it.
    fn details(&self) -> ActDetails<'_>;

    /// The post of one's own that it makes, whose metrics are read from then on; none for what makes no post.
    fn post(&self, id: &PostId, at: DateTime<Utc>, job: JobId) -> Option<PublishedPost>;
}

/// What X answered when it was done.
pub(super) struct ActResponse {
    /// The id that X gave it.
    pub id: Option<String>,
    /// What is stored of the answer.
    pub response: Value,
}

/// What the record of an action says.
pub(super) struct ActDetails<'a> {
    pub kind: ActionKind,
    pub text: &'a str,
    pub subject: Option<&'a str>,
    /// Why it was chosen, where there was a choice.
    pub why: Option<&'a str>,
    pub source_post: Option<&'a PostId>,
}
