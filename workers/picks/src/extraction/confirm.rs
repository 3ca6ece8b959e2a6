//! How a person confirms a pick that only the rules have read.

use perch_base::Classified as _;
use perch_queue::{Client, EnqueueError};
use perch_store::{ActionRecord, ActionState, Store, StoreError, Syncer};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    actions::enqueue,
    edits::{is_flag, taken_out},
};
use crate::store::{PicksStore as _, TrackedPick};

/// How many records are moved to Postgres in one transaction.
const BATCH: usize = 500;

/// A pick that was confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ConfirmedPick)]
pub struct ConfirmedPick {
    /// Its number.
    pub number: u64,
    /// Its key.
    pub key: String,
    /// The actions that are enqueued: kind, account, text. Empty if the same bet was acted on in the meantime.
    #[schema(value_type = Vec<Object>)]
    pub actions: Vec<ActionRecord>,
}

/// Why a pick was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// The pick does not wait for confirmation.
    #[error("pick {} needs no confirmation: {}", .0.number, standing(.0))]
    NotWaiting(Box<TrackedPick>),
    /// An edit removed the pick from its post.
    #[error("pick {number} is not confirmed: {why}")]
    Edited {
        /// Its number.
        number: u64,
        /// What the post says now.
        why: String,
    },
    /// Postgres failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A job was not accepted. Confirming the pick again enqueues it.
    #[error("the job of an action was not accepted: {0}; confirm the pick once more")]
    Enqueue(#[from] EnqueueError),
}

impl ConfirmError {
    /// True when the same call may succeed later.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_unavailable(),
            Self::Enqueue(error) => error.disposition() != perch_base::Disposition::Never,
            Self::NotWaiting(_) | Self::Edited { .. } => false,
        }
    }
}

fn standing(pick: &TrackedPick) -> String {
    match (&pick.confirmed_by, &pick.read_by) {
        (Some(by), _) => format!("{by} has confirmed it"),
        (None, Some(reader)) => format!("it was read by {reader}"),
        (None, None) => "a model has read it".to_owned(),
    }
}

/// Confirms a pick that only the rules have read, and enqueues the actions planned for it. Repeating it is safe: each action is done
/// once.
///
/// If the same bet was acted on in the meantime through another post, no action is enqueued. A pick that an edit removed from its post
/// is refused, since its author no longer stands by it.
pub async fn confirm(
    client: &Client,
    store: &Store,
    pick: TrackedPick,
    by: &str,
) -> Result<ConfirmedPick, ConfirmError> {
    if !pick.unconfirmed {
        return Err(ConfirmError::NotWaiting(Box::new(pick)));
    }
    // An edit that was read a moment ago may not be in Postgres yet.
    let redis = client.queues().redis().clone();
    Syncer::new(redis, store.clone(), store.env(), &[], BATCH).run_once().await?;
    let record = store.picks().get(&pick.key).await?;
    let post = record.as_ref().map(|record| record.source_post.clone());
    let planned = record.and_then(|record| record.planned).unwrap_or_default();
    let mut actions: Vec<ActionRecord> =
        planned.into_iter().filter(|action| action.state == ActionState::Pending).collect();
    let (flags, done): (Vec<ActionRecord>, Vec<ActionRecord>) =
        store.picks().actions_of(&pick.key).await?.into_iter().partition(is_flag);
    if let Some(flag) = post.and_then(|post| taken_out(flags, &post)) {
        let why = flag.error.unwrap_or_else(|| "its post was edited".to_owned());
        return Err(ConfirmError::Edited { number: pick.number, why });
    }
    let keys: Vec<&String> = actions.iter().map(|action| &action.key).collect();
    if done.iter().any(|action| !keys.contains(&&action.key)) {
        actions.clear();
    }
    store.actions().intend(&actions.iter().collect::<Vec<_>>()).await?;
    for action in &actions {
        enqueue(client, action, None).await?;
    }
    store.picks().confirm(&pick.key, by).await?;
    Ok(ConfirmedPick { number: pick.number, key: pick.key, actions })
}
