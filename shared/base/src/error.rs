use std::time::Duration;

/// What a failed call means for whoever called: the part of an error that decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It may work later; the caller's own policy says when.
    Retry,
    /// It will work after this time, the other side says.
    RetryAfter(Duration),
    /// It will never work as it is.
    Never,
}

/// An error that knows whether trying again can help.
pub trait Classified: std::error::Error + Send + Sync + 'static {
    /// Whether trying again can help.
    fn disposition(&self) -> Disposition;
}
