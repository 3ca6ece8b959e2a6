//! One call of a model, candidates for one slot.

use perch_base::{Disposition, crash_point};
use perch_core::{
    AskError, ModelReply,
    personas::{Persona, PersonaStore as _, material},
};
use perch_jobs::WriteCandidates;
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult, JobContext},
};
use perch_safety::recites;
use serde::Serialize;

use super::{
    answer::posts_in,
    judge::{Judged, expires_at, judge, part_verdict},
    prompt::{CandidatesRequest, request},
};
use crate::{
    Learner,
    spec::ArmSpec,
    store::{Draft, LearnerBot, LearnerStore as _},
};

/// How many of the latest texts the next batch is told the openings of.
const REMEMBERED: u32 = 40;

/// What a call has brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", untagged)]
pub enum Wrote {
    /// Nothing was to be done.
    Idle {
        /// Why.
        idle: &'static str,
    },
    /// A model wrote candidates.
    Wrote {
        /// Candidates that it wrote.
        written: u64,
        /// Those that can be chosen.
        ready: u64,
        /// Those that wait for a person.
        in_review: u64,
        /// Those that the guard or the policy rejected.
        rejected: u64,
        /// Those that are too similar to another text.
        similar: u64,
    },
}

/// Has a model write the candidates for a slot: of the arms with the fewest candidates first, so that each can be chosen.
pub async fn write_candidates(job: WriteCandidates, cx: JobContext, bot: Data<Learner>) -> HandlerResult<Wrote> {
    let idle = |idle| Ok(Wrote::Idle { idle });
    let Some((learner, persona)) = bot.running(&job.bot).await? else { return idle("not_running") };
    let bot = bot.charged_for(&persona.spec.account, &cx);
    // What an earlier attempt has paid for comes first.
    let left = judge(&bot, &persona.name, &persona.spec).await?;
    let arms = missing_arms(&bot, &learner, &persona).await?;
    if arms.is_empty() {
        return idle("enough");
    }
    if bot.store.personas().is_over_budget(&persona).await? {
        return idle("budget");
    }
    let Some((written, stored)) = write(&bot, &learner, &persona, &arms).await? else { return Ok(wrote(0, left)) };
    crash_point!("candidates.drafted" in crate::CRASH_POINTS);
    let mut judged = judge(&bot, &persona.name, &persona.spec).await?;
    judged.similar += written - stored;
    for (state, n) in [
        ("ready", judged.ready),
        ("in_review", judged.in_review),
        ("rejected", judged.rejected),
        ("similar", judged.similar),
    ] {
        metrics::counter!("perch_candidates_total", "bot" => persona.name.to_string(), "state" => state).increment(n);
    }
    Ok(wrote(written, judged))
}

fn wrote(written: u64, judged: Judged) -> Wrote {
    let Judged { ready, in_review, rejected, similar } = judged;
    Wrote::Wrote { written, ready, in_review, rejected, similar }
}

/// Whether candidates are to be written for a bot.
pub(crate) async fn is_short(bot: &Learner, learner: &LearnerBot, persona: &Persona) -> Result<bool, Fail> {
    Ok(!missing_arms(bot, learner, persona).await?.is_empty())
}

/// The arms for which candidates are to be written: as many as a slot has, those with the fewest first, until every arm has one and the
/// slot has its number.
async fn missing_arms(bot: &Learner, learner: &LearnerBot, persona: &Persona) -> Result<Vec<ArmSpec>, Fail> {
    let arms = learner.spec.arms_for(&persona.spec.topics);
    let counts = bot.store.learner().counts(&learner.bot).await?;
    let mut have: Vec<u64> = arms
        .iter()
        .map(|arm| {
            let of = counts.iter().find(|counts| counts.arm == arm.to_string());
            of.map_or(0, |counts| counts.ready + counts.in_review)
        })
        .collect();
    let wanted = usize::from(learner.spec.candidates).max(arms.len());
    Ok(fewest_first(&mut have, wanted).into_iter().map(|at| arms[at].clone()).collect())
}

/// Which of the arms, of which there are `have` candidates, to write next until there are `wanted` in all; the fewest first.
fn fewest_first(have: &mut [u64], wanted: usize) -> Vec<usize> {
    let mut chosen = Vec::new();
    let total = |have: &[u64]| usize::try_from(have.iter().sum::<u64>()).unwrap_or(usize::MAX);
    while total(have) < wanted || have.contains(&0) {
        let Some((at, _)) = have.iter().enumerate().min_by_key(|(_, n)| **n) else { break };
        have[at] += 1;
        chosen.push(at);
    }
    chosen
}

/// Has a model write and stores what it wrote as drafts; answers how many it wrote and how many of these are new, or none where no model
/// answers with posts.
async fn write(
    bot: &Learner,
    learner: &LearnerBot,
    persona: &Persona,
    arms: &[ArmSpec],
) -> Result<Option<(u64, u64)>, Fail> {
    let tables = bot.store.learner();
    let openings = tables.openings(&persona.name, REMEMBERED).await?;
    let material = material(&bot.sources, &persona.spec.sources).await;
    let asked = CandidatesRequest {
        name: &persona.name,
        spec: &persona.spec,
        arms,
        parts: learner.spec.parts,
        openings: &openings,
        material: &material,
        temperature: bot.settings.temperature,
        max_tokens: bot.settings.max_tokens,
    };
    let reply = match bot.clients.ask(bot.providers(&persona.spec), &request(&asked), &[]).await {
        Ok(reply) => reply,
        Err(AskError::Declined(error)) => return Ok(nothing(persona, &error.to_string())),
        // No retry helps, for example without a key.
        Err(AskError::Down(reason, Disposition::Never)) => return Ok(nothing(persona, &reason)),
        Err(error) => return Err(error.into()),
    };
    if let Some(usd) = reply.usd(&bot.platform.models) {
        bot.store.personas().spent(&persona.name, usd).await?;
    }
    crash_point!("candidates.answered" in crate::CRASH_POINTS);
    let mut drafts = drafts(bot, persona, &reply, arms);
    let said: Vec<&str> = material.iter().map(|material| &*material.text).collect();
    drafts.retain(|draft| !draft.parts.iter().any(|part| recites(part, &said)));
    if drafts.is_empty() {
        return Ok(nothing(
            persona,
            &format!("the answer of {} has no posts that may be used", reply.completion.model),
        ));
    }
    let stored = tables.draft(&persona.name, &drafts, expires_at(&bot.settings)).await?;
    Ok(Some((drafts.len() as u64, stored)))
}

fn nothing(persona: &Persona, why: &str) -> Option<(u64, u64)> {
    metrics::counter!("perch_candidates_failed_total", "bot" => persona.name.to_string()).increment(1);
    tracing::warn!(bot = %persona.name, why, "no candidates were written; the next run tries again");
    None
}

/// The posts of an answer as drafts, each with its share of the cost.
fn drafts(bot: &Learner, persona: &Persona, reply: &ModelReply, arms: &[ArmSpec]) -> Vec<Draft> {
    let completion = &reply.completion;
    let posts = posts_in(&completion.text);
    let share = i64::try_from(posts.len().max(1)).unwrap_or(i64::MAX);
    let usage = completion.usage;
    let tokens = i64::try_from(usage.prompt_tokens + usage.completion_tokens).unwrap_or(i64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "an answer has few posts")]
    let usd = reply.usd(&bot.platform.models).map(|usd| usd / share as f64);
    let one = |(place, parts): &(usize, Vec<perch_core::ModelText>)| {
        let arm = arms.get(*place)?;
        let text = |part: &perch_core::ModelText| {
            // A text that is unclear keeps what makes it so, for the check of the draft.
            if part.is_clear { part_verdict(&bot.guard, &persona.spec, part).0 } else { part.text.clone() }
        };
        Some(Draft {
            arm: arm.to_string(),
            parts: parts.iter().map(text).collect(),
            usd,
            tokens: Some(tokens / share),
            model: Some(completion.model.clone()),
        })
    };
    posts.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arms_with_the_fewest_candidates_come_first_and_every_arm_gets_one() {
        assert_eq!(fewest_first(&mut [0, 0, 0], 3), [0, 1, 2]);
        assert_eq!(fewest_first(&mut [2, 0, 1], 4), [1]);
        assert_eq!(fewest_first(&mut [2, 2, 2], 4), Vec::<usize>::new());
        assert_eq!(fewest_first(&mut [], 4), Vec::<usize>::new());
    }
}
