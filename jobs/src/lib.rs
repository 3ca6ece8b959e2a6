//! Job types of Perch: plain data, the rules each kind runs by, and their schemas.
//!
//! This crate does no I/O. Together with the client of `perch-queue` it is all that another
//! Rust service needs to enqueue jobs.

mod kinds;
mod mention;
pub mod odds;
mod own_keys;
mod pick;
mod post;
mod types;

pub use kinds::{
    CollectMetrics, ExtractPost, FetchResults, PollAccount, PollAccounts, PollDueAccounts, PublishPost, PublishSource,
    RetweetPost, SummariseDay, SyncHotState,
};
pub use mention::{Mention, PollMentions, ReplyToMention};
pub use own_keys::{is_own_key, own_key_reason};
pub use perch_job::{
    AccountId, InvalidName, InvalidRetryPolicy, Job, JobId, JobKind, JobState, JobType, JobTypes, PayloadError, PostId,
    Priority, QueueName, RetryPolicy, Unique, UniqueScope, read_payload, strict,
};
pub use pick::{Answer, Bet, Parlay, ParlayTag, Pick, PickError, PickKind, Side};
pub use post::{Media, Post};
pub use types::{mentions_types, picks_types, platform_types, types};
