//! One run over all personas: settles, fills slots, and starts replenishments.

use chrono::{DateTime, Utc};
use perch_base::{clock, crash_point};
use perch_core::personas::{Persona, PersonaSpec, PersonaStore as _};
use perch_jobs::{ReplenishStock, RunPersonas};
use perch_queue::{
    Acceptance, Client, Fail,
    worker::{Data, HandlerResult, JobContext},
};
use serde::Serialize;

use super::{
    due::{Lateness, due},
    hand_over::{hand_over, hand_over_leftovers, identity},
};
use crate::{
    Personas,
    stock::topics,
    store::{Reservation, StockStore as _},
};

/// What a run has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PersonasRun {
    /// Slots that were filled.
    pub filled: u64,
    /// Slots that are due without a post.
    #[serde(skip_serializing_if = "is_zero")]
    pub empty: u64,
    /// Slots that were given up.
    #[serde(skip_serializing_if = "is_zero")]
    pub missed: u64,
    /// Replenishments that were started.
    #[serde(skip_serializing_if = "is_zero")]
    pub replenishing: u64,
    /// Personas whose run failed; the next run tries again.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Settles the posts of all personas, fills their slots that are due, and starts replenishments where posts run short.
pub async fn run_personas(_: RunPersonas, cx: JobContext, bot: Data<Personas>) -> HandlerResult<PersonasRun> {
    let client = cx.client();
    if let Err(error) = add_configured(&bot).await {
        tracing::warn!(?error, "the persona of the settings could not be added; the next run tries again");
    }
    settle(&bot).await?;
    hand_over_leftovers(&bot, client).await?;
    bot.store.slots().skip_paused().await?;
    let mut run = PersonasRun::default();
    let personas = bot.store.personas().enabled().await?;
    for persona in &personas {
        // What is wrong with one persona must not keep the others from posting.
        if let Err(error) = run_one(&bot, client, persona, &mut run).await {
            run.failed += 1;
            tracing::warn!(persona = %persona.name, ?error, "a persona could not be run; the next run tries again");
        }
    }
    if run.failed > 0 && run.failed == personas.len() as u64 {
        return Err(Fail::Retry(format!("{} personas could not be run; the log says why", run.failed)));
    }
    Ok(run)
}

/// Who has added the persona of the settings. Once somebody else has changed it, the settings do not change it any more.
const CONFIGURATION: &str = "configuration";

/// Adds the persona that the settings describe, or changes what they describe of it.
async fn add_configured(bot: &Personas) -> Result<(), Fail> {
    let Some((name, configured)) = bot.settings.configured(&bot.platform) else { return Ok(()) };
    let personas = bot.store.personas();
    let (spec, seen) = match personas.get(&name).await? {
        None => (configured, 0),
        Some(persona) if persona.updated_by == CONFIGURATION => {
            let PersonaSpec { account, prompt, schedule, .. } = configured;
            (PersonaSpec { account, prompt, schedule, ..persona.spec }, persona.version)
        }
        Some(_) => return Ok(()),
    };
    personas.put(&name, &spec, Some(seen), CONFIGURATION).await?;
    Ok(())
}

/// Brings the states of posts and slots up to date, and counts what changed.
async fn settle(bot: &Personas) -> Result<(), Fail> {
    let settled = bot.store.stock().settle(bot.settings.publish_within).await?;
    for (state, n) in [("published", settled.published), ("failed", settled.failed), ("late", settled.late)] {
        metrics::counter!("perch_persona_posts_settled_total", "state" => state).increment(n);
    }
    let expired = bot.store.stock().expire().await?;
    metrics::counter!("perch_persona_posts_settled_total", "state" => "expired").increment(expired);
    Ok(())
}

async fn run_one(bot: &Personas, client: &Client, persona: &Persona, run: &mut PersonasRun) -> Result<(), Fail> {
    fill_due(bot, client, persona, run).await?;
    let counts = bot.store.stock().counts(&persona.name).await?;
    #[expect(clippy::cast_precision_loss, reason = "a stock is far below the precision of a float")]
    metrics::gauge!("perch_stock_ready", "persona" => persona.name.to_string()).set(counts.ready as f64);
    let is_scheduled = !persona.spec.schedule.is_empty();
    if is_scheduled && crate::stock::not_now(bot, persona, counts, false).await?.is_none() {
        let job = ReplenishStock { persona: persona.name.clone(), now: false };
        let is_new = matches!(client.enqueue(&job).await?.acceptance, Acceptance::Accepted | Acceptance::Deferred);
        run.replenishing += u64::from(is_new);
    }
    Ok(())
}

async fn fill_due(bot: &Personas, client: &Client, persona: &Persona, run: &mut PersonasRun) -> Result<(), Fail> {
    let (slots, now) = (bot.store.slots(), clock::now());
    let schedules =
        persona.spec.schedules().map_err(|error| Fail::Dead(format!("the schedule of {}: {error}", persona.name)))?;
    let progress = slots.progress(persona).await?;
    let empty = slots.empty(&persona.name).await?;
    let settings = &bot.settings;
    let lateness =
        Lateness { grace: settings.grace, catch_up: settings.catch_up_within, policy: persona.spec.catch_up };
    let due = due(&schedules, &empty, (progress.slots_until.min(now), now), lateness);
    if !due.missed.is_empty() {
        let missed = slots.miss(&persona.name, &due.missed, "its time passed without a post").await?;
        count(persona, "missed", missed);
        run.missed += missed;
    }
    for slot_at in due.fill {
        match fill(bot, client, persona, slot_at).await? {
            Reservation::Filled(_) => {
                count(persona, "filled", 1);
                run.filled += 1;
            }
            Reservation::Empty => run.empty += 1,
            Reservation::Before(_) => {}
        }
    }
    // Only now: a run that ends before this looks at the same slots again.
    Ok(slots.advance(&persona.name, due.until).await?)
}

async fn fill(bot: &Personas, client: &Client, persona: &Persona, slot_at: DateTime<Utc>) -> Result<Reservation, Fail> {
    let (key, job) = identity(&persona.name, slot_at);
    let topics = &persona.spec.topics;
    let reservation = bot
        .store
        .slots()
        .fill(&persona.name, slot_at, (&key, job), |ready, lately| {
            let there = |name: &str| ready.iter().any(|post| post.topic.as_deref() == Some(name));
            let topic = topics::next(topics, lately, there).map(|topic| topic.name.as_str());
            let fits = ready.iter().find(|post| topic.is_some() && post.topic.as_deref() == topic);
            fits.or(ready.first()).map(|post| post.id)
        })
        .await?;
    if let Reservation::Filled(post) = &reservation {
        crash_point!("slot.reserved" in crate::CRASH_POINTS);
        hand_over(bot, client, persona, post).await?;
        crash_point!("slot.filled" in crate::CRASH_POINTS);
    }
    Ok(reservation)
}

fn count(persona: &Persona, state: &'static str, n: u64) {
    metrics::counter!("perch_persona_slots_total", "persona" => persona.name.to_string(), "state" => state)
        .increment(n);
}
