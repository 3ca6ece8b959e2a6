//! What learning gains: the policies of production on accounts with simulated readers, whose tastes are known here and hidden from them.
//!
//! Planning, choosing and rewarding are the code that runs in production; only readers, texts and the clock are simulated. The same options
//! give the same report.

#![expect(clippy::cast_precision_loss, reason = "counts of posts and followers stay far below 2^52")]

mod account;
mod display;
mod experiment;
mod report;
mod summary;
mod svg;
mod texts;
mod world;

pub use account::{Account, Chooser, Published};
pub use experiment::{Options, in_parallel, run};
pub use report::{AFTER_CHANGE, Change, Followers, Gain, LOOKED_AT, Quartiles, Report, SeedReport, WINDOW, Week};
pub use world::{World, usual_arms};
