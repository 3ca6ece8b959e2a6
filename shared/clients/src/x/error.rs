use std::time::Duration;

use perch_base::{Classified, Disposition};

use super::{Absence, Problem};
use crate::{
    WriteOutcome,
    headers::{UNSTATED_WAIT, clamped},
};

/// Why a call to X failed. `call` is a short name of the request, such as `POST /2/tweets as main`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XError {
    /// The window of the rate limit is used up (429), or was known to be, and nothing was sent.
    #[error("{call}: the rate limit is used up; it resets in {} s", after.as_secs_f64().ceil())]
    RateLimited {
        /// The request.
        call: String,
        /// The time until the window resets: 1 second to a day.
        after: Duration,
    },
    /// The plan's reads or writes of the month, or its credits, are used up.
    #[error(
        "{call}: the usage of the plan is used up ({problem}); raise the cap in X's developer console, then replay"
    )]
    UsageCapped {
        /// The request.
        call: String,
        /// What X says.
        problem: Box<Problem>,
    },
    /// The budget for X is used up. Nothing was sent.
    #[error("{call}: {what}; it waits for the next, or for a higher one under [x.budget]")]
    OverBudget {
        /// The request.
        call: String,
        /// Which budget.
        what: String,
        /// The time until there is a new one.
        after: Duration,
    },
    /// X's rule for replies on self-serve plans, since 2026 (403): only to those who mentioned or quoted the account.
    /// Trying again never helps.
    #[error(
        "{call}: X refuses the reply ({problem}); on a self-serve plan only a post whose author mentioned the account or quoted it may be answered: set x.plan = \"self_serve\" and publish a post of its own instead, or use an Enterprise plan"
    )]
    ReplyNotAllowed {
        /// The request.
        call: String,
        /// What X says.
        problem: Box<Problem>,
    },
    /// The post to reply to, quote or retweet is deleted, or hidden from the account (403).
    #[error(
        "{call}: the post it refers to is deleted or hidden from the account ({problem}); there is nothing to answer"
    )]
    TargetGone {
        /// The request.
        call: String,
        /// What X says.
        problem: Box<Problem>,
    },
    /// The account has posted the same text recently (403), possibly in an earlier attempt of the same effect.
    #[error("{call}: the account has posted this text already ({problem}); look whether that post is the one wanted")]
    DuplicateContent {
        /// The request.
        call: String,
        /// What X says.
        problem: Box<Problem>,
    },
    /// The account has retweeted the post already (400), possibly in an earlier attempt of the same effect.
    #[error("{call}: the account has retweeted the post already ({problem})")]
    AlreadyReposted {
        /// The request.
        call: String,
        /// What X says.
        problem: Box<Problem>,
    },
    /// The permit of the effect was lost before the request was sent: another attempt may be acting. Nothing was sent.
    #[error(
        "{call}: the permit was lost before the request was sent; nothing was sent, and the next attempt asks first"
    )]
    PermitLost {
        /// The request.
        call: String,
    },
    /// X cannot use a file that was uploaded for a post.
    #[error("{call}: X cannot use the file ({reason}); convert it, or give another one")]
    MediaRefused {
        /// The upload.
        call: String,
        /// What X says.
        reason: String,
    },
    /// X had not made an uploaded file ready in time.
    #[error("{call}: X has not made the file ready within {} s; it can be uploaded again", waited.as_secs())]
    MediaPending {
        /// The upload.
        call: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The credentials are not accepted (401).
    #[error("{call}: X does not accept the credentials ({problem}); check {check}")]
    Unauthorized {
        /// The request.
        call: String,
        /// What X says.
        problem: Box<Problem>,
        /// The variables to look at.
        check: String,
    },
    /// The request was signed with a wrong time (401). The next one is signed by the clock of X.
    #[error(
        "{call}: signed by a clock that is {} s off that of X, which refuses it; set the clock of this machine", off.num_seconds()
    )]
    ClockOff {
        /// The request.
        call: String,
        /// How far the clock was ahead.
        off: chrono::TimeDelta,
    },
    /// What the request names does not exist, or is hidden from the caller.
    #[error("{call}: not found ({problem}); check that it exists and that its account is not suspended")]
    NotFound {
        /// The request.
        call: String,
        /// What X says.
        problem: Box<Problem>,
    },
    /// What the request names belongs to a protected account, or one that blocks the caller.
    #[error(
        "{call}: hidden from the caller ({problem}); its account is protected: watch another one, or ask to follow it"
    )]
    Hidden {
        /// The request.
        call: String,
        /// What X says.
        problem: Box<Problem>,
    },
    /// Any other refusal.
    #[error("{call}: refused with status {status} ({problem})")]
    Problem {
        /// The request.
        call: String,
        /// The status of the answer.
        status: u16,
        /// What X says.
        problem: Box<Problem>,
    },
    /// X failed (5xx).
    #[error("{call}: X failed with status {status}; it can be tried again")]
    Server {
        /// The request.
        call: String,
        /// The status of the answer.
        status: u16,
        /// The wait that the answer asks for.
        retry_after: Option<Duration>,
    },
    /// No answer in time.
    #[error("{call}: no {} in time; it can be tried again", if *sent { "answer" } else { "connection" })]
    Timeout {
        /// The request.
        call: String,
        /// Whether X may have read the request.
        sent: bool,
    },
    /// X was never reached.
    #[error("{call}: cannot connect ({reason}); check the network and x.base_url")]
    Connect {
        /// The request.
        call: String,
        /// The innermost reason.
        reason: String,
        /// The error of the connection.
        source: reqwest::Error,
    },
    /// The connection was lost after the request went out.
    #[error("{call}: the connection was lost before the answer ({reason}); whether it took effect is not known")]
    Interrupted {
        /// The request.
        call: String,
        /// The innermost reason.
        reason: String,
        /// The error of the connection.
        source: reqwest::Error,
    },
    /// The answer is not what the description of the API says.
    #[error("{call}: the answer cannot be read ({reason}); check that x.base_url is an X API v2")]
    Decode {
        /// The request.
        call: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The answer is too large to be read.
    #[error("{call}: the answer is over {limit} bytes; check that x.base_url is an X API v2")]
    Oversized {
        /// The request.
        call: String,
        /// The most that is read, in bytes.
        limit: usize,
    },
    /// The request cannot be made from these arguments. Nothing was sent.
    #[error("{call}: {reason}")]
    Invalid {
        /// The request.
        call: String,
        /// What is wrong, and what is right.
        reason: String,
    },
    /// A credential that the call needs is missing or not valid in a header. Nothing was sent.
    #[error("{call}: {variable} is missing or not valid; set it in the environment")]
    NotConfigured {
        /// The request.
        call: String,
        /// The variables to set.
        variable: String,
    },
    /// The client itself cannot be built.
    #[error("cannot set up the X client: {reason}")]
    Setup {
        /// What is wrong, and what to do.
        reason: String,
    },
}

impl XError {
    /// What is known about a write that ended with this error.
    ///
    /// [`WriteOutcome::NotDone`] is about this one call: a refused duplicate, for example, may mean that an earlier call of the same
    /// effect, whose outcome is unknown, has succeeded. 503 counts as not done, because X rejects the request; 500, 502 and 504 may
    /// come after the request took effect.
    pub fn write_outcome(&self) -> WriteOutcome {
        match self {
            Self::RateLimited { .. }
            | Self::OverBudget { .. }
            | Self::UsageCapped { .. }
            | Self::ReplyNotAllowed { .. }
            | Self::TargetGone { .. }
            | Self::DuplicateContent { .. }
            | Self::AlreadyReposted { .. }
            | Self::PermitLost { .. }
            | Self::Unauthorized { .. }
            | Self::ClockOff { .. }
            | Self::NotFound { .. }
            | Self::Hidden { .. }
            | Self::MediaRefused { .. }
            | Self::MediaPending { .. }
            | Self::Server { status: 503, .. }
            | Self::Timeout { sent: false, .. }
            | Self::Connect { .. }
            | Self::Invalid { .. }
            | Self::NotConfigured { .. }
            | Self::Setup { .. } => WriteOutcome::NotDone,
            Self::Problem { status, .. } if (400..500).contains(status) && *status != 408 => WriteOutcome::NotDone,
            Self::Problem { .. }
            | Self::Server { .. }
            | Self::Timeout { sent: true, .. }
            | Self::Interrupted { .. }
            | Self::Decode { .. }
            | Self::Oversized { .. } => WriteOutcome::Unknown,
        }
    }

    /// Whether a write that ended with this error certainly did not happen.
    pub fn outcome_known(&self) -> bool {
        self.write_outcome() == WriteOutcome::NotDone
    }
}

impl Classified for XError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::RateLimited { after, .. } | Self::Server { retry_after: Some(after), .. } => {
                Disposition::RetryAfter(clamped(*after))
            }
            Self::OverBudget { after, .. } => Disposition::Wait(*after),
            Self::Server { retry_after: None, .. }
            | Self::Timeout { .. }
            | Self::Connect { .. }
            | Self::Interrupted { .. }
            | Self::Decode { .. }
            | Self::Oversized { .. }
            | Self::PermitLost { .. }
            | Self::ClockOff { .. }
            | Self::MediaPending { .. }
            | Self::Problem { status: 408, .. } => Disposition::Retry,
            Self::UsageCapped { .. }
            | Self::ReplyNotAllowed { .. }
            | Self::TargetGone { .. }
            | Self::DuplicateContent { .. }
            | Self::AlreadyReposted { .. }
            | Self::Unauthorized { .. }
            | Self::NotFound { .. }
            | Self::Hidden { .. }
            | Self::MediaRefused { .. }
            | Self::Problem { .. }
            | Self::Invalid { .. }
            | Self::NotConfigured { .. }
            | Self::Setup { .. } => Disposition::Never,
        }
    }
}

/// The facts about a request on which the meaning of a refusal depends.
pub(super) struct RefusalContext {
    /// A short name of the request.
    pub(super) call: String,
    /// Whether it is a reply.
    pub(super) reply: bool,
    /// The variables to check when the credentials are not accepted.
    pub(super) check: String,
}

/// The error for an answer other than 2xx. `wait` is the wait that its headers ask for.
pub(super) fn refusal(asked: RefusalContext, status: u16, problem: Problem, wait: Option<Duration>) -> XError {
    let RefusalContext { call, reply, check } = asked;
    let said = problem.detail.to_lowercase();
    let absence = problem.absence();
    let capped = status == 402 || (matches!(status, 403 | 429) && problem.name() == "usage-capped");
    let problem = Box::new(problem);
    match status {
        _ if capped => XError::UsageCapped { call, problem },
        401 => XError::Unauthorized { call, problem, check },
        400 | 403 if said.contains("already retweeted") => XError::AlreadyReposted { call, problem },
        403 if said.contains("duplicate content") => XError::DuplicateContent { call, problem },
        403 if said.contains("deleted or not visible") => XError::TargetGone { call, problem },
        403 if reply && said.contains("reply") => XError::ReplyNotAllowed { call, problem },
        403 if absence == Absence::Hidden => XError::Hidden { call, problem },
        404 => XError::NotFound { call, problem },
        429 => XError::RateLimited { call, after: wait.unwrap_or(UNSTATED_WAIT) },
        500.. => XError::Server { call, status, retry_after: wait },
        _ => XError::Problem { call, status, problem },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, kind: &str, detail: &str, reply: bool) -> XError {
        let asked =
            RefusalContext { call: "POST /2/tweets as main".into(), reply, check: "X_MAIN_ACCESS_TOKEN".into() };
        let problem = Problem { kind: kind.into(), detail: detail.into(), ..Problem::default() };
        refusal(asked, status, problem, None)
    }

    #[test]
    fn refusals_are_never_repeated_and_failures_are() {
        for status in [400, 401, 402, 403, 404, 409, 301] {
            assert_eq!(refused(status, "about:blank", "", false).disposition(), Disposition::Never, "{status}");
        }
        for status in [500, 502, 503, 504, 408] {
            assert_eq!(refused(status, "about:blank", "", false).disposition(), Disposition::Retry, "{status}");
        }
        let limited = refused(429, "about:blank", "Too Many Requests", false);
        assert_eq!(limited.disposition(), Disposition::RetryAfter(UNSTATED_WAIT));
    }

    #[test]
    fn a_write_is_known_not_done_only_where_x_turned_it_away() {
        for (status, outcome) in [
            (400, WriteOutcome::NotDone),
            (403, WriteOutcome::NotDone),
            (429, WriteOutcome::NotDone),
            (503, WriteOutcome::NotDone),
            (302, WriteOutcome::Unknown),
            (408, WriteOutcome::Unknown),
            (500, WriteOutcome::Unknown),
            (502, WriteOutcome::Unknown),
            (504, WriteOutcome::Unknown),
        ] {
            assert_eq!(refused(status, "about:blank", "", false).write_outcome(), outcome, "{status}");
        }
    }

    #[test]
    fn a_reply_rule_is_only_read_into_the_refusal_of_a_reply() {
        let detail = "Reply to this conversation is not allowed because you have not been mentioned";
        assert!(matches!(refused(403, "about:blank", detail, true), XError::ReplyNotAllowed { .. }));
        assert!(matches!(refused(403, "about:blank", detail, false), XError::Problem { status: 403, .. }));
    }

    #[test]
    fn a_reply_to_a_post_that_is_gone_is_not_taken_for_a_breach_of_the_reply_rule() {
        let detail = "You attempted to reply to a Tweet that is deleted or not visible to you.";
        let error = refused(403, "about:blank", detail, true);
        assert!(matches!(error, XError::TargetGone { .. }), "{error:?}");
        assert_eq!((error.disposition(), error.write_outcome()), (Disposition::Never, WriteOutcome::NotDone));
    }

    #[test]
    fn a_protected_account_is_told_from_a_call_that_is_not_allowed() {
        let kind = "https://api.x.com/2/problems/not-authorized-for-resource";
        let hidden = refused(403, kind, "Sorry, you are not authorized to see the user with id: [7].", false);
        assert!(matches!(hidden, XError::Hidden { .. }), "{hidden:?}");
        assert!(matches!(refused(403, "about:blank", "", false), XError::Problem { status: 403, .. }));
        assert!(matches!(refused(401, kind, "", false), XError::Unauthorized { .. }));
    }

    #[test]
    fn a_second_repeat_is_told_from_a_request_that_is_wrong() {
        let detail = "One or more parameters to your request was invalid.; You cannot retweet a Tweet that you have already retweeted.";
        let error = refused(400, "about:blank", detail, false);
        assert!(matches!(error, XError::AlreadyReposted { .. }), "{error:?}");
        assert_eq!(error.write_outcome(), WriteOutcome::NotDone);
    }

    #[test]
    fn a_used_up_plan_is_told_from_a_used_up_window() {
        let kind = "https://api.x.com/2/problems/usage-capped";
        let error = refused(429, kind, "Usage cap exceeded: Monthly product cap", false);
        assert!(matches!(error, XError::UsageCapped { .. }));
        assert_eq!(error.disposition(), Disposition::Never);
    }
}
