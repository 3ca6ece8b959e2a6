//! The durable queue engine of Perch, on Redis.
//!
//! The life of a job, file by file: `envelope` (what is stored), `keys` (where), `admission` (checks), `transport` (into Redis),
//! `fetch`, `lease`, `finish` (the end of an attempt), `dead`, `schedule` (cron), `inspect` (views for operators), `worker` (the
//! runtime, on apalis). Every change of a job's state is one script in `scripts/`.

#![warn(clippy::missing_errors_doc, reason = "whoever calls an engine has to know what may fail, and what then holds")]

mod admission;
mod app;
mod client;
mod coalesce;
mod coalescer;
mod connection;
mod dead;
mod enqueue;
mod envelope;
mod envelopes;
mod error;
mod event;
mod fetch;
mod finish;
mod inspect;
mod intake;
mod job_filter;
mod job_pages;
mod keys;
mod lease;
mod ledger;
mod limits;
mod member_text;
mod operate;
mod queue;
mod queues;
mod raw_text;
mod redis_clock;
mod redis_pool;
mod rejection;
pub mod request;
mod restore;
mod schedule;
mod scripts;
mod shared_connection;
mod subscription;
#[doc(hidden)]
pub mod testing;
mod transport;

/// The settings of queues, the engine and cron entries, with their defaults.
pub mod settings {
    pub use perch_base::settings::{
        CatchUp, CronSettings, EngineSettings, History, Overlap, PostgresSettings, QueueSettings, Rate, RedisSettings,
    };
}
pub mod worker;

pub use app::{App, AppError};
pub use client::Client;
pub use connection::Connection;
pub use dead::{DeadCursor, DeadLetter, DeadPage, Replay, ReplayOutcome, cause_of};
pub use enqueue::{Acceptance, EnqueueOptions, Enqueued, NewJob, OnConflict};
pub use envelope::{Envelope, EnvelopeError};
pub use error::{EnqueueError, LedgerError, QueueError, WHEN_FULL};
pub use event::{EntryId, EventData, EventKind, JobEvent};
pub use finish::Fail;
pub use inspect::{JobView, QueueStats, WorkerView};
pub use intake::Intake;
pub use job_filter::JobFilter;
pub use job_pages::{JobCursor, JobPage, WaitingList};
pub use keys::Keys;
pub use lease::Lease;
pub use ledger::{Ledger, LedgerJob, LedgerState, RelayState};
pub use limits::{GroupUse, LimitsUse, RateUse};
pub use operate::Cancellation;
pub use perch_base::Environment;
pub use perch_job::{Job, JobId, JobKind, JobState, Priority, QueueName, RetryPolicy, Unique, UniqueScope};
pub use queue::{Queue, WrongTypeKey};
pub use queues::Queues;
pub use redis_pool::Redis;
pub use request::{InvalidField, JobRequest, RetryRequest, UniqueRequest};
pub use restore::LostJob;
pub use schedule::{CronEntry, CronView, TickOutcome};
pub use subscription::Subscription;
