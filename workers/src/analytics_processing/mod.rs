//! The pool that watches how published posts do.

mod collect_metrics;

pub use collect_metrics::{Collected, collect_metrics};
