//! Odds in the three common formats.
//!
//! All of them state what a stake of one unit returns. `Decimal` odds give the return including the stake: 2.5. `Fractional` odds
//! give the profit: 3/2. `American` odds give the profit of a stake of 100 if positive, +150, and the stake for a profit of 100
//! if negative, -200. [`Odds`] is one type for all three.

use serde::{Deserialize, Serialize};

/// The longest valid odds: American +1000000.
const LONGEST: f64 = 10_001.0;
/// The shortest valid odds: American -1000000.
const SHORTEST: f64 = 1.0001;
/// Fractions are given with denominators up to this. Books quote none beyond 100.
const LARGEST_DENOMINATOR: u32 = 100;

/// A whole number from here on may be American odds without a sign or decimal odds without decimals.
const UNSIGNED: f64 = 100.0;

/// What a winning stake of one unit returns, stake included. Finite and greater than 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Odds(f64);

/// Text that is not valid odds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{written:?} are no odds; {}", self.advice())]
pub struct OddsError {
    /// What was written.
    pub written: String,
}

impl OddsError {
    fn advice(&self) -> String {
        let written = &self.written;
        if number_of(written).is_some_and(|number| number >= UNSIGNED) {
            return format!("write what is meant: +{written}, -{written} or {written}.0");
        }
        "write American (+120, -110), decimal (1.85) or fractional odds (5/2), or \"evens\"".to_owned()
    }
}

impl Odds {
    /// Odds of -110, at which most spreads and totals are offered.
    pub const USUAL: Self = Self(1.0 + 100.0 / 110.0);
    /// Odds at which a win doubles the stake.
    pub const EVEN: Self = Self(2.0);

    /// Decimal odds: over 1, up to 10001.
    pub fn from_decimal(decimal: f64) -> Result<Self, OddsError> {
        let valid = (SHORTEST - 1e-9..=LONGEST).contains(&decimal);
        valid.then_some(Self(decimal)).ok_or_else(|| OddsError { written: decimal.to_string() })
    }

    /// American odds: 100 or more, or -100 or less.
    pub fn from_american(american: f64) -> Result<Self, OddsError> {
        let refused = || OddsError { written: format!("{american:+}") };
        if american.abs() < 100.0 || !american.is_finite() {
            return Err(refused());
        }
        let won = if american > 0.0 { american / 100.0 } else { 100.0 / -american };
        Self::from_decimal(1.0 + won).map_err(|_| refused())
    }

    /// Fractional odds: what is won, and the stake that wins it.
    pub fn from_fraction(won: u32, stake: u32) -> Result<Self, OddsError> {
        let refused = || OddsError { written: format!("{won}/{stake}") };
        if stake == 0 {
            return Err(refused());
        }
        Self::from_decimal(1.0 + f64::from(won) / f64::from(stake)).map_err(|_| refused())
    }

    /// Odds as people write them: `+150`, `-110`, `(−110)`, `@ 1.91`, `1,91`, `5/2`, `evens`.
    ///
    /// A number without a sign is decimal. From 100 on it needs a decimal point: people who write `150` mean +150, and
    /// 150.0 pays a hundred times as much.
    pub fn parse(written: &str) -> Result<Self, OddsError> {
        let refused = || OddsError { written: written.chars().take(40).collect() };
        let plain: String = written.chars().map(plain).collect();
        let plain = plain.trim_matches(|c: char| c.is_whitespace() || "()[]@".contains(c)).to_lowercase();
        if matches!(plain.as_str(), "even" | "evens" | "ev" | "evs" | "even money" | "even odds") {
            return Ok(Self::EVEN);
        }
        let read = match plain.strip_prefix(['+', '-']) {
            Some(number) => {
                number_of(number).map(|n| if plain.starts_with('-') { -n } else { n }).map(Self::from_american)
            }
            None => match plain.split_once('/') {
                Some((won, stake)) => whole(won).zip(whole(stake)).map(|(won, stake)| Self::from_fraction(won, stake)),
                None => number_of(&plain).filter(|n| *n < UNSIGNED || plain.contains('.')).map(Self::from_decimal),
            },
        };
        read.and_then(Result::ok).ok_or_else(refused)
    }

    /// What a winning stake of one unit returns, stake included.
    pub fn decimal(self) -> f64 {
        self.0
    }

    /// American odds, rounded to a whole number. Even money is +100.
    pub fn american(self) -> i32 {
        let won = self.0 - 1.0;
        let american = if won >= 1.0 { won * 100.0 } else { -100.0 / won };
        // Within ±1,000,000 by construction.
        #[expect(clippy::cast_possible_truncation, reason = "at most seven digits")]
        let rounded = american.round() as i32;
        if rounded == -100 { 100 } else { rounded }
    }

    /// The profit and its stake in lowest terms, with a denominator up to 100; approximate if there is no exact fraction.
    ///
    /// Algorithm: continued fractions; the last convergent within the bound.
    pub fn fraction(self) -> (u32, u32) {
        let (mut before, mut last) = ((0_u32, 1_u32), (1_u32, 0_u32));
        let mut rest = self.0 - 1.0;
        loop {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10,000,000")]
            let whole = (rest + 1e-9).floor().clamp(0.0, 1e7) as u32;
            let next = |before: u32, last: u32| whole.checked_mul(last).and_then(|n| n.checked_add(before));
            match next(before.0, last.0).zip(next(before.1, last.1)) {
                Some((won, stake)) if stake <= LARGEST_DENOMINATOR => (before, last) = (last, (won, stake)),
                _ => break,
            }
            let part = rest - f64::from(whole);
            if part.abs() < 1e-7 {
                break;
            }
            rest = 1.0 / part;
        }
        // For odds shorter than 1/100 the only such fraction is 0/1, which is not valid.
        if last.0 == 0 { (1, LARGEST_DENOMINATOR) } else { last }
    }

    /// The probability at which the bet breaks even, 0 to 1; it includes the book's margin.
    pub fn implied(self) -> f64 {
        1.0 / self.0
    }

    /// The odds of a parlay: the product of the odds of its legs. `None` without legs, or beyond the longest valid odds.
    pub fn parlay(legs: &[Self]) -> Option<Self> {
        if legs.is_empty() {
            return None;
        }
        Self::from_decimal(legs.iter().map(|leg| leg.0).product()).ok()
    }

    /// American odds with their sign: `+150`, `-110`.
    pub fn as_american(self) -> String {
        format!("{:+}", self.american())
    }

    /// Decimal odds with two places: `1.91`.
    pub fn as_decimal(self) -> String {
        // Halves go up, as books round: 2.625 is 2.63.
        format!("{:.2}", (self.0 * 100.0 + 1e-7).round() / 100.0)
    }

    /// Fractional odds: `5/2`, `evens`.
    pub fn as_fraction(self) -> String {
        match self.fraction() {
            (1, 1) => "evens".to_owned(),
            (won, stake) => format!("{won}/{stake}"),
        }
    }
}

impl TryFrom<f64> for Odds {
    type Error = OddsError;

    fn try_from(decimal: f64) -> Result<Self, OddsError> {
        Self::from_decimal(decimal)
    }
}

impl From<Odds> for f64 {
    fn from(odds: Odds) -> Self {
        odds.0
    }
}

/// Normalises minus, slash and decimal point.
fn plain(c: char) -> char {
    match c {
        '−' | '–' | '—' | '﹣' | '－' => '-',
        '＋' => '+',
        '⁄' | '∕' => '/',
        ',' => '.',
        c => c,
    }
}

/// A number of digits with at most one point, without the other notations of floats.
fn number_of(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    digits.then(|| text.parse().ok()).flatten()
}

fn whole(text: &str) -> Option<u32> {
    let text = text.trim();
    text.chars().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn odds_are_read_as_people_write_them() {
        for (written, american, decimal, fraction) in [
            ("+150", "+150", "2.50", "3/2"),
            ("-110", "-110", "1.91", "10/11"),
            ("−110", "-110", "1.91", "10/11"),
            ("(-120)", "-120", "1.83", "5/6"),
            ("[+105]", "+105", "2.05", "21/20"),
            ("@ -105", "-105", "1.95", "20/21"),
            (" +100 ", "+100", "2.00", "evens"),
            ("-100", "+100", "2.00", "evens"),
            ("EVEN", "+100", "2.00", "evens"),
            ("evens", "+100", "2.00", "evens"),
            ("EV", "+100", "2.00", "evens"),
            ("even money", "+100", "2.00", "evens"),
            ("1.91", "-110", "1.91", "91/100"),
            ("@1.85", "-118", "1.85", "17/20"),
            ("1,72", "-139", "1.72", "18/25"),
            ("2", "+100", "2.00", "evens"),
            ("2.5", "+150", "2.50", "3/2"),
            ("3.10", "+210", "3.10", "21/10"),
            ("51.0", "+5000", "51.00", "50/1"),
            ("51", "+5000", "51.00", "50/1"),
            ("150.0", "+14900", "150.00", "149/1"),
            ("5/2", "+250", "3.50", "5/2"),
            ("10/2", "+500", "6.00", "5/1"),
            ("4/6", "-150", "1.67", "2/3"),
            ("11 / 10", "+110", "2.10", "11/10"),
            ("1/1", "+100", "2.00", "evens"),
            ("100/30", "+333", "4.33", "10/3"),
            ("13⁄8", "+163", "2.63", "13/8"),
            ("+1100", "+1100", "12.00", "11/1"),
            ("-2000", "-2000", "1.05", "1/20"),
            ("+264", "+264", "3.64", "66/25"),
        ] {
            let odds = Odds::parse(written).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(odds.as_american(), american, "{written}");
            assert_eq!(odds.as_decimal(), decimal, "{written}");
            assert_eq!(odds.as_fraction(), fraction, "{written}");
        }
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for written in [
            "",
            "pk",
            "pick'em",
            "-3.5",
            "+50",
            "-99",
            "1",
            "1.0",
            "0",
            "0/5",
            "5/0",
            "1e3",
            "inf",
            "nan",
            "o47.5",
            "7-2",
            "+",
            "/",
            "1/2/3",
            "+2000000",
            "two to one",
        ] {
            let error = Odds::parse(written).expect_err(written);
            assert!(error.to_string().contains("+120"), "{error}");
        }
    }

    #[test]
    fn a_whole_number_without_a_sign_may_be_american_or_decimal_and_is_refused() {
        for written in ["100", "150", "(110)", "99999"] {
            assert!(Odds::parse(written).is_err(), "{written}");
        }
        let error = Odds::parse("150").expect_err("no sign");
        assert_eq!(error.to_string(), "\"150\" are no odds; write what is meant: +150, -150 or 150.0");
    }

    #[test]
    fn implied_probability_is_what_the_stake_must_win_to_break_even() {
        assert!((Odds::parse("-110").expect("odds").implied() - 0.523_809_5).abs() < 1e-6);
        assert!((Odds::parse("+300").expect("odds").implied() - 0.25).abs() < 1e-12);
        assert!((Odds::USUAL.decimal() - Odds::parse("-110").expect("odds").decimal()).abs() < 1e-12);
    }

    #[test]
    fn a_parlay_multiplies_what_its_legs_return() {
        let legs = ["-110", "-110"].map(|leg| Odds::parse(leg).expect("odds"));
        assert_eq!(Odds::parlay(&legs).expect("a parlay").as_american(), "+264");
        assert_eq!(Odds::parlay(&legs[..1]), Some(legs[0]));
        assert_eq!(Odds::parlay(&[]), None);
        assert_eq!(Odds::parlay(&[Odds::from_decimal(5_000.0).expect("odds"); 2]), None);
    }

    proptest! {
        #[test]
        fn american_odds_survive_the_way_through_decimal(american in 101_i32..=1_000_000, favourite: bool) {
            let american = if favourite { -american } else { american };
            let odds = Odds::from_american(f64::from(american)).expect("odds");
            prop_assert_eq!(odds.american(), american);
            let written = Odds::parse(&odds.as_american()).expect("odds");
            prop_assert_eq!(written, odds);
        }

        #[test]
        fn decimal_odds_of_two_places_survive_being_written(cents in 101_u32..=1_000_000) {
            let odds = Odds::from_decimal(f64::from(cents) / 100.0).expect("odds");
            prop_assert_eq!(Odds::parse(&odds.as_decimal()).expect("odds"), odds);
        }

        #[test]
        fn fractions_survive_the_way_through_decimal(won in 1_u32..=500, stake in 1_u32..=100) {
            let odds = Odds::from_fraction(won, stake).expect("odds");
            let (a, b) = odds.fraction();
            prop_assert_eq!(u64::from(a) * u64::from(stake), u64::from(b) * u64::from(won));
        }

        #[test]
        fn longer_odds_are_less_likely(a in 1.01_f64..1_000.0, b in 1.01_f64..1_000.0) {
            let (a, b) = (Odds::from_decimal(a).expect("odds"), Odds::from_decimal(b).expect("odds"));
            prop_assert_eq!(a.decimal() > b.decimal(), a.implied() < b.implied());
            prop_assert!(a.implied() > 0.0 && a.implied() < 1.0);
        }

        #[test]
        fn no_text_breaks_the_reading(text in ".{0,12}") {
            if let Ok(odds) = Odds::parse(&text) {
                prop_assert!(odds.decimal() > 1.0 && odds.decimal().is_finite());
            }
        }
    }
}
