//! Hands posts over to publishing, also those that a crash has left behind. Everything here is idempotent: the id of the job and the key of
//! the effect follow from the persona and its slot.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::{clock, crash_point};
use perch_core::{
    job_id,
    personas::{Persona, PersonaStore as _},
};
use perch_jobs::{JobId, PersonaName, PublishPost};
use perch_queue::{Client, EnqueueOptions, Fail};

use crate::{
    Personas,
    store::{StockPost, StockStore as _},
};

/// A post that was reserved for so long, and whose job is not noted, was left behind by a process that ended.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// The key of the effect of a slot, and the id of the job that publishes its post.
pub(super) fn identity(persona: &PersonaName, slot_at: DateTime<Utc>) -> (String, JobId) {
    let key = format!("persona:{persona}:{}", slot_at.timestamp());
    let id = job_id(slot_at, &key);
    (key, id)
}

/// Enqueues the job that publishes a reserved post. It becomes dead when it cannot begin in time.
pub(super) async fn hand_over(
    bot: &Personas,
    client: &Client,
    persona: &Persona,
    post: &StockPost,
) -> Result<(), Fail> {
    let (Some(key), Some(id)) = (&post.effect_key, post.publish_job_id) else { return Ok(()) };
    let within = TimeDelta::from_std(bot.settings.publish_within).unwrap_or_default();
    let job = PublishPost {
        effect_key: Some(key.clone()),
        ..PublishPost::new(persona.spec.account.clone(), post.text.clone())
    };
    let deadline = post.updated_at + within;
    if deadline <= clock::now() {
        // A later settlement makes the post ready again, unless its job is known after all.
        return Ok(());
    }
    let options = EnqueueOptions { id: Some(id), deadline: Some(deadline), ..EnqueueOptions::default() };
    client.enqueue_with(&job, options).await?;
    crash_point!("slot.enqueued" in crate::CRASH_POINTS);
    Ok(bot.store.stock().handed_over(post.id).await?)
}

async fn hand_over_again(bot: &Personas, client: &Client, post: &StockPost) -> Result<(), Fail> {
    let Some(persona) = bot.store.personas().get(&post.persona).await? else { return Ok(()) };
    hand_over(bot, client, &persona, post).await?;
    tracing::warn!(persona = %post.persona, post = post.id, "a post was left behind, and is handed over again");
    Ok(())
}

/// Hands over posts that were left behind. Answers how many.
pub(super) async fn hand_over_leftovers(bot: &Personas, client: &Client) -> Result<u64, Fail> {
    let mut handed = 0;
    for post in bot.store.stock().not_handed_over(clock::now() - LEFT_BEHIND).await? {
        // What is wrong with one must not keep the others, and every slot, from their turn.
        match hand_over_again(bot, client, &post).await {
            Ok(()) => handed += 1,
            Err(error) => {
                tracing::warn!(persona = %post.persona, post = post.id, ?error, "a post that was left behind waits");
            }
        }
    }
    Ok(handed)
}
