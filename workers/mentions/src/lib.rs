//! The bot that answers mentions: it reads them, has a language model write a reply, and asks a person where needed.

mod blocked;
mod bot;
mod commands;
mod mentions_bot;
mod origin;
mod polling;
mod replying;
mod routes;
mod settings;
mod store;

perch_store::statements!();

pub use bot::{Mentions, MentionsError};
pub use mentions_bot::MentionsBot;
pub use origin::Replies;
pub use polling::{MentionsPolled, poll_mentions};
pub use replying::{
    ApprovedReply, DayStatus, MentionStatus, PollStatus, RateLimit, ReplyOutcome, ReviewError, approve, mention_status,
    reject, reply_to_mention, settle,
};
pub use settings::{MentionsSettings, ReviewMode};
pub use store::{
    BlockedUser, Decision, MentionControl, MentionCounts, MentionFilter, MentionPoll, MentionRecord, MentionState,
    MentionStore, MentionSwitches, MentionTable, ReplyPlace, Review, ReviewFilter, ReviewOutcome, ReviewState,
    ReviewTable, SeenMention, SettledMentions, WrittenReply,
};
