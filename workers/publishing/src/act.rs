use std::future::Future;

use chrono::{DateTime, Utc};
use perch_clients::{XError, x::Search};
use perch_jobs::{AccountId, JobId, PostId};
use perch_queue::Fail;
use perch_store::{ActionKind, PlaceKind, PublishedPost};
use serde_json::Value;

use super::permit::LeasedPermit;
use crate::Publisher;

/// Something that is done on X once: what differs between the kinds of acts.
pub(super) trait Act: Sync {
    /// Its name in the ledger and in messages, for example `post`.
    fn kind(&self) -> &'static str;

    /// The quota of the account that it counts for, if it counts for one.
    fn counts_as(&self) -> Option<PlaceKind>;

    /// The account that acts.
    fn account(&self) -> &AccountId;

    /// The parts of the request to X, which the ledger keeps as a digest. Two acts under one key must not differ in them.
    fn request(&self) -> Vec<&str>;

    /// The text that no other account may have published in nearly these words; none for an act that may be alike on several accounts, such as a
    /// reply to somebody.
    fn own_words(&self) -> Option<&str> {
        None
    }

    /// Reads from X what the call needs, before the effect is claimed.
    fn prepare(&self, _: &Publisher) -> impl Future<Output = Result<(), XError>> + Send {
        async { Ok(()) }
    }

    /// Makes ready on X what the call needs and what may be made ready again and again, such as uploaded files. It comes before the claim,
    /// and only where the call is to be made.
    fn make_ready(&self, _: &Publisher) -> impl Future<Output = Result<(), Fail>> + Send {
        async { Ok(()) }
    }

    /// Whether this refusal may end by itself within moments, so that the call is tried again.
    fn may_pass(&self, _: &XError) -> bool {
        false
    }

    /// Whether this refusal says that what the act is for is so already.
    fn is_so_already(&self, _: &XError) -> bool {
        false
    }

    /// Makes the call.
    fn call(
        &self,
        publisher: &Publisher,
        permit: LeasedPermit,
    ) -> impl Future<Output = Result<ActResponse, XError>> + Send;

    /// Searches X for the act, done by the user `user_id` (the account that acts) since then.
    fn look(
        &self,
        publisher: &Publisher,
        user_id: &str,
        since: DateTime<Utc>,
    ) -> impl Future<Output = Result<Search, XError>> + Send;

    /// The details for the record of the action.
    fn details(&self) -> ActDetails<'_>;

    /// The record of the post that it makes, whose metrics are then collected; none for an act that makes no post of its own.
    fn post(&self, id: &PostId, at: DateTime<Utc>, job: JobId) -> Option<PublishedPost>;
}

/// The answer of X to a call that succeeded.
pub(super) struct ActResponse {
    /// The id that X gave it.
    pub id: Option<String>,
    /// The part of the answer that is stored.
    pub response: Value,
}

/// The details of an act for its record.
pub(super) struct ActDetails<'a> {
    pub kind: ActionKind,
    pub text: &'a str,
    pub subject: Option<&'a str>,
    /// Why it was chosen, where there was a choice.
    pub why: Option<&'a str>,
    pub source_post: Option<&'a PostId>,
}
