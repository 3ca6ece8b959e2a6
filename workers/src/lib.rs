//! The registry: which bots Perch has. A deployment that has one of its own adds it here, or in a program of its own with
//! `perch_cli::main(perch_workers::bots().with(MyBot))`.

use perch_bot::Bots;
use perch_bot_mentions::MentionsBot;
use perch_bot_picks::PicksBot;

/// The bots of Perch.
pub fn bots() -> Bots {
    Bots::default().with(PicksBot).with(MentionsBot)
}
