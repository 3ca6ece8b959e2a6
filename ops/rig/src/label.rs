//! What jobs are called in the plan and in the books, and how each has to end.

/// What kind of trouble a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// A post.
    Post,
    /// A reply.
    Reply,
    /// A post whose effect another job has had or is about to have.
    Repeat,
    /// A retweet.
    Retweet,
    /// A post to be read, which leads to a comment.
    Extract,
    /// A reading of metrics.
    Collect,
    /// Succeeds at once.
    Plain,
    /// Succeeds at once, and goes before others.
    High,
    /// Succeeds at once, and goes after others.
    Low,
    /// Takes a while.
    Slow,
    /// Not before its time.
    Scheduled,
    /// One of several with the same key.
    Unique,
    /// Fails a few times.
    Fails,
    /// Fails for ever.
    FailsAlways,
    /// Takes too long a few times.
    Hangs,
    /// Takes too long for ever.
    HangsAlways,
    /// Panics a few times.
    Panics,
    /// Panics for ever.
    PanicsAlways,
    /// Takes its worker with it a few times.
    Poison,
    /// Takes every worker with it.
    PoisonAlways,
}

impl Label {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Reply => "reply",
            Self::Repeat => "post, enqueued again",
            Self::Retweet => "retweet",
            Self::Extract => "extraction",
            Self::Collect => "metrics",
            Self::Plain => "plain",
            Self::High => "high priority",
            Self::Low => "low priority",
            Self::Slow => "slow",
            Self::Scheduled => "scheduled",
            Self::Unique => "unique",
            Self::Fails => "fails at first",
            Self::FailsAlways => "always fails",
            Self::Hangs => "times out at first",
            Self::HangsAlways => "always times out",
            Self::Panics => "panics at first",
            Self::PanicsAlways => "always panics",
            Self::Poison => "aborts at first",
            Self::PoisonAlways => "always aborts",
        }
    }
}

/// How a job has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Done.
    Done,
    /// In the dead letters.
    Dead,
    /// Either: it may be out of luck too often.
    Ended,
    /// Done, or cancelled because another has the same key.
    DoneOrReplaced,
}
