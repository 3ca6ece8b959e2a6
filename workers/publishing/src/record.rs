//! Records a published post and enqueues the jobs that follow from it. Everything here is idempotent.

use chrono::{DateTime, Utc};
use perch_base::clock;
use perch_core::job_id;
use perch_jobs::{CollectMetrics, JobId, PostId};
use perch_queue::{EnqueueError, EnqueueOptions, Fail, NewJob};
use perch_store::{ActionRecord, ActionState, HotRecord, StoredEffect};
use serde::Serialize;

use super::{
    act::{Act, ActDetails},
    attempt::{ActAttempt, was_simulated},
    decide::readings,
};

/// The outcome of a post, reply or retweet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Published {
    /// It is on X.
    Published {
        /// The id that X gave it. It is missing where a person settled the effect without it.
        #[serde(skip_serializing_if = "Option::is_none")]
        post_id: Option<PostId>,
        /// When it was confirmed.
        at: DateTime<Utc>,
    },
    /// It was rendered and recorded, but not sent.
    Simulated,
}

/// Records a confirmed effect as the ledger has it, and schedules the readings of a post's metrics.
pub(super) async fn record<A: Act>(once: &ActAttempt<'_, A>, effect: &StoredEffect) -> Result<Published, Fail> {
    let at = effect.settled_at.unwrap_or(effect.intended_at);
    if was_simulated(effect) {
        let action = action(once, ActionState::Simulated, at, effect.job_id);
        keep(once, &[HotRecord::of(&action)?]).await?;
        count(once, "simulated");
        return Ok(Published::Simulated);
    }
    let post_id = post_id(effect)?;
    let action = ActionRecord {
        external_id: post_id.as_ref().map(PostId::to_string),
        ..action(once, ActionState::Published, at, effect.job_id)
    };
    let mut records = vec![HotRecord::of(&action)?];
    let post = post_id.as_ref().and_then(|id| once.act.post(id, at, effect.job_id));
    if let Some(post) = &post {
        records.push(HotRecord::of(post)?);
    }
    keep(once, &records).await?;
    if let Some(post) = post.filter(|_| !once.publisher.gate.is_without_redis()) {
        watch(once, &post.post_id, at).await?;
    }
    count(once, "published");
    Ok(Published::Published { post_id, at })
}

/// Records that X refused the act for good, or that its job is dead.
pub(super) async fn record_refusal<A: Act>(once: &ActAttempt<'_, A>, why: &str) -> Result<(), Fail> {
    let action = action(once, ActionState::Failed, clock::now(), once.cx.id());
    let action = ActionRecord { error: Some(why.to_owned()), ..action };
    keep(once, &[HotRecord::of(&action)?]).await?;
    count(once, "refused");
    Ok(())
}

/// Keeps records, unless Redis is away: then the job keeps them when it runs in its queue, where it finds the effect as it is.
async fn keep<A: Act>(once: &ActAttempt<'_, A>, records: &[HotRecord]) -> Result<(), Fail> {
    if once.publisher.gate.is_without_redis() {
        return Ok(());
    }
    once.publisher.hot.put(records).await?;
    Ok(())
}

fn count<A: Act>(once: &ActAttempt<'_, A>, outcome: &'static str) {
    metrics::counter!("perch_publications_total", "kind" => once.act.kind(), "outcome" => outcome).increment(1);
}

fn post_id(effect: &StoredEffect) -> Result<Option<PostId>, Fail> {
    let id = effect.external_id.as_deref().map(str::parse).transpose();
    id.map_err(|error| Fail::Dead(format!("the ledger holds no post of effect {}: {error}", effect.key)))
}

fn action<A: Act>(once: &ActAttempt<'_, A>, state: ActionState, at: DateTime<Utc>, job_id: JobId) -> ActionRecord {
    action_of(once.act, &once.key, state, at, job_id)
}

/// The record of an act under its effect key.
pub(super) fn action_of(
    act: &impl Act,
    key: &str,
    state: ActionState,
    at: DateTime<Utc>,
    job_id: JobId,
) -> ActionRecord {
    let ActDetails { kind, text, subject, why, source_post } = act.details();
    ActionRecord {
        key: key.to_owned(),
        kind,
        account: act.account().clone(),
        subject: subject.map(str::to_owned),
        source_post: source_post.cloned(),
        text: text.to_owned(),
        state,
        external_id: None,
        error: None,
        why: why.map(str::to_owned),
        job_id: Some(job_id),
        created_at: at,
    }
}

/// Schedules the readings of the metrics of a post. Their ids follow from the post, so a second call adds nothing.
async fn watch<A: Act>(once: &ActAttempt<'_, A>, post: &PostId, at: DateTime<Utc>) -> Result<(), EnqueueError> {
    let (cx, account) = (once.cx, once.act.account());
    let after = &once.publisher.settings.analytics.collect_after;
    let reading = |run_at: DateTime<Utc>| {
        let name = format!("metrics:{post}:{}", (run_at - at).num_milliseconds());
        let options = EnqueueOptions {
            id: Some(job_id(at, &name)),
            run_at: Some(run_at),
            parent: Some(cx.id()),
            ..EnqueueOptions::default()
        };
        Ok(NewJob::of(&CollectMetrics { post_ids: vec![post.clone()], account: Some(account.clone()) })?.with(options))
    };
    let jobs = readings(at, after, clock::now()).into_iter().map(reading).collect::<Result<Vec<_>, EnqueueError>>()?;
    for answer in cx.client().submit_all(jobs).await {
        answer?;
    }
    Ok(())
}
