use std::collections::BTreeSet;

use xxhash_rust::xxh64::xxh64;

use super::units::{Unit, signs, units};

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

/// What a text is compared by: its hashed shingles, at most 256.
///
/// The hash of a shingle is the XXH64 with seed 0 of its UTF-8 bytes, with a space between two words, of which the lower 32 bits are kept. A
/// text without words has one shingle: all its visible characters. At most 100,000 bytes of a text are read, as much as the longest post
/// can have, and at most 100,000 characters after normalizing; what follows is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// In ascending order; never empty.
    shingles: Box<[u32]>,
}

impl Fingerprint {
    /// The fingerprint of a text.
    pub fn of(text: &str) -> Self {
        let mut hashes = BTreeSet::new();
        let units = units(text);
        for run in units.chunk_by(Unit::is_like) {
            for shingle in lengths(run).into_iter().flat_map(|length| run.windows(length)) {
                hashes.insert(hash(shingle));
            }
        }
        if hashes.is_empty() {
            hashes.insert(xxh64(signs(text).as_bytes(), 0));
        }
        let shingles: BTreeSet<u32> = hashes.iter().map(|hash| lower_half(*hash)).collect();
        Self { shingles: shingles.into_iter().take(KEPT).collect() }
    }

    /// What near-duplicates of a text are searched by, at most 256: its pairs of adjacent words, in scripts without spaces its runs of three
    /// characters. Near-duplicates share one: without a common pair, of `n` words at most n / (3n − 2) of the shingles are common, which is
    /// less than half from three words on. Of parts with fewer the single words count too.
    ///
    /// Keys are stored. A release that changes them brings a migration that computes them anew.
    pub fn keys(text: &str) -> Vec<u32> {
        let units = units(text);
        let mut keys = BTreeSet::new();
        for run in units.chunk_by(Unit::is_like) {
            let [short, long] = lengths(run);
            let hashes =
                |length| run.windows(length).map(|shingle| lower_half(hash(shingle))).collect::<BTreeSet<u32>>();
            let short = hashes(short);
            keys.extend(hashes(long));
            if short.len() < 3 {
                keys.extend(short);
            }
        }
        if keys.is_empty() {
            keys.insert(lower_half(xxh64(signs(text).as_bytes(), 0)));
        }
        keys.into_iter().take(KEPT).collect()
    }

    pub(super) fn shingles(&self) -> &[u32] {
        &self.shingles
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

/// The lengths of the shingles of a run.
fn lengths(run: &[Unit]) -> [usize; 2] {
    if let [Unit::Char(_), _, ..] = run { [2, 3] } else { [1, 2] }
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
