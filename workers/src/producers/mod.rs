//! What finds work: the pollers of watched accounts.

mod poll_account;
mod poll_accounts;
mod sift;
mod user_ids;

pub use poll_account::{Polled, poll_account};
pub use poll_accounts::{Started, poll_accounts};
pub(crate) use user_ids::UserIds;
