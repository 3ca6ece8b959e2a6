//! What is kept of a published post, and what follows from it. Everything here may run again.

use chrono::{DateTime, Utc};
use perch_base::clock;
use perch_jobs::{CollectMetrics, JobId, PostId};
use perch_queue::{EnqueueError, EnqueueOptions, Fail, NewJob};
use perch_store::{ActionKind, ActionRecord, ActionState, HotRecord, PublishedPost, StoredEffect};
use serde::Serialize;

use super::{
    decide::readings,
    publish_post::{Publishing, was_simulated},
};
use crate::follow_up::job_id;

/// What became of a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Published {
    /// It is on X.
    Published {
        /// Its id.
        post_id: PostId,
        /// When it was confirmed.
        at: DateTime<Utc>,
    },
    /// It was rendered and recorded, and not sent.
    Simulated,
}

/// Records a confirmed effect by what the ledger says of it, and has the metrics of the post read in time.
pub(super) async fn record(publishing: &Publishing<'_>, effect: &StoredEffect) -> Result<Published, Fail> {
    let at = effect.settled_at.unwrap_or(effect.intended_at);
    if was_simulated(effect) {
        let action = action(publishing, ActionState::Simulated, at, effect.job_id);
        publishing.services.hot.put(&[HotRecord::of(&action)?]).await?;
        count("simulated");
        return Ok(Published::Simulated);
    }
    let post_id = post_id(effect)?;
    let action = ActionRecord {
        external_id: Some(post_id.to_string()),
        ..action(publishing, ActionState::Published, at, effect.job_id)
    };
    let post = published_post(publishing, &post_id, at, effect.job_id);
    publishing.services.hot.put(&[HotRecord::of(&action)?, HotRecord::of(&post)?]).await?;
    watch(publishing, &post_id, at).await?;
    count("published");
    Ok(Published::Published { post_id, at })
}

/// Records that X refused the post for good.
pub(super) async fn record_refusal(publishing: &Publishing<'_>, why: &str) -> Result<(), Fail> {
    let action = action(publishing, ActionState::Failed, clock::now(), publishing.cx.id());
    let action = ActionRecord { error: Some(why.to_owned()), ..action };
    publishing.services.hot.put(&[HotRecord::of(&action)?]).await?;
    count("refused");
    Ok(())
}

fn count(outcome: &'static str) {
    metrics::counter!("perch_publications_total", "outcome" => outcome).increment(1);
}

fn post_id(effect: &StoredEffect) -> Result<PostId, Fail> {
    let id = effect.external_id.as_deref().unwrap_or_default();
    id.parse().map_err(|error| Fail::Dead(format!("the ledger holds no post of effect {}: {error}", effect.key)))
}

fn action(publishing: &Publishing<'_>, state: ActionState, at: DateTime<Utc>, job_id: JobId) -> ActionRecord {
    let job = publishing.job;
    ActionRecord {
        key: publishing.key.clone(),
        kind: if job.reply_to.is_some() { ActionKind::Comment } else { ActionKind::Post },
        account: job.account.clone(),
        pick_key: job.source.as_ref().map(|source| source.pick_key.clone()),
        source_post: job.reply_to.clone().or_else(|| job.source.as_ref().map(|source| source.post_id.clone())),
        text: job.text.clone(),
        state,
        external_id: None,
        error: None,
        job_id: Some(job_id),
        created_at: at,
    }
}

fn published_post(publishing: &Publishing<'_>, id: &PostId, at: DateTime<Utc>, job_id: JobId) -> PublishedPost {
    let job = publishing.job;
    PublishedPost {
        post_id: id.clone(),
        account: job.account.clone(),
        text: job.text.clone(),
        reply_to: job.reply_to.clone(),
        pick_key: job.source.as_ref().map(|source| source.pick_key.clone()),
        job_id: Some(job_id),
        published_at: at,
    }
}

/// Schedules the readings of the metrics of a post. Their ids follow from the post, so a second call adds nothing.
async fn watch(publishing: &Publishing<'_>, post: &PostId, at: DateTime<Utc>) -> Result<(), EnqueueError> {
    let cx = publishing.cx;
    let after = &publishing.services.settings.analytics.collect_after;
    let reading = |run_at: DateTime<Utc>| {
        let name = format!("metrics:{post}:{}", (run_at - at).num_milliseconds());
        let options = EnqueueOptions {
            id: Some(job_id(at, &name)),
            run_at: Some(run_at),
            parent: Some(cx.id()),
            ..EnqueueOptions::default()
        };
        Ok(NewJob::of(&CollectMetrics { post_ids: vec![post.clone()] })?.with(options))
    };
    let jobs = readings(at, after, clock::now()).into_iter().map(reading).collect::<Result<Vec<_>, EnqueueError>>()?;
    for answer in cx.client().submit_all(jobs).await {
        answer?;
    }
    Ok(())
}
