//! Sample posts of a persona, none of which is kept or published.

use perch_core::{ModelText, personas::Persona};
use perch_queue::Fail;
use perch_safety::{GuardVerdict, Reason};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    answer::posts_in,
    judge::verdict,
    prompt::{BatchRequest, fitting, request},
    topics,
};
use crate::Personas;

/// How many samples are written.
const SAMPLES: u32 = 3;

/// A sample post, and what the guard says to it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SamplePost {
    /// The text as it would be published.
    pub text: String,
    /// The topic that it was asked for.
    pub topic: Option<String>,
    /// Whether the guard lets it pass, flags it, or refuses it.
    pub guard: &'static str,
    /// Why.
    #[schema(value_type = Vec<Object>)]
    pub reasons: Vec<Reason>,
}

/// Has a model write three posts.
pub async fn sample(bot: &Personas, persona: &Persona) -> Result<Vec<SamplePost>, Fail> {
    let spec = &persona.spec;
    let count = fitting(SAMPLES, spec.max_length, bot.settings.max_tokens);
    let topics = topics::batch(&spec.topics, &[], count as usize);
    let batch = BatchRequest {
        name: &persona.name,
        spec,
        topics: &topics,
        openings: &[],
        material: &[],
        temperature: bot.settings.temperature,
        max_tokens: bot.settings.max_tokens,
    };
    let reply = bot.clients.ask(bot.providers(spec), &request(&batch), &[]).await?;
    let posts = posts_in(&reply.completion.text);
    if posts.is_empty() {
        return Err(Fail::Retry(format!("the answer of {} has no posts", reply.completion.model)));
    }
    let sample = |(place, post): &(usize, ModelText)| {
        let topic = topics.get(*place).cloned().flatten();
        let (text, verdict) = verdict(&bot.guard, spec, post);
        let guard = match &verdict {
            GuardVerdict::Pass => "pass",
            GuardVerdict::Review(_) => "review",
            GuardVerdict::Refuse(_) => "refuse",
        };
        SamplePost { text, topic, guard, reasons: verdict.reasons().to_vec() }
    };
    Ok(posts.iter().take(count as usize).map(sample).collect())
}
