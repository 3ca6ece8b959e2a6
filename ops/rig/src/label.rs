//! The classes of jobs in the plan and the report, and how each must end.

/// The class of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// A post.
    Post,
    /// A reply.
    Reply,
    /// A post whose effect belongs to another job, done or still to come.
    Repeat,
    /// A retweet.
    Retweet,
    /// A post to be read, which leads to a comment.
    Extract,
    /// A reading of metrics.
    Collect,
    /// Succeeds at once.
    Plain,
    /// Succeeds at once, with high priority.
    High,
    /// Succeeds at once, with low priority.
    Low,
    /// Takes a while.
    Slow,
    /// Runs at a later time.
    Scheduled,
    /// One of several with the same unique key.
    Unique,
    /// Fails a few times.
    Fails,
    /// Fails every time.
    FailsAlways,
    /// Times out a few times.
    Hangs,
    /// Times out every time.
    HangsAlways,
    /// Panics a few times.
    Panics,
    /// Panics every time.
    PanicsAlways,
    /// Aborts its worker a few times.
    Poison,
    /// Aborts its worker every time.
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

/// How a job must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Done.
    Done,
    /// In the dead letters.
    Dead,
    /// Done or dead: faults may use up its attempts.
    Ended,
    /// Done, or cancelled because another job has the same unique key.
    DoneOrReplaced,
}
