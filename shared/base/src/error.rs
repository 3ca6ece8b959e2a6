use std::time::Duration;

use crate::shortage;

/// What a failed call means for whoever called: the part of an error that decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It may work later; the caller's own policy says when.
    Retry,
    /// It will work after this time, the other side says.
    RetryAfter(Duration),
    /// What it needs is away, through no fault of the job. It is put off for this time, which costs no attempt.
    Wait(Duration),
    /// It will never work as it is.
    Never,
}

/// An error that knows whether trying again can help.
pub trait Classified: std::error::Error + Send + Sync + 'static {
    /// Whether trying again can help.
    fn disposition(&self) -> Disposition;

    /// What it means for the job that met it. A shortage of this process is no failure of the job: it waits, and no attempt
    /// counts.
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

/// An error with its causes, each once.
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
