//! Recognizes posts that say the same in nearly the same words, whichever account they are for.
//!
//! X forbids identical or substantially similar text on several accounts of one operator, and a model that is shown its earlier posts
//! copies them. A [`Fingerprint`] is what two posts are compared by, its [`keys`](Fingerprint::keys) are what the like of a post is searched
//! by among many, and [`opening`] is what goes on the list of beginnings that a model must not use again.
//!
//! # What is compared
//!
//! The words, as a reader takes them: capitals, accents, punctuation, emoji, invisible characters, look-alike letters (also a digit in
//! a word, as in `t0night`) and stretched letters make no difference. Numbers, links, handles at the beginning and hashtags at the end
//! do not count, so that two posts that differ only in these are near-duplicates. A text without words is compared by its characters
//! as a whole. The one gap: Greek capitals `Η`, `Λ`, `Μ`, `Ν` and `Υ` are read as the Latin capitals that they look like, their small
//! letters as others, so that a Greek text in capitals is not the same as in small letters.
//!
//! Only the wording is compared, not the meaning: `The Lakers will win this one tonight` is a near-duplicate of the same sentence with
//! `lose`, and the same statement in other words is not found.
//!
//! # The measure
//!
//! The shingles of a text are its words and its pairs of adjacent words. Japanese, Chinese, Thai, Lao, Khmer and Burmese are written
//! without spaces; their shingles are runs of two and of three characters, about a word and a bit more. [`similarity`] is the Jaccard
//! index of the two sets: shared shingles divided by all. Pairs tell who beats whom; single words keep a short text with one changed
//! word comparable, and give a text of one word a shingle.
//!
//! Two texts are near-duplicates from [`NEAR_DUPLICATE`] on.

mod fingerprint;
mod opening;
mod units;

pub use fingerprint::{Fingerprint, NEAR_DUPLICATE, is_near_duplicate, similarity};
pub use opening::{opening, same_opening};

#[cfg(test)]
mod pairs;
#[cfg(test)]
mod tests;
