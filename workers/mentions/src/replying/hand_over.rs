//! Hands decided replies over to publishing, also those that were left behind by a crash. Everything here is idempotent: the job's id
//! follows from the decision and the effect's key from the mention.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::clock;
use perch_core::job_id;
use perch_jobs::{AccountId, Job as _, JobId, PublishPost, QueueName, ReplyToMention};
use perch_queue::{Client, EnqueueError, EnqueueOptions, Fail, NewJob};
use perch_store::{Store, StoreError};

use super::settle::settle;
use crate::{
    Mentions,
    store::{MentionRecord, MentionStore as _},
};

/// A mention without progress for this long was left behind by a process that ended.
const LEFT_BEHIND: Duration = Duration::from_secs(60);
/// A reply may be published for this long after its mention is too old, and at least for this long after it was decided on: pacing
/// and quiet hours delay replies.
const SLACK: TimeDelta = TimeDelta::hours(1);
/// The reason stored for a mention whose reply was too late.
pub(super) const TOO_LATE: &str = "it could not be published in time";

/// Why a decided reply was not handed over.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandOverError {
    #[error(transparent)]
    Enqueue(#[from] EnqueueError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<HandOverError> for Fail {
    fn from(error: HandOverError) -> Self {
        match error {
            HandOverError::Enqueue(error) => error.into(),
            HandOverError::Store(error) => error.into(),
        }
    }
}

/// Until when a reply may be published to a mention that was written, or approved, at `from`.
pub(super) fn until(record: &MentionRecord, from: DateTime<Utc>, max_age: Duration) -> DateTime<Utc> {
    let old = from + TimeDelta::from_std(max_age).unwrap_or_default();
    old.max(record.decided_at.unwrap_or(old)) + SLACK
}

/// Enqueues the job that publishes a decided reply. The job becomes dead when it cannot begin by `until`. None when it is too late
/// already: the mention then expires.
pub(super) async fn hand_over(
    client: &Client,
    store: &Store,
    record: &MentionRecord,
    until: DateTime<Utc>,
    parent: Option<JobId>,
) -> Result<Option<JobId>, HandOverError> {
    let (Some(text), Some(decided_at)) = (&record.reply, record.decided_at) else { return Ok(None) };
    if until <= clock::now() {
        store.mentions().expire(&record.account, &record.mention.id, TOO_LATE).await?;
        return Ok(None);
    }
    let job = PublishPost {
        reply_to: Some(record.mention.id.clone()),
        effect_key: Some(record.effect_key.clone()),
        ..PublishPost::new(record.account.clone(), text.clone())
    };
    let options = EnqueueOptions {
        id: Some(job_id(decided_at, &record.effect_key)),
        parent: parent.or(record.job_id),
        deadline: Some(until),
        ..EnqueueOptions::default()
    };
    let enqueued = client.enqueue_with(&job, options).await?;
    store.mentions().handed_over(&record.account, &record.mention.id, enqueued.id).await?;
    Ok(Some(enqueued.id))
}

/// Hands over decided replies that were left behind, for example by a process that was killed before it did so.
pub(crate) async fn hand_over_leftovers(bot: &Mentions, client: &Client, account: &AccountId) -> Result<usize, Fail> {
    let before = clock::now() - LEFT_BEHIND;
    let left = bot.store.mentions().not_handed_over(account, before).await?;
    for record in &left {
        let until = until(record, record.mention.created_at, bot.settings.max_age);
        let goes_out = hand_over(client, &bot.store, record, until, None).await?.is_some();
        tracing::warn!(mention = %record.mention.id, %account, goes_out, "a reply was left behind");
    }
    Ok(left.len())
}

/// Enqueues jobs of mentions that Redis has lost again, each under its own id.
pub(crate) async fn queue_again(bot: &Mentions, client: &Client, account: &AccountId) -> Result<usize, Fail> {
    let Some(queue) = client.queues().get(&QueueName::from_static(ReplyToMention::QUEUE)) else { return Ok(0) };
    let before = clock::now() - LEFT_BEHIND;
    let long_queued = async || bot.store.mentions().long_queued(account, before).await;
    let ids: Vec<JobId> = long_queued().await?.iter().filter_map(|record| record.job_id).collect();
    let lost = queue.missing(&ids).await?;
    if lost.is_empty() {
        return Ok(0);
    }
    // An ended job is not in Redis either, and its end may not be synced into Postgres yet.
    bot.syncer.run_once().await?;
    settle(&bot.store, account).await?;
    let mut jobs = Vec::new();
    for record in long_queued().await? {
        if let Some(id) = record.job_id.filter(|id| lost.contains(id)) {
            let reply = ReplyToMention { account: account.clone(), mention: record.mention };
            jobs.push(NewJob::of(&reply)?.with(EnqueueOptions { id: Some(id), ..EnqueueOptions::default() }));
        }
    }
    let again = jobs.len();
    for answer in client.submit_all(jobs).await {
        answer?;
    }
    if again > 0 {
        tracing::warn!(%account, mentions = again, "Redis had lost the jobs of mentions; they are enqueued again");
    }
    Ok(again)
}
