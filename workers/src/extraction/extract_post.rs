use perch_jobs::{AccountId, ExtractPost, Post, PublishPost, PublishSource, SyncHotState};
use perch_queue::{
    EnqueueError, EnqueueOptions,
    worker::{Data, HandlerResult, JobContext},
};
use perch_store::PickRecord;
use serde::Serialize;

use super::{
    comment::{comment, effect_key},
    reading::{Reading, read_picks},
    sighting::{Sight, bodies, sight},
};
use crate::{Services, follow_up::job_id};

/// What was found in a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Extracted {
    /// Picks that no post had before; a comment on each is under way.
    pub new: usize,
    /// Picks that another post had before.
    pub seen_before: usize,
    /// Answers of the model that could not be used, before the one that could.
    pub objections: usize,
    /// The model.
    pub model: String,
    /// Tokens that it read.
    pub prompt_tokens: u64,
    /// Tokens that it wrote.
    pub completion_tokens: u64,
}

impl Extracted {
    fn nothing_yet(reading: &Reading) -> Self {
        Self {
            new: 0,
            seen_before: 0,
            objections: reading.objections,
            model: reading.model.clone(),
            prompt_tokens: reading.usage.prompt_tokens,
            completion_tokens: reading.usage.completion_tokens,
        }
    }
}

/// Reads the picks out of one post, records them, and has each new one commented on.
pub async fn extract_post(job: ExtractPost, cx: JobContext, services: Data<Services>) -> HandlerResult<Extracted> {
    let ExtractPost { post, account } = job;
    let reading = read_picks(&services.extraction_model, &post).await?;
    let mut extracted = Extracted::nothing_yet(&reading);
    for pick in bodies(reading.answer) {
        match sight(&services, &post, pick).await? {
            Sight::New(record) => {
                have_commented(&services, &cx, &account, &post, &record).await?;
                extracted.new += 1;
            }
            Sight::Again => extracted.seen_before += 1,
        }
    }
    if extracted.new + extracted.seen_before > 0 {
        cx.enqueue(&SyncHotState {}).await?;
    }
    metrics::counter!("perch_picks_total", "sight" => "new").increment(extracted.new as u64);
    metrics::counter!("perch_picks_total", "sight" => "again").increment(extracted.seen_before as u64);
    Ok(extracted)
}

/// Enqueues the comment on a pick. However often this runs, the effect has one key and the job one id.
async fn have_commented(
    services: &Services,
    cx: &JobContext,
    account: &AccountId,
    post: &Post,
    record: &PickRecord,
) -> Result<(), EnqueueError> {
    let key = effect_key(account, &post.id, &record.key);
    let options = EnqueueOptions { id: Some(job_id(cx.enqueued_at(), &key)), ..EnqueueOptions::default() };
    let job = PublishPost {
        account: account.clone(),
        text: comment(&services.settings.picks.comment, &record.pick, &post.author),
        reply_to: Some(post.id.clone()),
        effect_key: Some(key),
        source: Some(PublishSource { post_id: post.id.clone(), pick_key: record.key.clone() }),
    };
    cx.enqueue_with(&job, options).await.map(|_| ())
}
