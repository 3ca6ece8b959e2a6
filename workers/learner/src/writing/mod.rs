//! Has a model write candidates, and checks them.

mod answer;
mod judge;
mod prompt;
mod write;

pub(crate) use judge::expires_at;
pub(crate) use write::is_short;
pub use write::{Wrote, write_candidates};
