//! The registry: which bots a deployment has, and the handlers of their jobs.

mod handlers;

pub use handlers::{SetUpError, amends, deps, handlers};
