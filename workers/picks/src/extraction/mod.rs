//! Extracts picks from posts with a language model, and acts on the new ones.

mod actions;
mod comment;
mod confirm;
mod edits;
mod extract_post;
mod pictures;
mod prefilter;
mod prompt;
mod reading;
mod sighting;

pub use confirm::{ConfirmError, ConfirmedPick, confirm};
pub use edits::Edit;
pub use extract_post::{Extracted, extract_post};
pub use reading::{Reading, read_with};
