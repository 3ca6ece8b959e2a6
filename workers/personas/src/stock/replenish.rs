//! Replenishes the stock of a persona: one call of a model, one batch.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use perch_base::{Disposition, clock};
use perch_clients::sources::Material;
use perch_core::{
    AskError, ModelReply,
    personas::{Persona, PersonaStore as _},
};
use perch_jobs::ReplenishStock;
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult, JobContext},
};
use perch_safety::recites;
use serde::Serialize;

use super::{
    answer::posts_in,
    judge::{Judged, as_published, judge},
    prompt::{BatchRequest, fitting, request},
    topics,
};
use crate::{
    Personas,
    store::{Draft, Progress, StockCounts, StockStore as _},
};

/// How many of the latest posts the next batch is told the openings of.
const REMEMBERED: u32 = 40;
/// The most posts that wait for a person before no further batch is written.
const WAITING: u64 = 50;
/// How long nothing is written after a batch that added nothing: twice as long after each, up to the last.
const REST: TimeDelta = TimeDelta::minutes(2);
const LONGEST_REST: TimeDelta = TimeDelta::hours(6);
/// How long the sources may take together.
const READING: Duration = Duration::from_secs(30);
/// The most entries of all sources that a model is shown.
const MATERIAL: usize = 12;

/// What a replenishment has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", untagged)]
pub enum Replenished {
    /// Nothing was to be done.
    Idle {
        /// Why.
        idle: &'static str,
    },
    /// A model wrote a batch.
    Wrote {
        /// Posts that it wrote.
        written: u64,
        /// Those that can be published.
        ready: u64,
        /// Those that wait for a person.
        in_review: u64,
        /// Those that the guard or the policy rejected.
        rejected: u64,
        /// Those that are too similar to another post.
        similar: u64,
    },
}

/// Has a model write a batch of posts for a persona whose stock is short.
pub async fn replenish_stock(job: ReplenishStock, cx: JobContext, bot: Data<Personas>) -> HandlerResult<Replenished> {
    let idle = |idle| Ok(Replenished::Idle { idle });
    let Some(persona) = bot.store.personas().get(&job.persona).await? else { return idle("unknown") };
    if !persona.enabled && !job.now {
        return idle("paused");
    }
    let bot = bot.charged_for(&persona.spec.account, &cx);
    // What an earlier attempt has paid for comes first.
    let left = judge(&bot, &persona.name, &persona.spec).await?;
    let counts = bot.store.stock().counts(&persona.name).await?;
    if let Some(reason) = not_now(&bot, &persona, counts, job.now).await? {
        return idle(reason);
    }
    let (written, stored) = match write(&bot, &persona).await? {
        Ok(written) => written,
        Err(reason) => {
            bot.store.slots().replenished(&persona, Some(&reason)).await?;
            return Ok(wrote(0, left));
        }
    };
    let mut judged = judge(&bot, &persona.name, &persona.spec).await?;
    judged.similar += written - stored;
    note(&bot, &persona, judged).await?;
    Ok(wrote(written, judged))
}

fn wrote(written: u64, judged: Judged) -> Replenished {
    let Judged { ready, in_review, rejected, similar } = judged;
    Replenished::Wrote { written, ready, in_review, rejected, similar }
}

/// Why no batch is written now, if none is.
pub(crate) async fn not_now(
    bot: &Personas,
    persona: &Persona,
    counts: StockCounts,
    asked: bool,
) -> Result<Option<&'static str>, Fail> {
    if counts.in_review >= WAITING {
        return Ok(Some("reviews_wait"));
    }
    if let Some(most) = persona.spec.usd_per_day {
        let midnight = clock::now().date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
        if bot.store.stock().usd_since(&persona.name, midnight).await? >= most {
            return Ok(Some("budget"));
        }
    }
    if asked {
        return Ok(None);
    }
    if counts.ready >= u64::from(bot.settings.low_water) {
        return Ok(Some("enough"));
    }
    let progress = bot.store.slots().progress(persona).await?;
    Ok(rests(&progress, clock::now()).then_some("rests"))
}

/// Whether nothing is written because the last batches added nothing.
fn rests(progress: &Progress, now: DateTime<Utc>) -> bool {
    let Some(at) = progress.fruitless_at.filter(|_| progress.fruitless > 0) else { return false };
    let factor = 2_i32.checked_pow(progress.fruitless - 1).unwrap_or(i32::MAX);
    let rest = REST.checked_mul(factor).map_or(LONGEST_REST, |rest| rest.min(LONGEST_REST));
    // A time ahead was noted by a wrong clock, and delays nothing.
    at <= now && now < at + rest
}

/// Has a model write a batch and stores it as drafts; answers how many it wrote and how many of these are new, or why there is none.
async fn write(bot: &Personas, persona: &Persona) -> Result<Result<(u64, u64), String>, Fail> {
    let spec = &persona.spec;
    let latest = bot.store.stock().latest(&persona.name, REMEMBERED).await?;
    let (openings, lately): (Vec<String>, Vec<Option<String>>) = latest.into_iter().unzip();
    let count = fitting(bot.settings.batch, spec.max_length, bot.settings.max_tokens);
    let topics = topics::batch(&spec.topics, &lately, count as usize);
    let material = material(bot, &spec.sources).await;
    let batch = BatchRequest {
        name: &persona.name,
        spec,
        topics: &topics,
        openings: &openings,
        material: &material,
        temperature: bot.settings.temperature,
        max_tokens: bot.settings.max_tokens,
    };
    let reply = match bot.clients.ask(bot.providers(spec), &request(&batch), &[]).await {
        Ok(reply) => reply,
        Err(AskError::Declined(error)) => return Ok(Err(error.to_string())),
        // No retry helps, for example without a key; the next batch is not asked for at once.
        Err(AskError::Down(reason, Disposition::Never)) => return Ok(Err(reason)),
        Err(error) => return Err(error.into()),
    };
    let mut drafts = drafts(bot, persona, &reply, &topics);
    let said: Vec<&str> = material.iter().map(|material| &*material.text).collect();
    let count = drafts.len();
    drafts.retain(|draft| !recites(&draft.text, &said));
    if drafts.len() < count {
        tracing::warn!(persona = %persona.name, posts = count - drafts.len(), "posts repeat a source word for word, and are dropped");
    }
    if drafts.is_empty() {
        return Ok(Err(format!("the answer of {} has no posts that may be used", reply.completion.model)));
    }
    let stored = bot.store.stock().draft(&persona.name, &drafts).await?;
    Ok(Ok((drafts.len() as u64, stored)))
}

/// The posts of an answer as drafts, each with its share of the cost.
fn drafts(bot: &Personas, persona: &Persona, reply: &ModelReply, topics: &[Option<String>]) -> Vec<Draft> {
    let ModelReply { provider, completion } = reply;
    let posts = posts_in(&completion.text);
    let share = i64::try_from(posts.len().max(1)).unwrap_or(i64::MAX);
    let usage = completion.usage;
    let tokens = i64::try_from(usage.prompt_tokens + usage.completion_tokens).unwrap_or(i64::MAX);
    let micros = bot
        .platform
        .models
        .providers
        .get(provider)
        .map(|of| of.price.micros(usage.prompt_tokens, usage.completion_tokens));
    #[expect(clippy::cast_precision_loss, reason = "the cost of a call is far below the precision of a float")]
    let usd = micros.map(|micros| micros as f64 / 1e6 / share as f64);
    posts
        .iter()
        .map(|(place, post)| Draft {
            text: as_published(&bot.guard, &persona.spec, post),
            topic: topics.get(*place).cloned().flatten(),
            usd,
            tokens: Some(tokens / share),
            model: Some(completion.model.clone()),
        })
        .collect()
}

/// What the sources of a persona say now, read at once. One that cannot be read in time is left out, and counted.
async fn material(bot: &Personas, sources: &[String]) -> Vec<Material> {
    let each = MATERIAL / sources.len().max(1) + 1;
    let read = join_all(sources.iter().map(|address| read(bot, address))).await;
    read.into_iter().flat_map(|material| material.into_iter().take(each)).take(MATERIAL).collect()
}

async fn read(bot: &Personas, address: &str) -> Vec<Material> {
    match tokio::time::timeout(READING, bot.sources.read(address)).await {
        Ok(Ok(material)) => material,
        Ok(Err(error)) => left_out(&error.to_string()),
        Err(_) => left_out("the sources of a persona took too long"),
    }
}

fn left_out(error: &str) -> Vec<Material> {
    metrics::counter!("perch_source_failures_total").increment(1);
    tracing::warn!(error, "a source of a persona cannot be read; the batch goes on without it");
    Vec::new()
}

async fn note(bot: &Personas, persona: &Persona, judged: Judged) -> Result<(), Fail> {
    for (state, n) in [
        ("ready", judged.ready),
        ("in_review", judged.in_review),
        ("rejected", judged.rejected),
        ("similar", judged.similar),
    ] {
        metrics::counter!("perch_stock_posts_total", "persona" => persona.name.to_string(), "state" => state)
            .increment(n);
    }
    let fruitless = (judged.ready + judged.in_review == 0)
        .then(|| format!("{} posts were rejected and {} too similar to others", judged.rejected, judged.similar));
    Ok(bot.store.slots().replenished(persona, fruitless.as_deref()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_after_fruitless_batches_doubles_up_to_six_hours_and_a_wrong_clock_sets_none() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let rests =
            |fruitless, ago| rests(&Progress { slots_until: now, fruitless, fruitless_at: Some(now - ago) }, now);
        assert!(!rests(0, TimeDelta::zero()));
        assert!(rests(1, TimeDelta::minutes(1)) && !rests(1, TimeDelta::minutes(2)));
        assert!(rests(3, TimeDelta::minutes(7)) && !rests(3, TimeDelta::minutes(8)));
        assert!(rests(u32::MAX, TimeDelta::hours(5)) && !rests(u32::MAX, TimeDelta::hours(6)));
        assert!(!rests(1, -TimeDelta::hours(1)));
    }
}
