use std::time::Duration;

use crate::shortage;

/// What a failed call means for its caller: whether and when to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// A retry may succeed; when is up to the policy of the caller.
    Retry,
    /// Retry after this time, as the other side asks.
    RetryAfter(Duration),
    /// Something it needs is unavailable. The job is snoozed for this time, and no attempt counts.
    Wait(Duration),
    /// A retry cannot succeed.
    Never,
}

/// An error that tells whether a retry can help.
pub trait Classified: std::error::Error + Send + Sync + 'static {
    /// Whether a retry can help.
    fn disposition(&self) -> Disposition;

    /// The disposition for the job that met the error. If this process lacks resources, the job is snoozed and no attempt counts.
    fn for_job(&self) -> Disposition
    where
        Self: Sized,
    {
        match self.disposition() {
            Disposition::Retry | Disposition::RetryAfter(_) if shortage::caused(self) => {
                Disposition::Wait(shortage::PUT_OFF)
            }
            disposition => disposition,
        }
    }
}

/// The message of an error with those of its causes, each once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("a.json: {0}")]
    struct Unreadable(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Start(#[source] Unreadable);

    #[derive(Debug, thiserror::Error)]
    #[error("cannot connect")]
    struct Connect(#[source] io::Error);

    impl Classified for Connect {
        fn disposition(&self) -> Disposition {
            Disposition::Retry
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_shortage_of_this_process_puts_a_job_off_and_costs_no_attempt() {
        let short = Connect(io::Error::from_raw_os_error(libc::EMFILE));
        assert_eq!(short.for_job(), Disposition::Wait(shortage::PUT_OFF));
        assert_eq!(Connect(io::ErrorKind::ConnectionRefused.into()).for_job(), Disposition::Retry);
    }

    #[test]
    fn a_cause_that_the_message_holds_already_is_not_said_twice() {
        let error = Start(Unreadable(io::Error::other("gone")));
        assert_eq!(chain(&error), "cannot start: a.json: gone");
    }
}
