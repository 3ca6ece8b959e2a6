//! Job types of Perch: plain data, the rules each kind runs by, and their schemas.
//!
//! This crate does no I/O. Together with the client of `perch-queue` it is all that another
//! Rust service needs to enqueue jobs.

mod learner;
mod mentions;
mod own_keys;
mod persona_name;
mod personas;
mod picks;
mod platform;
mod post;

pub use learner::{ReadAudience, RunLearner, ScoreCandidates, WriteCandidates, learner_types};
pub use mentions::{Mention, PollMentions, ReplyToMention, mentions_types};
pub use own_keys::{is_own_key, own_key_reason};
pub use perch_job::{
    AccountId, InvalidName, InvalidRetryPolicy, Job, JobId, JobKind, JobState, JobType, JobTypes, PayloadError, PostId,
    Priority, QueueName, RetryPolicy, Unique, UniqueScope, read_payload, strict,
};
pub use persona_name::{InvalidPersonaName, PersonaName};
pub use personas::{ReplenishStock, RunPersonas, personas_types};
pub use picks::{
    Bet, ExtractPost, ExtractedBets, FetchResults, Parlay, ParlayTag, Pick, PickError, PickKind, PollAccount,
    PollAccounts, PollDueAccounts, Side, SummariseDay, odds, picks_types,
};
pub use platform::{
    CollectMetrics, DeletePost, HalfThread, PublishPost, PublishSource, PublishThread, RetweetPost, SyncHotState,
    platform_types,
};
pub use post::{Media, Post};

/// All job types of Perch, for producers.
pub fn types() -> JobTypes {
    learner_types(personas_types(mentions_types(picks_types(platform_types()))))
}
