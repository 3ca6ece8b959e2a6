//! What stops a bot by itself. It stays stopped until a person resumes it.

use chrono::TimeDelta;
use perch_base::clock;
use perch_jobs::AccountId;
use perch_queue::Fail;
use perch_store::StoreError;

use crate::{
    Learner,
    store::{LearnerBot, LearnerStore as _, Reactions, Replies, SpentDay},
};

/// Who stops a bot, in the audit log.
pub(crate) const ACTOR: &str = "learner";
/// From how many candidates on the share that the guard refused says something.
const ENOUGH_CANDIDATES: u64 = 20;
/// From how many replies on the share of negative ones says something.
const ENOUGH_REPLIES: u64 = 10;

/// Pauses a bot that has reason to. Answers whether it did.
pub(crate) async fn stop_if_needed(bot: &Learner, learner: &LearnerBot, account: &AccountId) -> Result<bool, Fail> {
    let Some((why, stops)) = reason(bot, learner).await? else { return Ok(false) };
    if stops == Stops::Account {
        bot.brake(account, &why).await?;
    }
    bot.store.learner().set_enabled(&learner.bot, false, Some(&why), ACTOR).await?;
    metrics::counter!("perch_learner_stopped_total", "bot" => learner.bot.to_string()).increment(1);
    tracing::error!(bot = %learner.bot, why, "a learning poster has stopped itself; `perch learn resume` lets it go on");
    Ok(true)
}

/// What a reason stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stops {
    /// The learning poster.
    Bot,
    /// Everything that is published as its account: X may have restricted it.
    Account,
}

async fn reason(bot: &Learner, learner: &LearnerBot) -> Result<Option<(String, Stops)>, StoreError> {
    let (tables, brakes) = (bot.store.learner(), &learner.spec.brakes);
    // What happened before a person let it go on does not stop it again.
    let since = |ago| learner.updated_at.max(clock::now() - ago);
    if brakes.refusals > 0 {
        let refused = tables.refused_in_a_row(&learner.bot, since(TimeDelta::days(7)), brakes.refusals).await?;
        if refused >= u64::from(brakes.refusals) {
            return Ok(Some((format!("X refused its last {refused} posts for good"), Stops::Account)));
        }
    }
    let day = tables.refused_since(&learner.bot, since(TimeDelta::days(1))).await?;
    if let Some(why) = too_many_refused(day, brakes.guard_share) {
        return Ok(Some((why, Stops::Bot)));
    }
    if brakes.negative_share < 1.0 {
        let replies = tables.replies(&learner.bot, since(TimeDelta::days(1))).await?;
        if let Some(why) = too_negative(replies, brakes.negative_share) {
            return Ok(Some((why, Stops::Bot)));
        }
    }
    let Some(most) = brakes.usd_per_engagement else { return Ok(None) };
    let dear = too_dear(&tables.reactions(&learner.bot, since(TimeDelta::days(7))).await?, most);
    Ok(dear.map(|why| (why, Stops::Bot)))
}

#[expect(clippy::cast_precision_loss, reason = "candidates of a day are few")]
fn too_many_refused(day: SpentDay, most: f64) -> Option<String> {
    let share = day.refused as f64 / day.written.max(1) as f64;
    (day.written >= ENOUGH_CANDIDATES && share > most).then(|| {
        format!(
            "the guard refused {} of its {} candidates of a day; allowed: {:.0} %",
            day.refused,
            day.written,
            most * 100.0
        )
    })
}

#[expect(clippy::cast_precision_loss, reason = "replies of a day are few")]
fn too_negative(replies: Replies, most: f64) -> Option<String> {
    let share = replies.negative as f64 / replies.all.max(1) as f64;
    (replies.all >= ENOUGH_REPLIES && share > most).then(|| {
        format!("{} of {} replies of a day are hostile; allowed: {:.0} %", replies.negative, replies.all, most * 100.0)
    })
}

#[expect(clippy::cast_precision_loss, reason = "engagements of a week are few")]
fn too_dear(reactions: &Reactions, most: f64) -> Option<String> {
    let each = reactions.usd / reactions.engagements.max(1) as f64;
    (reactions.posts > 0 && each > most).then(|| {
        format!(
            "an engagement cost {each:.4} USD over its {} posts of seven days; allowed: {most:.4} USD",
            reactions.posts
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_that_refuses_most_candidates_stops_a_bot_once_there_are_enough() {
        let day = |written, refused| SpentDay { written, refused };
        assert_eq!(too_many_refused(day(19, 19), 0.8), None);
        assert_eq!(too_many_refused(day(20, 16), 0.8), None);
        assert!(too_many_refused(day(20, 17), 0.8).is_some_and(|why| why.contains("17 of its 20")));
    }

    #[test]
    fn hostile_replies_stop_a_bot_once_there_are_enough() {
        assert_eq!(too_negative(Replies { all: 9, negative: 9 }, 0.3), None);
        assert_eq!(too_negative(Replies { all: 10, negative: 3 }, 0.3), None);
        assert!(too_negative(Replies { all: 10, negative: 4 }, 0.3).is_some());
    }

    #[test]
    fn posts_that_nobody_reacts_to_are_too_dear_at_some_point() {
        let reactions = |posts, engagements, usd| Reactions { posts, engagements, usd };
        assert_eq!(too_dear(&reactions(0, 0, 9.0), 0.1), None);
        assert_eq!(too_dear(&reactions(5, 100, 9.0), 0.1), None);
        assert!(too_dear(&reactions(5, 0, 9.0), 0.1).is_some());
    }
}
