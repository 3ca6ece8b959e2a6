//! Checks every text that a bot, another service or a person hands over for publishing with the guard.

use perch_base::settings::GuardMode;
use perch_clients::text::{POST_UNITS, post_units};
use perch_jobs::{AccountId, PublishPost};
use perch_safety::{Guard, GuardVerdict, Reason};
use perch_store::StoreError;

use super::decide::too_many_cashtags;
use crate::Publisher;

/// Why the guard stops a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardObjection {
    /// Nobody can let it pass; otherwise a person can.
    is_refused: bool,
    reasons: Vec<Reason>,
}

impl GuardObjection {
    /// The findings in the text, joined by `; `.
    pub fn reasons(&self) -> String {
        self.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    /// The error for the dead letter.
    fn message(&self, account: &str) -> String {
        let reasons = self.reasons();
        if self.is_refused {
            return format!("the guard refuses the text: {reasons}; change it and replay, or discard this");
        }
        format!(
            "the guard flags the text: {reasons}; change it and replay, or let such posts of {account} pass with \
             posting.guard = \"refused\""
        )
    }
}

/// Why the guard stops a text in this mode, if it does.
pub fn stopped(guard: &Guard, mode: GuardMode, text: &str) -> Option<GuardObjection> {
    stopped_within(guard, mode, text, POST_UNITS)
}

/// The same for a text that may weigh `most` units.
fn stopped_within(guard: &Guard, mode: GuardMode, text: &str, most: usize) -> Option<GuardObjection> {
    if mode == GuardMode::Off {
        return None;
    }
    match guard.long_post(text, most) {
        GuardVerdict::Refuse(reasons) => Some(GuardObjection { is_refused: true, reasons }),
        GuardVerdict::Review(reasons) if mode == GuardMode::All => Some(GuardObjection { is_refused: false, reasons }),
        GuardVerdict::Pass | GuardVerdict::Review(_) => None,
    }
}

/// Why the guard stops a post, or X would for its tags. Flagged words do not stop a post that a person has approved.
pub(super) async fn objection(publisher: &Publisher, job: &PublishPost) -> Result<Option<String>, StoreError> {
    if let Some(why) = too_many_cashtags(&job.text) {
        return Ok(Some(why));
    }
    let mode = publisher.settings.posting_of(&job.account).guard;
    let most = post_units(publisher.settings.x.has_long_posts(&job.account));
    let Some(stopped) = stopped_within(&publisher.guard, mode, &job.text, most) else { return Ok(None) };
    if !stopped.is_refused && publisher.is_decided(job).await? {
        return Ok(None);
    }
    Ok(Some(stopped.message(job.account.as_str())))
}

/// Why the guard stops the parts of a thread together, if it does: only for what nobody can let pass, because what is flagged was decided
/// for each part.
pub(super) fn objection_to_whole(publisher: &Publisher, account: &AccountId, text: &str) -> Option<String> {
    let mode = publisher.settings.posting_of(account).guard;
    // Only each part has a length to keep.
    let stopped = stopped_within(&publisher.guard, mode, text, usize::MAX)?;
    stopped.is_refused.then(|| format!("all parts together: {}", stopped.message(account.as_str())))
}

#[cfg(test)]
mod tests {
    use perch_safety::Rules;

    use super::*;

    #[test]
    fn the_mode_decides_which_verdicts_stop_a_text() {
        let guard = Guard::new(&Rules::default()).expect("the lists can be read");
        let is_stopped = |mode, text| stopped(&guard, mode, text).is_some();
        for (text, all, refused) in
            [("Good luck", false, false), ("damn, what a game", true, false), ("bet.com", true, true)]
        {
            assert_eq!(is_stopped(GuardMode::All, text), all, "{text}");
            assert_eq!(is_stopped(GuardMode::Refused, text), refused, "{text}");
            assert!(!is_stopped(GuardMode::Off, text), "{text}");
        }
    }

    #[test]
    fn the_message_names_what_was_found_and_what_to_do() {
        let guard = Guard::new(&Rules::default()).expect("the lists can be read");
        let message = |text| stopped(&guard, GuardMode::All, text).expect("it is stopped").message("main");
        assert!(message("see bet.com").contains("bet.com") && message("see bet.com").contains("replay"));
        assert!(message("damn").contains("posting.guard = \"refused\""), "{}", message("damn"));
    }
}
