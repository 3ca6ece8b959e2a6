//! What finds work: the pollers of watched accounts and of mentions.

mod poll_account;
mod poll_accounts;
mod poll_mentions;
mod read_mentions;
mod sift;
mod sift_mentions;
mod unread;
mod user_ids;
pub mod watch_list;

pub use poll_account::{Polled, poll_account};
pub use poll_accounts::{Started, poll_accounts, poll_due_accounts};
pub(crate) use poll_mentions::is_blocked;
pub use poll_mentions::{MentionsPolled, poll_mentions};
pub(crate) use user_ids::UserIds;
