//! The poller of mentions.

mod poll_mentions;
mod read_mentions;
mod sift_mentions;

pub use poll_mentions::{MentionsPolled, poll_mentions};
