use std::fmt;

use crate::{draw::Draw, question::Question, scene::Scene};

/// What a bot brings to the sandbox: what people write for it to find, and what a model answers to its questions.
///
/// The sandbox calls it with its state locked, so it may not wait for anything. All that it chooses comes from a [`Draw`] or
/// the seed: the same seed plays the same.
pub trait Actor: fmt::Debug + Send + Sync {
    /// Writes what a watched account wrote before the sandbox started.
    fn backlog(&self, _scene: &mut Scene<'_>, _account: &str) {}

    /// Writes what people write in a turn of a watched account.
    fn turn(&self, _scene: &mut Scene<'_>, _turn: &mut Turn<'_>) {}

    /// What a model says to a question; `None` where the question is not one of this bot.
    fn answer(&self, _question: &Question) -> Option<String> {
        None
    }
}

/// The turn of a watched account. Accounts take turns; in each, every actor may write, in the order in which they were given.
#[derive(Debug)]
pub struct Turn<'a> {
    /// Whose turn it is.
    pub account: &'a str,
    /// How many turns this account had before. Counted from the epoch, so that a restarted sandbox goes on with other posts.
    pub number: u64,
    /// The numbers of this turn, which its actors draw one after the other.
    pub draw: Draw,
}
