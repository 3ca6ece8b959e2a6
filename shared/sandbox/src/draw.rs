//! Pseudo-random numbers that are the same for the same seed on every machine.

/// A sequence of pseudo-random numbers. Algorithm: `SplitMix64`.
#[derive(Debug, Clone)]
pub struct Draw(u64);

impl Draw {
    /// The sequence of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The n-th sequence of a seed under a name.
    pub fn of(seed: u64, name: &str, n: u64) -> Self {
        let mut state = Self(seed ^ n.wrapping_mul(0xd134_2543_de82_ef95));
        for byte in name.bytes() {
            state.0 = state.next() ^ u64::from(byte);
        }
        state
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `bound - 1`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// An index into a list of that length.
    pub fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap_or(0)
    }

    /// An integer in a range, both ends included.
    pub fn whole(&mut self, from: i32, to: i32) -> f64 {
        let span = u64::try_from(to - from + 1).unwrap_or(1);
        f64::from(from) + f64::from(u32::try_from(self.below(span)).unwrap_or(0))
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        let unit = f64::from(u32::try_from(self.next() >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        unit <= probability
    }

    /// An element of a list, which must not be empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.index(list.len())]
    }

    /// Shuffles a list.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, self.index(i + 1));
        }
    }
}
