use std::collections::HashMap;

use super::fingerprint::{Fingerprint, KEPT, NEAR_DUPLICATE, similarity};

/// Fingerprints among which near-duplicates of a text are found, each with an id: of several bots together, for example.
///
/// A search finds exactly what comparing with each fingerprint would find. It reads the lists of the text's rarest shingles only: a
/// near-duplicate shares at least half of the shingles of the text, so one of the rarest half (and one more) is among the shared. What
/// has too few of these to be near is not compared. The work therefore depends on how common the rarer half of the text's words and
/// pairs is, and on how many near-duplicates there are, and little on how many fingerprints were added.
///
/// Meant to be built from the stored fingerprints and to grow; nothing is ever removed. 100,000 posts of some 20 words take about 60 MB.
#[derive(Debug, Clone)]
pub struct NearDuplicates<Id> {
    known: Vec<(Id, Fingerprint)>,
    /// For each shingle, the places of the fingerprints that have it.
    places: HashMap<u32, Places>,
}

/// Most shingles occur once, and a place takes less space than a vector with one.
#[derive(Debug, Clone)]
enum Places {
    One(u32),
    Many(Vec<u32>),
}

impl Places {
    fn push(&mut self, place: u32) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, place]),
            Self::Many(places) => places.push(place),
        }
    }

    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(place) => std::slice::from_ref(place),
            Self::Many(places) => places,
        }
    }
}

impl<Id> NearDuplicates<Id> {
    /// An index without fingerprints.
    pub fn new() -> Self {
        Self { known: Vec::new(), places: HashMap::new() }
    }

    /// Adds a fingerprint. The same id may be added more than once.
    pub fn insert(&mut self, id: Id, fingerprint: Fingerprint) {
        // Memory ends long before this does.
        let place = u32::try_from(self.known.len()).expect("fewer than four billion fingerprints");
        for shingle in fingerprint.shingles() {
            self.places.entry(*shingle).and_modify(|places| places.push(place)).or_insert(Places::One(place));
        }
        self.known.push((id, fingerprint));
    }

    /// The near-duplicates of a text with their similarities, most similar first; of equally similar ones, the one that was added first.
    pub fn near(&self, fingerprint: &Fingerprint) -> Vec<(&Id, f64)> {
        let mut near: Vec<(&Id, f64)> = self
            .candidates(fingerprint)
            .into_iter()
            .map(|place| &self.known[place as usize])
            .map(|(id, known)| (id, similarity(known, fingerprint)))
            .filter(|(_, similarity)| *similarity >= NEAR_DUPLICATE)
            .collect();
        near.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        near
    }

    /// The first of the [near-duplicates](Self::near).
    pub fn nearest(&self, fingerprint: &Fingerprint) -> Option<(&Id, f64)> {
        self.near(fingerprint).into_iter().next()
    }

    /// How many fingerprints were added.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none were added.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The places of the fingerprints that may be near, in ascending order.
    fn candidates(&self, fingerprint: &Fingerprint) -> Vec<u32> {
        let shingles = fingerprint.shingles();
        let mut lists: Vec<&[u32]> =
            shingles.iter().map(|shingle| self.places.get(shingle).map_or(&[][..], Places::as_slice)).collect();
        lists.sort_unstable_by_key(|places| places.len());
        // What is in none of the rarest lists shares fewer than the least.
        let left_out = least_shared(shingles.len(), 0) - 1;
        let mut counts = vec![0_u16; self.known.len()];
        let mut candidates = Vec::new();
        for place in lists[..shingles.len() - left_out].iter().copied().flatten() {
            let count = &mut counts[*place as usize];
            if *count == 0 {
                candidates.push(*place);
            }
            *count += 1;
        }
        candidates.retain(|place| {
            let place = *place as usize;
            let shared_at_most = usize::from(counts[place]) + left_out;
            shared_at_most >= least_shared(shingles.len(), self.known[place].1.shingles().len())
        });
        candidates.sort_unstable();
        candidates
    }
}

/// The fewest shingles that two near-duplicates with this many shingles share.
fn least_shared(one: usize, other: usize) -> usize {
    const { assert!(NEAR_DUPLICATE == 0.5, "half of all shingles are shared") };
    let longer = one.max(other);
    if longer == KEPT {
        // `KEPT` shingles of both together are compared.
        return KEPT / 2;
    }
    // shared >= all / 2, and all = one + other - shared; also all >= longer.
    longer.div_ceil(2).max((one + other).div_ceil(3))
}

impl<Id> Default for NearDuplicates<Id> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Id> Extend<(Id, Fingerprint)> for NearDuplicates<Id> {
    fn extend<I: IntoIterator<Item = (Id, Fingerprint)>>(&mut self, fingerprints: I) {
        for (id, fingerprint) in fingerprints {
            self.insert(id, fingerprint);
        }
    }
}

impl<Id> FromIterator<(Id, Fingerprint)> for NearDuplicates<Id> {
    fn from_iter<I: IntoIterator<Item = (Id, Fingerprint)>>(fingerprints: I) -> Self {
        let mut index = Self::new();
        index.extend(fingerprints);
        index
    }
}
