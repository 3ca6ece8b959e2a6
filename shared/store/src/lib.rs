//! What Perch keeps for good: Postgres, the effect ledger, and the way from the hot state in Redis into Postgres.
//!
//! One file a family of tables, the SQL beside the type it fills. [`Store`] is the door to Postgres; [`HotStore`],
//! [`Marks`], [`Places`] and [`RateWindows`] are the hot state in Redis; [`Brake`] stands in both; [`Syncer`] moves the one into the other.

mod accounts;
mod actions;
mod address;
mod api_keys;
mod audit;
mod backup;
mod brake;
mod budgets;
mod effects;
mod error;
mod extractions;
mod happened;
mod history;
mod hot;
mod idempotency;
pub mod json;
mod limits;
mod link;
mod listener;
mod marks;
mod outbox;
mod performance;
mod picks;
mod places;
mod pool;
mod posts;
mod record;
mod recovery;
mod retention;
mod roles;
pub mod row;
mod schema;
mod spend;
mod store;
mod summaries;
mod sync;
mod tracking;

pub use accounts::{AccountChange, AccountRecord, Accounts, PollJob, PollNote, PollOutcome, PollTotals};
pub use actions::{ActionKind, ActionRecord, ActionState};
pub use api_keys::{ApiKey, ApiKeys, KEY_HOLDS, NewApiKey, Scope, UnknownScope};
pub use audit::{Audit, AuditEntry, AuditFilter};
pub use backup::{BackupFacts, Restorable};
pub use brake::{Brake, BrakeState, Braked, CLEAR_FOR, Clear, Term, Way};
pub use budgets::{Allowance, Balance, Budgets, Hold, Reservation, Spent, day, month, next_day, next_month};
pub use effects::{
    ACT_WITHIN, Claim, EffectEvent, EffectEventKind, EffectFilter, EffectIntent, EffectState, Effects, Evidence,
    IN_FLIGHT, KnownEffect, Permit, PermitTerm, Resolution, Resolved, StoredEffect, Takeover, Unrecorded,
    request_digest,
};
pub use error::StoreError;
pub use extractions::{ExtractionRecord, Extractions, PrefilterQuality};
pub use happened::Happened;
pub use history::{AttemptOutcome, AttemptRecord, EventRecord, History, JobRecord};
pub use hot::{Family, HotCopy, HotRecord, HotStore};
pub use idempotency::{IdempotencyKeys, KeptRequest};
pub use limits::{NamedWindow, RateWindow, RateWindows};
pub use listener::{Heard, Listener};
pub use marks::{Marks, PollProgress, PollTally, PostReading, move_forward};
pub use outbox::{Backlog, Batch, Content, Outbox, Waiting};
pub use perch_jobs::JobState;
pub use perch_queue::JobFilter;
pub use performance::{MetricPoint, Performance, PublishedPost};
pub use picks::{PickBody, PickRecord, PickSighting, PickStanding, Picks, pick_key};
pub use places::{KnownAct, PlaceAnswer, PlaceAsk, PlaceKind, Places, PlacesUsed};
pub use pool::{Pool, Session, Tx};
pub use posts::{PostRecord, Posts};
pub use record::Recorded;
pub use recovery::{After, Alone, Recovery, Unfinished, UnfinishedJobs, UnreadableJob};
pub use retention::Pruned;
pub use roles::{BoundRole, OwnRole, Roles};
pub use schema::{MigrationReport, MigrationStep, SchemaState, Tables, schema_fingerprint, schema_version};
pub use spend::{ProviderSpend, Spend, SpendKind, SpendRecord, SpendSum};
pub use store::{Durability, Hearing, OpenError, ServerInfo, Store};
pub use summaries::{DailySummary, Summaries};
pub use sync::{JobNews, News, Reject, RolledBack, StreamLag, StreamReport, SyncReport, Synced, Syncer};
pub use tracking::{
    BetFilter, BetRow, Found, GameRow, PickFilter, PickSettlement, Players, SettleSource, SettledBet, SettledBy,
    SettlementRow, TrackedPick, Tracking, state_word,
};
