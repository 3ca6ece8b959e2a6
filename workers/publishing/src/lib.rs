//! Publishing: everything that a bot publishes goes through the guard, the gate and the effect ledger. The metrics of published posts
//! are collected here too.

mod absence;
mod act;
mod attempt;
mod collect_metrics;
mod decide;
mod delete_post;
mod gate;
mod guarded;
pub mod limits;
mod media;
mod once;
mod permit;
mod publish_post;
mod publish_thread;
mod publisher;
mod reconcile;
mod record;
mod retweet_post;
mod without_redis;

pub use absence::Absence;
pub use collect_metrics::{Collected, Metrics, collect_metrics};
pub use delete_post::delete_post;
pub use guarded::{GuardObjection, stopped};
pub use publish_post::publish_post;
pub use publish_thread::{PublishedThread, publish_thread};
pub use publisher::{ActOrigin, Origin, Publisher};
pub use reconcile::reconciler;
pub use record::Published;
pub use retweet_post::retweet_post;
pub use without_redis::WithoutRedis;
