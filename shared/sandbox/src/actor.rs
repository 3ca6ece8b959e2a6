use std::fmt;

use crate::{draw::Draw, question::Question, scene::Scene};

/// The part of a bot in the sandbox: it writes the posts that the bot reads, and answers the bot's questions to models.
///
/// The sandbox calls it with its state locked, so it may not wait for anything. All that it chooses comes from a [`Draw`] or
/// the seed: the same seed plays the same.
pub trait Actor: fmt::Debug + Send + Sync {
    /// Writes the posts of a watched account from before the start of the sandbox.
    fn backlog(&self, _scene: &mut Scene<'_>, _account: &str) {}

    /// Writes the posts of a turn of a watched account.
    fn turn(&self, _scene: &mut Scene<'_>, _turn: &mut Turn<'_>) {}

    /// The answer of a model; `None` where the question is not from this bot.
    fn answer(&self, _question: &Question) -> Option<String> {
        None
    }
}

/// The turn of a watched account. Accounts take turns; in each, every actor may write, in the order in which they were given.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The account whose turn it is.
    pub account: &'a str,
    /// How many turns this account had before. Counted from the epoch, so that a restarted sandbox does not repeat posts.
    pub number: u64,
    /// The random numbers of this turn, shared by its actors.
    pub draw: Draw,
}
