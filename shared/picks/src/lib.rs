//! What can be said of a pick without asking anybody: what its odds mean, how it ended, what it earned, and how good its
//! author is. Pure functions over the types of `perch-jobs`; nothing here reads a clock, a file or a network.
//!
//! - [`odds`]: American, decimal and fractional odds, each in terms of the others.
//! - [`grounded`]: whether an answer stands in its post.
//! - [`normal`]: one spelling for what posts and models spell in many ways.
//! - [`occasion`]: which game the words of a bet mean, by when they were written.
//! - [`settle`]: how a bet ended, and the units it won or lost.
//! - [`record`]: the record of an account, a sport, a market or a month.
//! - [`rules`]: the picks of a post, by rules over common notation.
//! - [`score`]: how well answers agree with labelled examples.

pub mod grounded;
pub mod normal;
pub mod occasion;
pub mod record;
pub mod rules;
pub mod score;
pub mod settle;

pub use perch_jobs::odds;
