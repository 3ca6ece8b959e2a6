//! The pool that has a language model write: replies to mentions. What may go out by itself, what a person decides about and
//! what is dropped is decided here; publishing itself is the business of `pending_posts`.

mod ask;
mod compose;
mod conversation;
mod course;
mod hand_over;
mod prompt;
mod reading;
mod reply_to_mention;
mod review;
mod room;
mod settle;
mod status;

pub(crate) use course::is_too_old;
pub(crate) use hand_over::{hand_over_leftovers, queue_again};
pub use reply_to_mention::{Replied, reply_to_mention};
pub use review::{Approved, ReviewError, approve, reject};
pub(crate) use room::take_room;
pub use settle::settle;
pub use status::{DayStatus, MentionStatus, PollStatus, RateLimit, mention_status};
