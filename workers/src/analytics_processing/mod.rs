//! The pool that watches how published posts do and how picks end.

mod collect_metrics;
mod fetch_results;
mod summarise_day;

pub use collect_metrics::{Collected, collect_metrics};
pub use fetch_results::{Fetched, Refused, fetch_results};
pub use summarise_day::{Summarised, summarise_day};
