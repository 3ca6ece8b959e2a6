use perch_jobs::{ExtractPost, SyncHotState};
use perch_queue::worker::{Data, HandlerResult, JobContext};
use serde::Serialize;

use super::{
    actions::have_done,
    pictures::pictures,
    reading::{Reading, Unread, by_rules, read_picks},
    sighting::{Sight, bodies, sight},
};
use crate::{Services, models::Unanswered};

/// What was found in a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Extracted {
    /// Picks that no post had before; actions on each are under way.
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

/// Whether the providers have been down for so many attempts that the rules read the post.
fn rules_take_over(services: &Services, cx: &JobContext) -> bool {
    let after = services.settings.models.rules_after;
    after > 0 && cx.attempt() >= after
}

/// Reads the picks out of one post, records them, and has something done about each new one.
pub async fn extract_post(job: ExtractPost, cx: JobContext, services: Data<Services>) -> HandlerResult<Extracted> {
    let ExtractPost { post, account } = job;
    let services = services.charged_to("picks", post.author.clone(), &cx);
    let pictures = pictures(&services, &post).await?;
    let reading = match read_picks(&services, &post, &pictures).await {
        Err(Unread::Unanswered(Unanswered::Down(why, _))) if rules_take_over(&services, &cx) => by_rules(&post, &why),
        read => read?,
    };
    let mut extracted = Extracted::nothing_yet(&reading);
    for pick in bodies(reading.answer) {
        match sight(&services, &post, pick).await? {
            Sight::New(record) => {
                have_done(&services, &cx, &account, &post, &record).await?;
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
