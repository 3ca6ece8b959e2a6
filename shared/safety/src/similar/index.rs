use std::collections::HashMap;

use super::fingerprint::{Fingerprint, NEAR_DUPLICATE, similarity};

/// Fingerprints among which near-duplicates of a text are found, each with an id: of several bots together, for example.
///
/// A search finds exactly what comparing with each fingerprint would find. It reads the lists of the text's rarest shingles only: a
/// near-duplicate shares at least half of the shingles of the text, so one of the rarest half (and one more) is among the shared.
/// Among 100,000 posts that takes some microseconds, more if many are near-duplicates of the text.
///
/// Meant to be built from the stored fingerprints and to grow; nothing is ever removed. 100,000 posts take about 100 MB.
#[derive(Debug, Clone)]
pub struct NearDuplicates<Id> {
    known: Vec<(Id, Fingerprint)>,
    lists: HashMap<u32, List>,
    entries: Vec<Entry>,
}

/// The fingerprints that have a shingle.
#[derive(Debug, Clone, Copy)]
struct List {
    length: u32,
    /// The place of the last entry.
    last: u32,
}

/// Most lists have one entry. Linked entries need less space than a vector for each.
#[derive(Debug, Clone, Copy)]
struct Entry {
    fingerprint: u32,
    /// The place of the entry before. That of the first entry of a list is never followed.
    before: u32,
}

impl<Id> NearDuplicates<Id> {
    /// An index without fingerprints.
    pub fn new() -> Self {
        Self { known: Vec::new(), lists: HashMap::new(), entries: Vec::new() }
    }

    /// Adds a fingerprint. The same id may be added more than once.
    pub fn insert(&mut self, id: Id, fingerprint: Fingerprint) {
        let place = small(self.known.len());
        for shingle in fingerprint.shingles() {
            let entry = small(self.entries.len());
            let list = self.lists.entry(*shingle).or_insert(List { length: 0, last: 0 });
            self.entries.push(Entry { fingerprint: place, before: list.last });
            *list = List { length: list.length + 1, last: entry };
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
        // The similarity is shared / all, and all >= shingles, so that shared >= NEAR_DUPLICATE * shingles.
        let shingles = fingerprint.shingles();
        let least_shared = shingles.len().div_ceil(2);
        const { assert!(NEAR_DUPLICATE == 0.5, "half of the shingles are shared") };
        let list = |shingle| self.lists.get(shingle).copied().unwrap_or(List { length: 0, last: 0 });
        let mut lists: Vec<List> = shingles.iter().map(list).collect();
        lists.sort_unstable_by_key(|list| list.length);
        let rarest = &lists[..=shingles.len() - least_shared];
        let mut candidates: Vec<u32> = rarest.iter().flat_map(|list| self.fingerprints(*list)).collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    fn fingerprints(&self, list: List) -> impl Iterator<Item = u32> {
        let mut at = list.last;
        (0..list.length).map(move |_| {
            let entry = self.entries[at as usize];
            at = entry.before;
            entry.fingerprint
        })
    }
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

/// Memory ends long before four billion entries.
fn small(place: usize) -> u32 {
    u32::try_from(place).expect("fewer than four billion entries")
}
