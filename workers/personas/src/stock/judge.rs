//! Checks drafts, and admits those that may be published.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::clock;
use perch_core::{
    ModelText,
    personas::{PersonaSpec, ReviewPolicy},
    text_of,
};
use perch_safety::{Code, Guard, GuardVerdict, recites};
use perch_store::StoreError;

use super::{
    evergreen::{self, REWORDING},
    prompt::RULES,
};
use crate::{
    Personas, PersonasSettings,
    store::{Admission, PostState, StockStore as _, StoredDraft},
};

/// What became of the drafts of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) ready: u64,
    pub(super) in_review: u64,
    pub(super) rejected: u64,
    pub(super) similar: u64,
}

/// When a post that is admitted now expires, in this state.
pub(crate) fn expires_at(settings: &PersonasSettings, state: PostState) -> DateTime<Utc> {
    let kept: Duration = if state == PostState::InReview { settings.review_expires } else { settings.stock_expires };
    clock::now() + TimeDelta::from_std(kept).unwrap_or_default()
}

/// The text of a post of a model as it would be published, and the verdict of the guard.
pub(super) fn verdict(guard: &Guard, spec: &PersonaSpec, post: &ModelText) -> (String, GuardVerdict) {
    let text = guard.without_ways_out(&post.text, None);
    let verdict = guard.long_text(&text, None, spec.max_length.into());
    let verdict = verdict.also(Code::Unclear, !post.is_clear || is_numbered(&text));
    let verdict = verdict.also(Code::Recited, recites(&text, &[&spec.voice(), RULES, REWORDING]));
    (text, verdict)
}

/// Whether a text begins with a number of a list: the topics are asked for by number, and some models answer so.
fn is_numbered(text: &str) -> bool {
    let text = text.strip_prefix("Post ").unwrap_or(text);
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '/');
    rest.len() < text.len() && rest.starts_with(['.', ')', ':']) && rest[1..].starts_with(char::is_whitespace)
}

/// The state in which a post goes on, by its verdict; none when it is rejected.
pub(super) fn next_state(verdict: &GuardVerdict, policy: ReviewPolicy) -> Option<PostState> {
    match (verdict, policy) {
        (GuardVerdict::Pass, ReviewPolicy::None | ReviewPolicy::Flagged) => Some(PostState::Ready),
        (GuardVerdict::Pass | GuardVerdict::Review(_), ReviewPolicy::All)
        | (GuardVerdict::Review(_), ReviewPolicy::Flagged) => Some(PostState::InReview),
        (GuardVerdict::Review(_), ReviewPolicy::None) | (GuardVerdict::Refuse(_), _) => None,
    }
}

/// Decides about every draft of a persona, also those that an earlier attempt has left.
pub(super) async fn judge(
    bot: &Personas,
    name: &perch_jobs::PersonaName,
    spec: &PersonaSpec,
) -> Result<Judged, StoreError> {
    let stock = bot.store.stock();
    let mut judged = Judged::default();
    for draft in stock.drafted(name).await? {
        judge_one(bot, spec, &draft, &mut judged).await?;
    }
    Ok(judged)
}

/// Whether a draft may go into the stock, apart from posts that it is similar to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It may, in this state.
    Fits(PostState, GuardVerdict),
    /// The guard or the policy rejects it, for this reason.
    Rejected(GuardVerdict, String),
}

/// A text as it is stored: a clear one as it would be published, another one with what makes it unclear, for the check of the draft.
pub(crate) fn as_published(guard: &Guard, spec: &PersonaSpec, post: &ModelText) -> String {
    if post.is_clear { verdict(guard, spec, post).0 } else { post.text.clone() }
}

/// Whether a stored draft may go into the stock.
pub(crate) fn standing(guard: &Guard, spec: &PersonaSpec, draft: &StoredDraft) -> Standing {
    // A clear text is stored as it would be published. One in which something is cut now, or before, is not clear.
    let read = text_of(&draft.text);
    let is_clear = read.is_clear && read.text == draft.text;
    let (text, verdict) = verdict(guard, spec, &ModelText { text: draft.text.clone(), is_clear });
    let verdict = verdict.also(Code::Unclear, is_clear && text != draft.text);
    let original = draft.original.as_deref();
    if original.is_some_and(|original| evergreen::repeats(&draft.text, original)) {
        let of = draft.evergreen_of.unwrap_or_default();
        return Standing::Rejected(verdict, format!("it repeats the words of post {of}, which it is to say in others"));
    }
    let adds = original.is_some_and(|original| evergreen::adds_figures(&draft.text, original));
    let verdict = verdict.also(Code::Unclear, adds);
    if let Some(state) = next_state(&verdict, spec.review) {
        return Standing::Fits(state, verdict);
    }
    let reason = verdict.words();
    Standing::Rejected(verdict, reason)
}

async fn judge_one(
    bot: &Personas,
    spec: &PersonaSpec,
    draft: &StoredDraft,
    judged: &mut Judged,
) -> Result<(), StoreError> {
    let stock = bot.store.stock();
    let (state, verdict) = match standing(&bot.guard, spec, draft) {
        Standing::Fits(state, verdict) => (state, verdict),
        Standing::Rejected(verdict, reason) => {
            judged.rejected += 1;
            return stock.reject_draft(draft.id, verdict.reasons(), &reason).await;
        }
    };
    match stock.admit(draft, state, verdict.reasons(), expires_at(&bot.settings, state)).await? {
        Admission::Admitted if state == PostState::Ready => judged.ready += 1,
        Admission::Admitted => judged.in_review += 1,
        Admission::Similar { .. } => judged.similar += 1,
        Admission::Decided => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use perch_safety::{Reason, Rules};
    use serde_json::json;

    use super::*;

    fn spec(more: &serde_json::Value) -> PersonaSpec {
        let mut spec =
            json!({ "account": "main", "prompt": "You are a baker who bakes bread every single morning before dawn." });
        spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        serde_json::from_value(spec).expect("a persona")
    }

    fn judged(text: &str, more: &serde_json::Value) -> (String, GuardVerdict) {
        let guard = Guard::new(&Rules::default()).expect("the lists can be read");
        verdict(&guard, &spec(more), &text_of(text))
    }

    #[test]
    fn ways_out_are_cut_and_what_is_too_long_for_the_persona_is_refused() {
        let (text, verdict) = judged("Rye needs time. #bread @you https://evil.example/x", &json!({}));
        assert_eq!((text.as_str(), &verdict), ("Rye needs time. bread", &GuardVerdict::Pass));
        let (_, verdict) = judged(&"Rye needs time. ".repeat(5), &json!({ "max_length": 60 }));
        assert!(matches!(&verdict, GuardVerdict::Refuse(reasons) if reasons[0].code == Code::TooLong), "{verdict:?}");
    }

    #[test]
    fn a_post_that_tells_the_prompt_or_holds_more_than_a_post_goes_to_a_person() {
        let told = "I am a baker who bakes bread every single morning before dawn.";
        for text in [told, "**Rye** needs time.", "1. Rye needs time.", "Post 2/10: Rye needs time."] {
            let (_, verdict) = judged(text, &json!({}));
            assert!(matches!(verdict, GuardVerdict::Review(_)), "{text}: {verdict:?}");
        }
        let (_, verdict) = judged("3 loaves at 7:30 sharp.", &json!({}));
        assert_eq!(verdict, GuardVerdict::Pass);
    }

    #[test]
    fn what_the_guard_refuses_goes_to_nobody_and_the_policy_decides_about_the_rest() {
        let flagged = GuardVerdict::Review(vec![Reason::whole(Code::Coarse)]);
        let refused = GuardVerdict::Refuse(vec![Reason::whole(Code::Slur)]);
        for policy in [ReviewPolicy::None, ReviewPolicy::Flagged, ReviewPolicy::All] {
            assert_eq!(next_state(&refused, policy), None);
        }
        assert_eq!(next_state(&flagged, ReviewPolicy::None), None);
        assert_eq!(next_state(&flagged, ReviewPolicy::Flagged), Some(PostState::InReview));
        assert_eq!(next_state(&GuardVerdict::Pass, ReviewPolicy::Flagged), Some(PostState::Ready));
        assert_eq!(next_state(&GuardVerdict::Pass, ReviewPolicy::All), Some(PostState::InReview));
    }
}
