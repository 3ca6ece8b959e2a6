//! Replenishes the stock of a persona: one call of a model, one batch.

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::{clock, crash_point};
use perch_core::personas::{Persona, PersonaStore as _};
use perch_jobs::ReplenishStock;
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult, JobContext},
};
use serde::Serialize;

use super::{
    batch::{Stored, write},
    evergreen,
    judge::{Judged, judge},
    prompt::fitting,
};
use crate::{
    Personas,
    store::{EvergreenPost, Progress, StockCounts, StockStore as _},
};

/// The most posts that wait for a person before no further batch is written.
const WAITING: u64 = 50;
/// How long nothing is written after a batch that added nothing: twice as long after each, up to the last.
const REST: TimeDelta = TimeDelta::minutes(2);
const LONGEST_REST: TimeDelta = TimeDelta::hours(6);
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
        /// Of those written, the ones that say an earlier post in other words.
        #[serde(skip_serializing_if = "is_zero")]
        reworded: u64,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Has a model write a batch of posts for a persona whose stock is short. Up to half of it says earlier posts in other words, where the
/// persona has evergreen posts.
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
    let spec = &persona.spec;
    let count = fitting(bot.settings.batch, spec.max_length, bot.settings.max_tokens);
    let again = evergreen::candidates(&bot, &persona, (count / 2).max(1)).await?;
    let share = u32::try_from(again.len()).unwrap_or(u32::MAX);
    let fresh = write(&bot, &persona, count.saturating_sub(share).max(1)).await?;
    crash_point!("stock.drafted" in crate::CRASH_POINTS);
    let reworded = reword(&bot, &persona, &again).await;
    let (written, reworded) = match (fresh, reworded) {
        (Err(reason), None) => {
            bot.store.slots().replenished(&persona, Some(&reason)).await?;
            return Ok(wrote(Stored::default(), Stored::default(), left));
        }
        (fresh, reworded) => (fresh.unwrap_or_default(), reworded.unwrap_or_default()),
    };
    let mut judged = judge(&bot, &persona.name, spec).await?;
    judged.similar += written.known() + reworded.known();
    note(&bot, &persona, judged).await?;
    Ok(wrote(written, reworded, judged))
}

/// Says earlier posts in other words. The stock gets its other posts in any case, so that what goes wrong here is logged alone.
async fn reword(bot: &Personas, persona: &Persona, again: &[EvergreenPost]) -> Option<Stored> {
    if again.is_empty() || bot.store.personas().is_over_budget(persona).await.unwrap_or(true) {
        return None;
    }
    match evergreen::reword(bot, persona, again).await {
        Ok(Ok(stored)) => Some(stored),
        Ok(Err(reason)) => {
            tracing::warn!(persona = %persona.name, reason, "no earlier post is said in other words");
            None
        }
        Err(error) => {
            tracing::warn!(persona = %persona.name, ?error, "no earlier post is said in other words");
            None
        }
    }
}

fn wrote(fresh: Stored, reworded: Stored, judged: Judged) -> Replenished {
    let Judged { ready, in_review, rejected, similar } = judged;
    let written = fresh.written + reworded.written;
    Replenished::Wrote { written, ready, in_review, rejected, similar, reworded: reworded.written }
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
    if bot.store.personas().is_over_budget(persona).await? {
        return Ok(Some("budget"));
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
