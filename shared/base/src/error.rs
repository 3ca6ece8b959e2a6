use std::time::Duration;

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

    #[test]
    fn a_cause_that_the_message_holds_already_is_not_said_twice() {
        let error = Start(Unreadable(io::Error::other("gone")));
        assert_eq!(chain(&error), "cannot start: a.json: gone");
    }
}
