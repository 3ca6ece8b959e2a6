//! The bot that reads the picks of watched accounts, has something done about each, and keeps the record of their authors.
//!
//! What reads no clock, no file and no network stands in modules of its own:
//!
//! - [`rules`]: the picks of a post, by rules over common notation.
//! - [`grounded`]: whether an answer stands in its post.
//! - [`normal`]: one spelling for what posts and models spell in many ways.
//! - [`occasion`]: which game the words of a bet mean, by when they were written.
//! - [`score`]: how well answers agree with labelled examples.

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

pub use bot::{Picks, PicksError};
pub use fetch_results::{Fetched, RefusedEntries, fetch_results};
pub use origin::Actions;
pub use picks_bot::PicksBot;
pub use polling::{Polled, poll_account, poll_accounts, poll_due_accounts, watch_list};
pub use settings::{PicksSettings, PictureSettings, ResultsSettings, SummarySettings, TrackingSettings};
pub use summarise_day::{Summarised, summarise_day};
