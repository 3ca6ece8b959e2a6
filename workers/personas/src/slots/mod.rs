//! Slots: the times at which a persona posts, each filled once with a post of its stock.

mod due;
mod hand_over;
mod run;

pub use run::{PersonasRun, run_personas};
