//! The stock: a model writes posts in batches, and each is checked before it may be published.

mod answer;
mod batch;
mod evergreen;
mod judge;
mod prompt;
mod replenish;
mod sample;
pub(crate) mod topics;

pub(crate) use judge::{Standing, as_published, expires_at, standing};
pub(crate) use replenish::not_now;
pub use replenish::{Replenished, replenish_stock};
pub use sample::{SamplePost, sample};
