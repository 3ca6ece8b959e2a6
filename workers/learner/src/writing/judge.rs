//! Checks drafts, and admits those that may be chosen.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::clock;
use perch_clients::text::{POST_UNITS, weighted_length};
use perch_core::{
    ModelText,
    personas::{PersonaSpec, ReviewPolicy},
    text_of,
};
use perch_jobs::PersonaName;
use perch_safety::{Code, Guard, GuardVerdict, Reason, recites};
use perch_store::StoreError;

use super::prompt::RULES;
use crate::{
    Learner,
    settings::LearnerSettings,
    spec::Form,
    store::{Admission, CandidateState, LearnerStore as _, StoredDraft},
};

/// What became of the drafts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) ready: u64,
    pub(super) in_review: u64,
    pub(super) rejected: u64,
    pub(super) similar: u64,
}

/// When a candidate that is admitted now expires.
pub(crate) fn expires_at(settings: &LearnerSettings) -> DateTime<Utc> {
    clock::now() + TimeDelta::from_std(settings.candidates_expire).unwrap_or_default()
}

/// A part of a model as it would be published, and the verdict of the guard about it alone.
pub(super) fn part_verdict(guard: &Guard, spec: &PersonaSpec, part: &ModelText) -> (String, GuardVerdict) {
    let text = guard.without_ways_out(&part.text, None);
    let verdict = guard.text(&text, None);
    let most = usize::from(spec.max_length).min(POST_UNITS);
    let verdict = if weighted_length(&text) > most { refused(&verdict, Code::TooLong) } else { verdict };
    let verdict = verdict.also(Code::Unclear, !part.is_clear || is_numbered(&text));
    let verdict = verdict.also(Code::Recited, recites(&text, &[&spec.voice(), RULES]));
    (text, verdict)
}

/// Whether a text begins with a number of a list: the kinds are asked for by number, and some models answer so.
fn is_numbered(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '/');
    rest.len() < text.len() && rest.starts_with(['.', ')', ':']) && rest[1..].starts_with(char::is_whitespace)
}

fn refused(verdict: &GuardVerdict, code: Code) -> GuardVerdict {
    let others = verdict.reasons().iter().filter(|reason| reason.code != code).cloned();
    GuardVerdict::Refuse(others.chain([Reason::whole(code)]).collect())
}

/// The verdict about a draft: the worst of its parts and of all parts together.
fn verdict(guard: &Guard, spec: &PersonaSpec, arm: &str, parts: &[String]) -> GuardVerdict {
    let mut verdicts: Vec<GuardVerdict> = parts
        .iter()
        .map(|part| {
            // A clear text is stored as it would be published. One in which something is cut now, or before, is not clear.
            let read = text_of(part);
            let is_clear = read.is_clear && read.text == *part;
            let (text, verdict) = part_verdict(guard, spec, &ModelText { text: part.clone(), is_clear });
            verdict.also(Code::Unclear, is_clear && text != *part)
        })
        .collect();
    if parts.len() > 1 {
        // Only each part has a length to keep.
        verdicts.push(guard.long_post(&parts.join("\n"), usize::MAX));
    }
    let is_thread = arm.split('/').nth(1) == Some(Form::Thread.as_str());
    let repeats = parts.iter().collect::<BTreeSet<_>>().len() < parts.len();
    let verdict = worst(&verdicts);
    // A thread of one part, or a post of several, is not what was asked for.
    verdict.also(Code::Unclear, is_thread != (parts.len() > 1) || repeats)
}

fn worst(verdicts: &[GuardVerdict]) -> GuardVerdict {
    let is_refused = verdicts.iter().any(|verdict| matches!(verdict, GuardVerdict::Refuse(_)));
    let mut reasons: Vec<Reason> = Vec::new();
    for reason in verdicts.iter().flat_map(GuardVerdict::reasons) {
        if !reasons.contains(reason) {
            reasons.push(reason.clone());
        }
    }
    match (is_refused, reasons.is_empty()) {
        (true, _) => GuardVerdict::Refuse(reasons),
        (false, false) => GuardVerdict::Review(reasons),
        (false, true) => GuardVerdict::Pass,
    }
}

/// The state in which a candidate goes on, by its verdict; none when it is rejected.
fn next_state(verdict: &GuardVerdict, policy: ReviewPolicy) -> Option<CandidateState> {
    match (verdict, policy) {
        (GuardVerdict::Pass, ReviewPolicy::None | ReviewPolicy::Flagged) => Some(CandidateState::Ready),
        (GuardVerdict::Pass | GuardVerdict::Review(_), ReviewPolicy::All)
        | (GuardVerdict::Review(_), ReviewPolicy::Flagged) => Some(CandidateState::InReview),
        (GuardVerdict::Review(_), ReviewPolicy::None) | (GuardVerdict::Refuse(_), _) => None,
    }
}

/// Decides about every draft of a bot, also those that an earlier attempt has left.
pub(super) async fn judge(bot: &Learner, name: &PersonaName, spec: &PersonaSpec) -> Result<Judged, StoreError> {
    let mut judged = Judged::default();
    for draft in bot.store.learner().drafted(name).await? {
        judge_one(bot, spec, &draft, &mut judged).await?;
    }
    Ok(judged)
}

async fn judge_one(
    bot: &Learner,
    spec: &PersonaSpec,
    draft: &StoredDraft,
    judged: &mut Judged,
) -> Result<(), StoreError> {
    let tables = bot.store.learner();
    let verdict = verdict(&bot.guard, spec, &draft.arm, &draft.parts);
    let Some(state) = next_state(&verdict, spec.review) else {
        judged.rejected += 1;
        return tables.reject_draft(draft.id, verdict.reasons(), &verdict.words()).await;
    };
    match tables.admit(draft, state, verdict.reasons(), expires_at(&bot.settings)).await? {
        Admission::Admitted if state == CandidateState::Ready => judged.ready += 1,
        Admission::Admitted => judged.in_review += 1,
        Admission::Similar { .. } => judged.similar += 1,
        Admission::Decided => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use perch_safety::Rules;
    use serde_json::json;

    use super::*;

    fn judged(arm: &str, parts: &[&str]) -> Option<CandidateState> {
        let guard = Guard::new(&Rules::default()).expect("the lists can be read");
        let spec =
            serde_json::from_value(json!({ "account": "main", "prompt": "You are a baker." })).expect("a persona");
        let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        next_state(&verdict(&guard, &spec, arm, &parts), ReviewPolicy::Flagged)
    }

    #[test]
    fn a_clean_post_and_a_clean_thread_may_be_chosen() {
        assert_eq!(judged("rye/single/claim/any", &["Rye wants a cold night."]), Some(CandidateState::Ready));
        let slow = "The stone wants an hour, and nobody who opens the door before that has ever been glad of it, whatever they say.";
        let thread = ["Rye wants a cold night.", slow, &slow.replace("stone", "crust"), "That is all there is to it."];
        assert_eq!(judged("rye/thread/claim/any", &thread), Some(CandidateState::Ready));
    }

    #[test]
    fn one_bad_part_makes_the_whole_thread_bad() {
        let long = "x".repeat(300);
        assert_eq!(judged("rye/thread/claim/any", &["Rye wants a cold night.", &long]), None);
        assert_eq!(judged("rye/thread/claim/any", &["Rye wants a cold night.", "See bet.com"]), None);
    }

    #[test]
    fn what_was_not_asked_for_goes_to_a_person() {
        let review = Some(CandidateState::InReview);
        assert_eq!(judged("rye/thread/claim/any", &["Rye wants a cold night."]), review);
        assert_eq!(judged("rye/single/claim/any", &["Rye wants a cold night.", "And salt."]), review);
        assert_eq!(judged("rye/thread/claim/any", &["Rye wants a night.", "Rye wants a night."]), review);
        assert_eq!(judged("rye/single/claim/any", &["1. Rye wants a cold night."]), review);
    }
}
