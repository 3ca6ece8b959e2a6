//! Long-running processes: how they start, what they run, how they stop.

mod parts;
mod roles;
mod sandbox;
mod start;
mod stop;

pub use parts::Parts;
pub use roles::{api, metrics, probes, scheduler, worker};
pub use sandbox::{Overlay, keeps_quiet, options, overlay, posts_are, use_named, without_budgets};
pub use start::{Base, Listeners, Logs};
pub use stop::{Stop, on_signals};
