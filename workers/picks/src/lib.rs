//! The bot that reads the picks of watched accounts, acts on each new one, and keeps the record of their authors.
//!
//! These modules read no clock, no file and no network:
//!
//! - [`rules`]: the picks of a post, by rules over common notation.
//! - [`grounded`]: whether a model's answer is supported by its post.
//! - [`normal`]: one spelling for what posts and models spell in many ways.
//! - [`occasion`]: which game a bet is about, by when it was posted.
//! - [`score`]: how well answers match labelled examples.

mod bot;
mod checks;
mod commands;
pub mod extraction;
mod fetch_results;
pub mod grounded;
pub mod normal;
pub mod occasion;
mod origin;
mod picks_bot;
mod polling;
mod routes;
pub mod rules;
pub mod score;
mod settings;
pub mod store;
mod summarise_day;
pub mod tracking;

perch_store::statements!();

pub use bot::{Picks, PicksError};
pub use fetch_results::{Fetched, RefusedEntries, fetch_results};
pub use origin::Actions;
pub use picks_bot::PicksBot;
pub use polling::{Polled, poll_account, poll_accounts, poll_due_accounts, watch_list};
pub use settings::{PicksSettings, PictureSettings, ResultsSettings, SummarySettings, TrackingSettings};
pub use summarise_day::{Summarised, summarise_day};
