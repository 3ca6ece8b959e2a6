//! Replies to mentions, written by a language model. It is decided here whether a reply is published, reviewed by a person or dropped;
//! jobs in `pending_posts` publish it.

mod ask;
mod compose;
mod conversation;
mod hand_over;
mod handling;
mod prompt;
mod reply_place;
mod reply_to_mention;
mod review;
mod settle;
mod status;

pub(crate) use hand_over::{hand_over_leftovers, queue_again};
pub(crate) use handling::is_too_old;
pub(crate) use reply_place::take_place;
pub use reply_to_mention::{ReplyOutcome, reply_to_mention};
pub use review::{ApprovedReply, ReviewError, approve, reject};
pub use settle::settle;
pub use status::{DayStatus, MentionStatus, PollStatus, RateLimit, mention_status};
