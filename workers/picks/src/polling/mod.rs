//! Polls the watched accounts for new posts.

mod poll_account;
mod poll_accounts;
mod poll_error;
mod sift;
mod user_ids;
pub mod watch_list;

pub use poll_account::{Polled, poll_account};
pub use poll_accounts::{poll_accounts, poll_due_accounts};
pub(crate) use user_ids::UserIds;
