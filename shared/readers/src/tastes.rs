//! What readers like. It follows from their seed and the names of topic, form and hook, so that any topic has a taste.

use rand::RngExt as _;

use crate::{generator, shown::Kind};

/// A taste for kinds of posts.
#[derive(Debug, Clone)]
pub(crate) struct Taste {
    seed: u64,
    family: &'static str,
    /// The logarithm of the factor between the best kind and the worst.
    range: f64,
    /// What lies in the middle of the kinds, before scaling.
    middle: f64,
    /// What the kinds are apart, before scaling.
    width: f64,
}

impl Taste {
    /// A taste under which the best of these kinds earns `spread` times what the worst does. Other kinds are within the same bounds.
    pub(crate) fn new(seed: u64, family: &'static str, spread: f64, kinds: &[Kind]) -> Self {
        let mut taste = Self { seed, family, range: spread.max(1.0).ln(), middle: 0.0, width: 0.0 };
        let raw: Vec<f64> = kinds.iter().map(|kind| taste.raw(kind)).collect();
        let low = raw.iter().copied().fold(f64::INFINITY, f64::min);
        let high = raw.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if low < high {
            (taste.middle, taste.width) = (f64::midpoint(low, high), high - low);
        }
        taste
    }

    /// The logarithm of the factor of a kind; 0 is the middle between the best and the worst.
    pub(crate) fn of(&self, kind: &Kind) -> f64 {
        if self.width <= 0.0 {
            return 0.0;
        }
        let scaled = (self.raw(kind) - self.middle) / self.width;
        self.range * scaled.clamp(-0.5, 0.5)
    }

    fn raw(&self, kind: &Kind) -> f64 {
        let topic = kind.topic.as_deref().unwrap_or_default();
        self.one("topic", topic) + self.one("form", kind.form.as_str()) + self.one("hook", kind.hook.as_str())
    }

    fn one(&self, part: &str, name: &str) -> f64 {
        generator(self.seed, &format!("{} {part} {name}", self.family)).random_range(-1.0..1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_kind_and_the_worst_differ_as_much_as_was_asked_for_and_no_other_pair_more(seed: u64, spread in 1.0..3.0) {
            let known = Kind::all(&["rye", "salt"]);
            let taste = Taste::new(seed, "like", spread, &known);
            let range = |kinds: &[Kind]| {
                let all: Vec<f64> = kinds.iter().map(|kind| taste.of(kind)).collect();
                all.iter().copied().fold(f64::NEG_INFINITY, f64::max) - all.iter().copied().fold(f64::INFINITY, f64::min)
            };
            prop_assert!((range(&known).exp() - spread).abs() < 1e-9);
            prop_assert!(range(&Kind::all(&["ovens", "flour", "yeast"])).exp() <= spread + 1e-9);
        }
    }

    #[test]
    fn one_kind_alone_has_no_taste() {
        let taste = Taste::new(1, "like", 1.3, &Kind::all(&["rye"])[..1]);
        assert!(taste.of(&Kind::default()).abs() < 1e-12);
    }
}
