//! Simulated readers of an account on X, with tastes that nobody is told: what they see, like, answer and pass on, and whom they follow.
//!
//! They serve to measure whether something that learns from readers does learn. Everything is pure: the same seed, post, time and posts
//! before give the same reactions. What is simulated, and from where the figures are:
//!
//! - *Tastes.* Topic, form and hook multiply the rate at which readers react. The best kind differs from the worst by 30 % at most
//!   ([`Options::spread`]). What makes readers follow is a taste of its own.
//! - *Noise.* Reactions to posts of one kind vary 28 times as much as coin tosses over their impressions, so that a median post of 4,060
//!   impressions says as much as 145 coin tosses: measured on 1,300 posts of a real account.
//! - *Rhythm.* Hours and weekdays change how many see a post, and less how many of them react.
//! - *Fatigue.* The same kind again and again earns less, and a second post within two hours reaches half as many, as in the ranking that X
//!   published in August 2026.
//! - *Age.* Most reactions come in the first hours, and none after 48 hours, when X no longer shows a post.
//! - *Drift*, if wanted: on a given day the readers change their minds, and what was the best becomes the worst.
//!
//! ```
//! use perch_readers::{Options, Readers, Shown};
//!
//! let readers = Readers::new(7, Options::default());
//! let shown = Shown::of(&["What would you change about rye bread?"], &["rye"]);
//! let at = "2026-12-01T19:00:00Z".parse().expect("a time");
//! let reactions = readers.reactions(&shown, at, 5_000, &[], 1);
//! assert!(reactions.at_age(chrono::TimeDelta::hours(24)).impressions > 0);
//! ```

mod fatigue;
mod reactions;
mod readers;
mod recognise;
mod rhythm;
mod shown;
mod tastes;

use rand::{SeedableRng as _, rngs::Xoshiro256PlusPlus};

pub use fatigue::Recent;
pub use reactions::{Counts, Reactions};
pub use readers::{Options, Readers};
pub use shown::{Form, Hook, Kind, Shown};

/// The generator behind every seed. It is named rather than "the standard one", which may change with a release of `rand`. The name says what
/// is drawn, so that draws for one thing do not depend on how many another took.
fn generator(seed: u64, name: &str) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed ^ hash(name))
}

/// FNV-1a of 64 bits (Fowler, Noll & Vo), written out because what readers like must not change with a library.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
