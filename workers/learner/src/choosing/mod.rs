//! Chooses a candidate for each slot, and hands it over to be published.

mod choose;
mod hand_over;
mod score;

pub(crate) use choose::{MOST_LESSONS, Taught, seed_of};
pub(crate) use hand_over::hand_over_leftovers;
pub use score::{Scored, score_candidates};
