//! The bot that reads the picks of watched accounts, has something done about each, and keeps the record of their authors.

mod bot;
mod checks;
mod commands;
pub mod extraction;
mod fetch_results;
mod origin;
mod picks_bot;
mod polling;
mod routes;
mod settings;
pub mod store;
mod summarise_day;
pub mod tracking;

pub use bot::{Picks, PicksError};
pub use fetch_results::{Fetched, Refused, fetch_results};
pub use origin::Actions;
pub use picks_bot::PicksBot;
pub use polling::{Polled, poll_account, poll_accounts, poll_due_accounts, watch_list};
pub use settings::{PicksSettings, PictureSettings, ResultsSettings, SummarySettings, TrackingSettings};
pub use summarise_day::{Summarised, summarise_day};
