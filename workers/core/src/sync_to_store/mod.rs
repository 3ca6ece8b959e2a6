//! The pool that moves hot state from Redis into Postgres.

mod sync_hot_state;

pub use sync_hot_state::{Synced, sync_hot_state};
