//! The pools that do the work, the producers that make it, and the HTTP API through which others ask for it.

pub mod api;

pub mod analytics_processing;
pub mod extraction;
mod follow_up;
pub mod generation;
mod handlers;
pub mod limits;
pub mod look_up;
mod models;
mod outcome;
pub mod pending_posts;
pub mod producers;
pub mod recovery;
pub mod relay;
pub mod scheduler;
mod services;
pub mod spending;
pub mod sync_to_store;
pub mod tracking;

pub use handlers::handlers;
pub use models::Tried;
pub use services::{Services, ServicesError};
