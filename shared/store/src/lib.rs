//! The durable state of Perch: Postgres, the effect ledger, and the sync from the hot state in Redis into Postgres.
//!
//! There is one file for each family of tables, with the SQL next to the type it fills. [`Store`] gives access to Postgres;
//! [`HotStore`], [`Places`] and [`RateWindows`] are the hot state in Redis; [`Brake`] is in both; [`Syncer`] moves Redis into Postgres.

mod actions;
mod address;
mod api_keys;
mod audit;
mod backup;
mod brake;
mod budgets;
mod connection;
mod effects;
mod error;
mod families;
mod history;
mod hot;
mod idempotency;
pub mod json;
mod limits;
mod listener;
mod outbox;
mod performance;
mod places;
mod pool;
mod queue_events;
mod record;
mod recovery;
mod retention;
mod roles;
pub mod row;
mod schema;
mod since_id;
mod spend;
mod sql;
mod store;
mod sync;
mod tables;
mod texts;

crate::statements!();

pub use actions::{ActionKind, ActionRecord, ActionState, Actions};
pub use api_keys::{ApiKey, ApiKeys, KEY_HOLDS, NewApiKey, Scope, UnknownScope};
pub use audit::{Audit, AuditEntry, AuditFilter};
pub use backup::{BackupFacts, Restorable};
pub use brake::{
    Brake, BrakeCheck, BrakeClearance, BrakeOutcome, BrakeScope, BrakeState, Brakes, CLEAR_FOR, TimeLimit,
    UnknownBrakeScope,
};
pub use budgets::{
    Allowance, Balance, BudgetRefusal, Budgets, Reservation, SpendLimit, day, month, next_day, next_month,
};
pub use effects::{
    ACT_WITHIN, Claim, EffectEvent, EffectEventKind, EffectFilter, EffectIntent, EffectState, Effects, Evidence,
    IN_FLIGHT, KnownEffect, Permit, PermitDeadline, Resolution, ResolveOutcome, StoredEffect, Takeover,
    UnrecordedEffect, request_digest,
};
pub use error::StoreError;
pub use history::{AttemptOutcome, AttemptRecord, EventRecord, History, JobRecord};
pub use hot::{HotCopy, HotRecord, HotStore};
pub use idempotency::{IdempotencyKeys, IdempotentRequest};
pub use limits::{NamedWindow, RateWindow, RateWindows};
pub use listener::{Listener, Notification};
pub use outbox::{HeldRow, Outbox, OutboxBacklog, OutboxBatch, OutboxContent, OutboxEntry};
pub use perch_jobs::JobState;
pub use perch_queue::JobFilter;
pub use performance::{MetricPoint, Performance, PublishedPost};
pub use places::{KnownAct, PlaceAnswer, PlaceKind, PlaceRequest, Places, PlacesUsed, THREE_HOURS};
pub use pool::{Pool, Session, Tx};
pub use queue_events::QueueEvent;
pub use record::{Families, Recorded, execute_json, millis};
pub use recovery::{Recovery, RecoveryCursor, RecoveryLock, UnfinishedJob, UnfinishedPage, UnreadableJob};
pub use retention::Pruned;
pub use roles::{BoundRole, OwnRole, Roles};
pub use schema::{MigrationReport, MigrationStep, SchemaState, schema_version};
pub use since_id::move_forward;
pub use spend::{ProviderSpend, Spend, SpendKind, SpendRecord, SpendSum};
#[doc(hidden)]
pub use sql::is_known;
pub use store::{Durability, NotificationRoute, OpenError, ServerInfo, Store};
pub use sync::{
    RolledBack, StreamLag, StreamReport, SyncReject, SyncReport, SyncedPosition, Syncer, UnsyncedEvents, UnsyncedJob,
};
pub use tables::Tables;
pub use texts::{AccountTexts, NewText, OtherText};
