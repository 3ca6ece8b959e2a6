//! What the guard says of a text that is handed over for publishing, by a bot, another service, or a person.

use perch_base::settings::GuardMode;
use perch_jobs::PublishPost;
use perch_safety::{Guard, Reason, Verdict};
use perch_store::StoreError;

use crate::Publisher;

/// Why a text does not go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardObjection {
    /// It may not, whoever says so; otherwise a person may let it pass.
    is_refused: bool,
    reasons: Vec<Reason>,
}

impl GuardObjection {
    /// What is against the text.
    pub fn reasons(&self) -> String {
        self.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    /// For the dead letter.
    fn told(&self, account: &str) -> String {
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

/// What the guard stops of a text.
pub fn stopped(guard: &Guard, mode: GuardMode, text: &str) -> Option<GuardObjection> {
    if mode == GuardMode::Off {
        return None;
    }
    match guard.post(text) {
        Verdict::Refuse(reasons) => Some(GuardObjection { is_refused: true, reasons }),
        Verdict::Review(reasons) if mode == GuardMode::All => Some(GuardObjection { is_refused: false, reasons }),
        Verdict::Pass | Verdict::Review(_) => None,
    }
}

/// Why a post does not go out. One that was decided on has been read; what was flagged in it then, a person let pass.
pub(super) async fn objection(publisher: &Publisher, job: &PublishPost) -> Result<Option<String>, StoreError> {
    let mode = publisher.settings.posting_of(&job.account).guard;
    let Some(stopped) = stopped(&publisher.guard, mode, &job.text) else { return Ok(None) };
    if !stopped.is_refused && publisher.is_decided(job).await? {
        return Ok(None);
    }
    Ok(Some(stopped.told(job.account.as_str())))
}

#[cfg(test)]
mod tests {
    use perch_safety::Rules;

    use super::*;

    #[test]
    fn the_settings_say_what_of_the_verdict_counts() {
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
    fn what_is_told_names_what_was_found_and_what_to_do() {
        let guard = Guard::new(&Rules::default()).expect("the lists can be read");
        let told = |text| stopped(&guard, GuardMode::All, text).expect("it is stopped").told("main");
        assert!(told("see bet.com").contains("bet.com") && told("see bet.com").contains("replay"));
        assert!(told("damn").contains("posting.guard = \"refused\""), "{}", told("damn"));
    }
}
