//! The way of a decided reply into publishing. Everything here may run again: the job's id follows from the decision and the
//! effect's key from the mention.

use std::time::Duration;

use perch_base::clock;
use perch_jobs::{AccountId, JobId, PublishPost};
use perch_queue::{Client, EnqueueError, EnqueueOptions, Fail};
use perch_store::{MentionRecord, Store, StoreError};

use crate::{Services, follow_up::job_id};

/// A reply that was decided on and not handed over for so long was left behind by somebody who is gone.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// Why a decided reply was not handed over.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotHandedOver {
    #[error(transparent)]
    Enqueue(#[from] EnqueueError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NotHandedOver> for Fail {
    fn from(error: NotHandedOver) -> Self {
        match error {
            NotHandedOver::Enqueue(error) => error.into(),
            NotHandedOver::Store(error) => error.into(),
        }
    }
}

/// Hands a decided reply to the job that publishes it.
pub(super) async fn hand_over(
    client: &Client,
    store: &Store,
    record: &MentionRecord,
    parent: Option<JobId>,
) -> Result<Option<JobId>, NotHandedOver> {
    let (Some(text), Some(decided_at)) = (&record.reply, record.decided_at) else { return Ok(None) };
    let job = PublishPost {
        account: record.account.clone(),
        text: text.clone(),
        reply_to: Some(record.mention.id.clone()),
        effect_key: Some(record.effect_key.clone()),
        source: None,
    };
    let options = EnqueueOptions {
        id: Some(job_id(decided_at, &record.effect_key)),
        parent: parent.or(record.job_id),
        ..EnqueueOptions::default()
    };
    let enqueued = client.enqueue_with(&job, options).await?;
    store.mentions().handed_over(&record.account, &record.mention.id, enqueued.id).await?;
    Ok(Some(enqueued.id))
}

/// Hands over what was decided on and left behind, for example by a process that was killed in between.
pub(crate) async fn hand_over_leftovers(
    services: &Services,
    client: &Client,
    account: &AccountId,
) -> Result<usize, Fail> {
    let before = clock::now() - LEFT_BEHIND;
    let left = services.store.mentions().not_handed_over(account, before).await?;
    for record in &left {
        hand_over(client, &services.store, record, None).await?;
        tracing::warn!(mention = %record.mention.id, %account, "a reply that was left behind goes out");
    }
    Ok(left.len())
}
