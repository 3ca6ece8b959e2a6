//! Tells errors of X that describe the account from failures of the poll. Decisions only; no I/O.

use perch_clients::XError;
use perch_core::x_failed;
use perch_queue::Fail;

use crate::store::PollOutcome;

/// Why a poll got no posts.
#[derive(Debug)]
pub(super) enum PollError {
    /// Nobody can read the account at present: its state, and what X said.
    Account(PollOutcome, String),
    /// The poll failed.
    Failed(Fail),
}

impl<E: Into<Fail>> From<E> for PollError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What an error of X means for the poll of an account.
pub(super) fn poll_error(error: XError) -> PollError {
    match state(&error) {
        Some(outcome) => PollError::Account(outcome, error.to_string()),
        None => PollError::Failed(x_failed(error)),
    }
}

/// The state of the account according to an error. Errors about the caller, such as invalid credentials or a plan that does not cover
/// the call, say nothing about the account.
fn state(error: &XError) -> Option<PollOutcome> {
    match error {
        XError::Hidden { .. } => Some(PollOutcome::Protected),
        XError::NotFound { problem, .. } if problem.detail.to_lowercase().contains("suspended") => {
            Some(PollOutcome::Suspended)
        }
        XError::NotFound { .. } => Some(PollOutcome::NotFound),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use perch_clients::x::Problem;

    use super::*;

    fn problem(name: &str, detail: &str) -> Problem {
        let kind = format!("https://api.twitter.com/2/problems/{name}");
        Problem { kind, detail: detail.into(), ..Problem::default() }
    }

    #[test]
    fn what_x_says_of_an_account_is_told_from_what_it_says_of_the_caller() {
        let call = || "GET /2/users/12/tweets".to_owned();
        let gone =
            XError::NotFound { call: call(), problem: problem("resource-not-found", "Could not find user").into() };
        assert_eq!(state(&gone), Some(PollOutcome::NotFound));
        let detail = "User has been suspended: [sharp_sally].";
        let suspended = XError::NotFound { call: call(), problem: problem("resource-not-found", detail).into() };
        assert_eq!(state(&suspended), Some(PollOutcome::Suspended));
        let detail = "Sorry, you are not authorized to see the user with id: [12].";
        let protected = XError::Hidden { call: call(), problem: problem("not-authorized-for-resource", detail).into() };
        assert_eq!(state(&protected), Some(PollOutcome::Protected));
        let plan =
            XError::Problem { call: call(), status: 403, problem: problem("client-forbidden", "not enrolled").into() };
        assert_eq!(state(&plan), None);
        let down = XError::Server { call: call(), status: 503, retry_after: None };
        assert_eq!(state(&down), None);
    }
}
