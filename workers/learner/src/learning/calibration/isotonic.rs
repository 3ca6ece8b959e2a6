use serde::{Deserialize, Serialize};

/// Isotonic calibration: the rising step function nearest to the outcomes, by pooling adjacent violators (Ayer et al. 1955; Zadrozny &
/// Elkan 2002), with straight lines between the steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Isotonic {
    /// Score and probability of each step, both rising.
    steps: Vec<(f64, f64)>,
}

struct Block {
    scores: f64,
    happened: f64,
    weight: f64,
}

impl Block {
    fn rate(&self) -> f64 {
        self.happened / self.weight
    }
}

impl Isotonic {
    /// Fits scores to what happened. Scores that are no number are left out.
    pub fn fit(scores: &[(f64, bool)]) -> Self {
        let mut sorted: Vec<(f64, bool)> = scores.iter().copied().filter(|(score, _)| score.is_finite()).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut blocks: Vec<Block> = Vec::new();
        for (score, happened) in sorted {
            blocks.push(Block { scores: score, happened: f64::from(u8::from(happened)), weight: 1.0 });
            while let [.., before, last] = blocks.as_mut_slice() {
                if before.rate() < last.rate() {
                    break;
                }
                before.scores += last.scores;
                before.happened += last.happened;
                before.weight += last.weight;
                blocks.pop();
            }
        }
        Self { steps: blocks.iter().map(|block| (block.scores / block.weight, block.rate())).collect() }
    }

    /// The calibrated probability of a score; one half if nothing was fitted.
    pub fn apply(&self, score: f64) -> f64 {
        let above = self.steps.partition_point(|(at, _)| *at < score);
        match (above.checked_sub(1).and_then(|below| self.steps.get(below)), self.steps.get(above)) {
            (Some(&(x0, y0)), Some(&(x1, y1))) if x1 > x0 => y0 + (y1 - y0) * (score - x0) / (x1 - x0),
            (_, Some(&(_, rate))) | (Some(&(_, rate)), None) => rate,
            (None, None) => 0.5,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_in_the_wrong_order_share_their_rate() {
        let fit = Isotonic::fit(&[(0.1, false), (0.2, true), (0.3, false), (0.4, true)]);
        assert!((fit.apply(0.25) - 0.5).abs() < 1e-12);
        assert!(fit.apply(0.05) < 1e-12 && fit.apply(0.9) > 1.0 - 1e-12);
    }

    #[test]
    fn nothing_fitted_is_even_odds() {
        assert!((Isotonic::default().apply(3.0) - 0.5).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn a_higher_score_never_gets_a_lower_probability(
            scores in proptest::collection::vec((-5.0..5.0, any::<bool>()), 1..60),
            a in -6.0..6.0,
            b in -6.0..6.0,
        ) {
            let fit = Isotonic::fit(&scores);
            let (low, high) = (fit.apply(f64::min(a, b)), fit.apply(f64::max(a, b)));
            prop_assert!(low <= high + 1e-12);
            prop_assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
        }
    }
}
