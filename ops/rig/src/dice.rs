use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

/// The random numbers of a run: the same seed gives the same run.
#[derive(Debug)]
pub struct Dice(StdRng);

impl Dice {
    /// The generator of one part of a run.
    pub fn new(seed: u64, part: &str) -> Self {
        // FNV-1a over the name of the part, so that one part does not depend on how many numbers another draws.
        let part =
            part.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self(StdRng::seed_from_u64(seed ^ part))
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        self.0.random_range(from..=to)
    }

    /// True with this probability.
    pub fn chance(&mut self, share: f64) -> bool {
        self.0.random_bool(share)
    }

    /// A number from 0.0 to 1.0.
    pub fn share(&mut self) -> f64 {
        self.0.random()
    }

    /// 80 bits, for an id.
    pub fn bits(&mut self) -> u128 {
        self.0.random::<u128>() >> 48
    }

    /// One of a list that is not empty.
    pub fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.0.random_range(0..list.len())]
    }

    /// Puts a list into another order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        list.shuffle(&mut self.0);
    }

    /// One of a list, each as often as its weight says.
    pub fn weighed<T: Copy>(&mut self, list: &[(u64, T)]) -> T {
        let all: u64 = list.iter().map(|(weight, _)| weight).sum();
        let mut at = self.between(1, all);
        for (weight, item) in list {
            if at <= *weight {
                return *item;
            }
            at -= weight;
        }
        unreachable!("the throw is at most the sum of the weights")
    }
}
