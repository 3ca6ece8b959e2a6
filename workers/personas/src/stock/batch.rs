//! A batch: one call of a model, whose posts are stored as drafts before anything is decided about them.

use perch_base::{Disposition, crash_point};
use perch_clients::models::ChatRequest;
use perch_core::{
    AskError, ModelReply,
    personas::{Persona, PersonaSpec, PersonaStore as _, material},
};
use perch_queue::Fail;
use perch_safety::recites;
use perch_store::StoreError;

use super::{
    answer::posts_in,
    judge::as_published,
    prompt::{BatchRequest, request},
    topics,
};
use crate::{
    Personas,
    store::{Draft, StockStore as _},
};

/// How many of the latest posts the next batch is told the openings of.
const REMEMBERED: u32 = 40;

/// The posts of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// How many there are.
    pub(super) written: u64,
    /// How many of them were not there before.
    pub(super) new: u64,
}

impl Stored {
    /// How many were there before, word for word.
    pub(super) fn known(self) -> u64 {
        self.written - self.new
    }
}

/// What a post of an answer is about, by its place.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) topic: Option<String>,
    pub(super) evergreen_of: Option<i64>,
}

/// Has a model write `count` posts and stores them as drafts, or says why there are none.
pub(super) async fn write(bot: &Personas, persona: &Persona, count: u32) -> Result<Result<Stored, String>, Fail> {
    let spec = &persona.spec;
    let latest = bot.store.stock().latest(&persona.name, REMEMBERED).await?;
    let (openings, lately): (Vec<String>, Vec<Option<String>>) = latest.into_iter().unzip();
    let topics = topics::batch(&spec.topics, &lately, count as usize);
    let material = material(&bot.sources, &spec.sources).await;
    let batch = BatchRequest {
        name: &persona.name,
        spec,
        topics: &topics,
        openings: &openings,
        material: &material,
        temperature: bot.settings.temperature,
        max_tokens: bot.settings.max_tokens,
    };
    let reply = match ask(bot, persona, &request(&batch)).await? {
        Ok(reply) => reply,
        Err(reason) => return Ok(Err(reason)),
    };
    crash_point!("stock.answered" in crate::CRASH_POINTS);
    let asked: Vec<Asked> = topics.into_iter().map(|topic| Asked { topic, evergreen_of: None }).collect();
    let mut drafts = drafts(bot, spec, &reply, &asked);
    let said: Vec<&str> = material.iter().map(|material| &*material.text).collect();
    let count = drafts.len();
    drafts.retain(|draft| !recites(&draft.text, &said));
    if drafts.len() < count {
        tracing::warn!(persona = %persona.name, posts = count - drafts.len(), "posts repeat a source word for word, and are dropped");
    }
    Ok(store(bot, persona, &reply, &drafts).await?)
}

/// Asks the models of a persona, and notes what the answer has cost. An answer that no retry would give is a reason.
pub(super) async fn ask(
    bot: &Personas,
    persona: &Persona,
    request: &ChatRequest,
) -> Result<Result<ModelReply, String>, Fail> {
    match bot.clients.ask(bot.providers(&persona.spec), request, &[]).await {
        Ok(reply) => {
            if let Some(usd) = reply.usd(&bot.platform.models) {
                bot.store.personas().spent(&persona.name, usd).await?;
            }
            Ok(Ok(reply))
        }
        Err(AskError::Declined(error)) => Ok(Err(error.to_string())),
        // No retry helps, for example without a key; the next batch is not asked for at once.
        Err(AskError::Down(reason, Disposition::Never)) => Ok(Err(reason)),
        Err(error) => Err(error.into()),
    }
}

/// Stores the posts of an answer, or says that there are none.
pub(super) async fn store(
    bot: &Personas,
    persona: &Persona,
    reply: &ModelReply,
    drafts: &[Draft],
) -> Result<Result<Stored, String>, StoreError> {
    if drafts.is_empty() {
        return Ok(Err(format!("the answer of {} has no posts that may be used", reply.completion.model)));
    }
    let new = bot.store.stock().draft(&persona.name, drafts).await?;
    Ok(Ok(Stored { written: drafts.len() as u64, new }))
}

/// The posts of an answer as drafts, each with its share of the cost.
pub(super) fn drafts(bot: &Personas, spec: &PersonaSpec, reply: &ModelReply, asked: &[Asked]) -> Vec<Draft> {
    let completion = &reply.completion;
    let posts = posts_in(&completion.text);
    let share = i64::try_from(posts.len().max(1)).unwrap_or(i64::MAX);
    let usage = completion.usage;
    let tokens = i64::try_from(usage.prompt_tokens + usage.completion_tokens).unwrap_or(i64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "an answer has few posts")]
    let usd = reply.usd(&bot.platform.models).map(|usd| usd / share as f64);
    let draft = |(place, post): &(usize, perch_core::ModelText)| {
        let Asked { topic, evergreen_of } = asked.get(*place).cloned().unwrap_or_default();
        Draft {
            text: as_published(&bot.guard, spec, post),
            topic,
            usd,
            tokens: Some(tokens / share),
            model: Some(completion.model.clone()),
            evergreen_of,
        }
    };
    posts.iter().map(draft).collect()
}
