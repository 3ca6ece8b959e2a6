//! The registry of Perch's bots. A deployment with another bot adds it here, or in its own program with
//! `perch_cli::main(perch_workers::bots().with(MyBot))`.

use perch_bot::Bots;
use perch_bot_learner::LearnerBot;
use perch_bot_mentions::MentionsBot;
use perch_bot_personas::PersonasBot;
use perch_bot_picks::PicksBot;

/// The bots of Perch.
pub fn bots() -> Bots {
    Bots::default().with(PicksBot).with(MentionsBot).with(PersonasBot).with(LearnerBot)
}
