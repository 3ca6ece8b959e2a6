//! Decides what is done with a mention and with a reply. Pure functions.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_safety::{Code, GuardVerdict};

use crate::ReviewMode;

/// How a mention, or a reply to it, is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handling {
    /// It proceeds without a person.
    Proceed,
    /// A person decides.
    Review,
    /// It is dropped.
    Drop,
}

/// How a mention is handled. A mention that sounds like a need of help goes to a person, whatever is configured.
pub(super) fn of_mention(verdict: &GuardVerdict, mode: ReviewMode) -> Handling {
    match verdict {
        GuardVerdict::Pass => Handling::Proceed,
        GuardVerdict::Review(_) | GuardVerdict::Refuse(_) if verdict.says(Code::Crisis) => Handling::Review,
        GuardVerdict::Review(_) if mode != ReviewMode::None => Handling::Review,
        GuardVerdict::Review(_) | GuardVerdict::Refuse(_) => Handling::Drop,
    }
}

/// How the last reply of the model is handled. A reply that speaks of a need of help goes to a person, whatever is configured.
pub(super) fn of_reply(verdict: &GuardVerdict, mode: ReviewMode) -> Handling {
    match (verdict, mode) {
        _ if verdict.says(Code::Crisis) => Handling::Review,
        (GuardVerdict::Pass, ReviewMode::None | ReviewMode::Flagged) => Handling::Proceed,
        (_, ReviewMode::None) => Handling::Drop,
        (_, ReviewMode::Flagged | ReviewMode::All) => Handling::Review,
    }
}

/// Whether the model is asked for another reply. It is not where the reply speaks of a need of help, which another wording would hide.
pub(super) fn is_worth_another(verdict: &GuardVerdict) -> bool {
    let flagged = [Code::Repeated, Code::Recited, Code::Unclear].into_iter().any(|code| verdict.says(code));
    let is_bad = matches!(verdict, GuardVerdict::Refuse(_)) || flagged;
    is_bad && !verdict.says(Code::Crisis)
}

/// Whether a text was published lately, apart from punctuation and capitals.
pub(super) fn is_repeated(text: &str, lately: &[String]) -> bool {
    let words =
        |text: &str| -> String { text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect() };
    let mine = words(text);
    !mine.is_empty() && lately.iter().any(|other| words(other) == mine)
}

/// Whether a mention is too old to be answered.
pub(crate) fn is_too_old(created_at: DateTime<Utc>, now: DateTime<Utc>, max_age: Duration) -> bool {
    (now - created_at).to_std().unwrap_or_default() > max_age
}

#[cfg(test)]
mod tests {
    use perch_safety::Reason;

    use super::*;

    fn flagged(code: Code) -> GuardVerdict {
        GuardVerdict::Review(vec![Reason::whole(code)])
    }

    fn refused(code: Code) -> GuardVerdict {
        GuardVerdict::Refuse(vec![Reason::whole(code)])
    }

    #[test]
    fn somebody_in_need_is_never_answered_without_a_person() {
        for mode in [ReviewMode::None, ReviewMode::Flagged, ReviewMode::All] {
            assert_eq!(of_mention(&flagged(Code::Crisis), mode), Handling::Review);
            let both = GuardVerdict::Refuse(vec![Reason::whole(Code::Slur), Reason::whole(Code::Crisis)]);
            assert_eq!(of_mention(&both, mode), Handling::Review);
            assert_eq!(of_reply(&flagged(Code::Crisis), mode), Handling::Review);
            assert_eq!(of_reply(&both, mode), Handling::Review);
            assert!(!is_worth_another(&both));
        }
    }

    #[test]
    fn a_mention_goes_on_is_asked_about_or_ends_as_the_guard_and_the_settings_say() {
        assert_eq!(of_mention(&GuardVerdict::Pass, ReviewMode::All), Handling::Proceed);
        assert_eq!(of_mention(&flagged(Code::BannedTopic), ReviewMode::Flagged), Handling::Review);
        assert_eq!(of_mention(&flagged(Code::BannedTopic), ReviewMode::None), Handling::Drop);
        assert_eq!(of_mention(&refused(Code::Slur), ReviewMode::All), Handling::Drop);
    }

    #[test]
    fn a_reply_goes_out_is_asked_about_or_ends_as_the_guard_and_the_settings_say() {
        assert_eq!(of_reply(&GuardVerdict::Pass, ReviewMode::Flagged), Handling::Proceed);
        assert_eq!(of_reply(&GuardVerdict::Pass, ReviewMode::All), Handling::Review);
        assert_eq!(of_reply(&refused(Code::TooLong), ReviewMode::Flagged), Handling::Review);
        assert_eq!(of_reply(&flagged(Code::Coarse), ReviewMode::None), Handling::Drop);
        assert!(is_worth_another(&refused(Code::Link)) && is_worth_another(&flagged(Code::Repeated)));
        assert!(!is_worth_another(&flagged(Code::Coarse)) && !is_worth_another(&GuardVerdict::Pass));
    }

    #[test]
    fn a_text_is_known_again_whatever_its_signs() {
        let lately = ["Good luck tonight!".to_owned()];
        assert!(is_repeated("good luck, tonight", &lately));
        assert!(!is_repeated("good luck", &lately) && !is_repeated("!!", &["??".to_owned()]));
        assert!(GuardVerdict::Pass.also(Code::Repeated, true).says(Code::Repeated));
        assert_eq!(GuardVerdict::Pass.also(Code::Repeated, false), GuardVerdict::Pass);
    }
}
