//! The bot that answers mentions: it reads them, has a language model write a reply, and lets a person decide where it must.

mod blocked;
mod bot;
mod mentions_bot;
mod origin;
mod polling;
mod replying;
mod settings;

pub use bot::{Mentions, MentionsError};
pub use mentions_bot::MentionsBot;
pub use origin::Replies;
pub use polling::{MentionsPolled, poll_mentions};
pub use replying::{
    Approved, DayStatus, MentionStatus, PollStatus, RateLimit, Replied, ReviewError, approve, mention_status, reject,
    reply_to_mention, settle,
};
pub use settings::{MentionsSettings, ReviewMode};
