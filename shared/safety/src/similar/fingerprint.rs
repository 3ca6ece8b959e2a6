use std::collections::BTreeSet;

use thiserror::Error;
use xxhash_rust::xxh64::xxh64;

use super::units::{Unit, signs, units};

/// The version of [`Fingerprint`]s. It changes when the same text gets another fingerprint; stored ones are then computed anew from
/// their texts.
pub const VERSION: u8 = 1;

/// The [`similarity`] from which two texts are near-duplicates.
///
/// A text of `n` different words in which one was replaced, or two neighbours were exchanged, has the similarity
/// (2n − 4) / (2n + 2): it stays a near-duplicate from five words on. Two replaced words are too many for texts of eight words, three
/// for texts of thirteen. A text that is followed by as many new words as it has itself is a near-duplicate no more. Posts that share
/// a frame, such as `Recipe of the day: …, ready in 30 minutes`, stay below as long as most of their words are outside the frame.
///
/// Of the pairs of posts in the tests, in four languages, those that a reader takes for the same have similarities from 0.55 on, the
/// others up to 0.45.
pub const NEAR_DUPLICATE: f64 = 0.5;

/// The most shingles of a fingerprint. A post of 280 units has about 100 at most, except in scripts with very short words; of a longer
/// text the shingles with the smallest hashes are kept, which makes its similarity an estimate with a standard error of 0.03 or less.
pub(super) const KEPT: usize = 256;

/// What is stored of a text to recognize its near-duplicates: a simhash of 8 bytes, and at most 256 hashed shingles of 4 bytes.
///
/// The hash of a shingle is the XXH64 with seed 0 of its UTF-8 bytes, with a space between two words. The shingle is kept as the lower
/// 32 bits. Bit `i` of the simhash is set if bit `i` is set in more than half of the hashes of the different shingles. A text without
/// words has one shingle: all its visible characters.
///
/// The same text has the same fingerprint in every release with the same [`VERSION`]. At most 100,000 bytes of a text are read, as much
/// as the longest post can have, and at most 100,000 characters after normalizing; what follows is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    simhash: u64,
    /// In ascending order; never empty.
    shingles: Box<[u32]>,
}

/// Why stored bytes are not a [`Fingerprint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadFingerprint {
    /// It was stored by another release.
    #[error("the fingerprint has version {0} instead of {VERSION}: compute it anew from its text")]
    Version(u8),
    /// The bytes are cut off or changed.
    #[error("the fingerprint is damaged: compute it anew from its text")]
    Damaged,
}

impl Fingerprint {
    /// The fingerprint of a text.
    pub fn of(text: &str) -> Self {
        let mut hashes = BTreeSet::new();
        let units = units(text);
        for run in units.chunk_by(Unit::is_like) {
            let lengths = if let [Unit::Char(_), _, ..] = run { [2, 3] } else { [1, 2] };
            for shingle in lengths.into_iter().flat_map(|length| run.windows(length)) {
                hashes.insert(hash(shingle));
            }
        }
        if hashes.is_empty() {
            hashes.insert(xxh64(signs(text).as_bytes(), 0));
        }
        let shingles: BTreeSet<u32> = hashes.iter().map(|hash| lower_half(*hash)).collect();
        Self { simhash: simhash(&hashes), shingles: shingles.into_iter().take(KEPT).collect() }
    }

    /// What near-duplicates of a text are searched by: its pairs of adjacent words, in scripts without spaces its runs of three characters,
    /// and everything of parts that are shorter than three; at most 256. Near-duplicates share one, which single words would not need to
    /// say: without a common pair, texts of three words and more have a similarity of 3/7 at most.
    pub fn keys(text: &str) -> Vec<u32> {
        let units = units(text);
        let mut keys = BTreeSet::new();
        for run in units.chunk_by(Unit::is_like) {
            let longest = if let [Unit::Char(_), _, ..] = run { 3 } else { 2 };
            let shortest = if run.len() < 3 { 1.max(longest - 1).min(run.len()) } else { longest };
            for shingle in (shortest..=longest).flat_map(|length| run.windows(length)) {
                keys.insert(lower_half(hash(shingle)));
            }
        }
        if keys.is_empty() {
            keys.insert(lower_half(xxh64(signs(text).as_bytes(), 0)));
        }
        keys.into_iter().take(KEPT).collect()
    }

    /// The simhash, as a Postgres `bigint`. The more alike two texts are, the fewer bits differ: `bit_count((a # b)::bit(64))`.
    ///
    /// It finds copies in a query: texts with the same words in the same order have the same simhash. Beyond that it is coarse, and
    /// [`similarity`] does not use it: those of near-duplicates differ in up to about 16 bits, and those of other short texts in as few.
    pub fn simhash(&self) -> i64 {
        self.simhash.cast_signed()
    }

    /// The fingerprint as bytes: the [`VERSION`], the simhash, and the shingles in ascending order; the numbers in big-endian order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let shingles = self.shingles.iter().flat_map(|shingle| shingle.to_be_bytes());
        [VERSION].into_iter().chain(self.simhash.to_be_bytes()).chain(shingles).collect()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) returned.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadFingerprint> {
        let (version, rest) = bytes.split_first().ok_or(BadFingerprint::Damaged)?;
        if *version != VERSION {
            return Err(BadFingerprint::Version(*version));
        }
        let (simhash, rest) = rest.split_first_chunk().ok_or(BadFingerprint::Damaged)?;
        let (shingles, beyond) = rest.as_chunks();
        let shingles: Box<[u32]> = shingles.iter().map(|shingle| u32::from_be_bytes(*shingle)).collect();
        let is_ascending = shingles.is_sorted_by(|a, b| a < b);
        if !beyond.is_empty() || shingles.is_empty() || shingles.len() > KEPT || !is_ascending {
            return Err(BadFingerprint::Damaged);
        }
        Ok(Self { simhash: u64::from_be_bytes(*simhash), shingles })
    }

    pub(super) fn shingles(&self) -> &[u32] {
        &self.shingles
    }

    #[cfg(test)]
    pub(super) fn with(shingles: impl IntoIterator<Item = u32>) -> Self {
        let shingles: BTreeSet<u32> = shingles.into_iter().collect();
        Self { simhash: 0, shingles: shingles.into_iter().take(KEPT).collect() }
    }
}

/// How alike two texts are, from 0 to 1: the part of their shingles that they share. 1 for texts with the same words in the same order.
///
/// Symmetric. If one of the texts has more than 256 shingles, the 256 smallest of both together are compared.
pub fn similarity(one: &Fingerprint, other: &Fingerprint) -> f64 {
    let (mut one, mut other) = (one.shingles(), other.shingles());
    let is_cut = one.len().max(other.len()) == KEPT;
    let most = if is_cut { KEPT } else { usize::MAX };
    let (mut shared, mut all) = (0_u32, 0_u32);
    while let ([first, rest @ ..], [other_first, other_rest @ ..]) = (one, other) {
        if all as usize == most {
            break;
        }
        all += 1;
        shared += u32::from(first == other_first);
        (one, other) = match first.cmp(other_first) {
            std::cmp::Ordering::Less => (rest, other),
            std::cmp::Ordering::Equal => (rest, other_rest),
            std::cmp::Ordering::Greater => (one, other_rest),
        };
    }
    let left = u32::try_from(one.len() + other.len()).unwrap_or(u32::MAX);
    let all = if is_cut { 256 } else { all + left };
    f64::from(shared) / f64::from(all)
}

/// Whether the texts are near-duplicates: their [`similarity`] is [`NEAR_DUPLICATE`] or more.
pub fn is_near_duplicate(one: &Fingerprint, other: &Fingerprint) -> bool {
    similarity(one, other) >= NEAR_DUPLICATE
}

fn hash(shingle: &[Unit]) -> u64 {
    let mut bytes = String::new();
    for (nth, unit) in shingle.iter().enumerate() {
        if nth > 0 && matches!(unit, Unit::Word(_)) {
            bytes.push(' ');
        }
        unit.push_key(&mut bytes);
    }
    xxh64(bytes.as_bytes(), 0)
}

#[expect(clippy::cast_possible_truncation, reason = "half of the hash is kept")]
fn lower_half(hash: u64) -> u32 {
    hash as u32
}

fn simhash(hashes: &BTreeSet<u64>) -> u64 {
    let is_set = |bit: &u32| 2 * hashes.iter().filter(|hash| *hash >> bit & 1 == 1).count() > hashes.len();
    (0..u64::BITS).filter(is_set).fold(0, |simhash, bit| simhash | 1 << bit)
}
