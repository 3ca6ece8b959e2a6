//! The pool that publishes. Nothing here acts but through the gate and the effect ledger.

mod act;
mod decide;
pub(crate) mod gate;
mod guarded;
mod make_good;
mod once;
mod own_ids;
mod permit;
mod publish_post;
mod record;
mod retweet_post;

pub(crate) use gate::Gate;
pub(crate) use guarded::stopped;
pub use make_good::MadeGood;
pub(crate) use make_good::make_good;
pub(crate) use own_ids::OwnIds;
pub use publish_post::publish_post;
pub use record::Published;
pub use retweet_post::retweet_post;
