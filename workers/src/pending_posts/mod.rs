//! The pool that publishes. Nothing here acts but through the effect ledger.

mod decide;
mod permit;
mod publish_post;
mod record;

pub use publish_post::publish_post;
pub use record::Published;
