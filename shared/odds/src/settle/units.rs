use perch_jobs::Pick;
use serde::{Deserialize, Serialize};

use super::{Grade, SettleError};
use crate::Odds;

/// The odds and the stake to assume for a pick that does not name them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AssumedTerms {
    /// The odds.
    pub odds: Option<Odds>,
    /// The stake in units.
    pub stake: Option<f64>,
}

impl AssumedTerms {
    /// Nothing is assumed: missing odds or a missing stake are an error.
    pub const NOTHING: Self = Self { odds: None, stake: None };
    /// One unit at -110.
    pub const USUAL: Self = Self { odds: Some(Odds::USUAL), stake: Some(1.0) };
}

/// A settled bet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settlement {
    /// How it ended.
    pub grade: Grade,
    /// The stake in units.
    pub stake: f64,
    /// The odds it was settled at; for a parlay with dropped legs, the remaining odds. Null if the grade needs none and none are known.
    pub odds: Option<Odds>,
    /// Units won, or lost when negative, to the hundredth.
    pub units: f64,
}

/// Units to the hundredth, halves away from zero.
pub fn in_units(units: f64) -> f64 {
    // Compensates for binary fractions slightly below a half: 1.005 becomes 1.01.
    let hundredths = (units * 100.0 + units.signum() * 1e-7).round();
    // Never -0.
    if hundredths == 0.0 { 0.0 } else { hundredths / 100.0 }
}

/// The units that a bet of `stake` units at `odds` won, or lost when negative, to the hundredth.
pub fn profit(grade: Grade, stake: f64, odds: Odds) -> f64 {
    let won = odds.decimal() - 1.0;
    in_units(match grade {
        Grade::Won => stake * won,
        Grade::HalfWon => stake * won / 2.0,
        Grade::Lost => -stake,
        Grade::HalfLost => -stake / 2.0,
        Grade::Push | Grade::Void => 0.0,
    })
}

/// Settles a single pick, at its own odds and stake, or at the assumed ones if it names none.
pub fn single(pick: &Pick, grade: Grade, assumed: &AssumedTerms) -> Result<Settlement, SettleError> {
    let stake = stake_of(pick.units, assumed)?;
    let odds = odds_of(pick.odds.as_deref(), assumed)?;
    let units = match (grade, odds) {
        (Grade::Won | Grade::HalfWon, None) => return Err(SettleError::NoOdds { of: "the pick".into() }),
        // A lost or returned stake is the same at any odds.
        (_, odds) => profit(grade, stake, odds.unwrap_or(Odds::EVEN)),
    };
    Ok(Settlement { grade, stake, odds, units })
}

pub(super) fn stake_of(named: Option<f64>, assumed: &AssumedTerms) -> Result<f64, SettleError> {
    let units = named.or(assumed.stake).ok_or(SettleError::NoStake)?;
    if units > 0.0 && units <= 1_000.0 { Ok(units) } else { Err(SettleError::BadStake { units }) }
}

pub(super) fn odds_of(named: Option<&str>, assumed: &AssumedTerms) -> Result<Option<Odds>, SettleError> {
    Ok(named.map(Odds::parse).transpose()?.or(assumed.odds))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "units are exact to the hundredth, which is what is tested")]
mod tests {
    use perch_jobs::PickKind;
    use proptest::prelude::*;

    use super::*;

    fn odds(written: &str) -> Odds {
        Odds::parse(written).expect("odds")
    }

    fn pick(odds: Option<&str>, units: Option<f64>) -> Pick {
        Pick { selection: Some("Arsenal".into()), odds: odds.map(Into::into), units, ..Pick::of(PickKind::Moneyline) }
    }

    #[test]
    fn units_follow_from_grade_odds_and_stake() {
        for (grade, written, stake, units) in [
            (Grade::Won, "+150", 2.0, 3.0),
            (Grade::Won, "-110", 1.1, 1.0),
            (Grade::Won, "-110", 1.0, 0.91),
            (Grade::Won, "1.85", 2.0, 1.7),
            (Grade::Lost, "+900", 0.25, -0.25),
            (Grade::Push, "-110", 3.0, 0.0),
            (Grade::Void, "-110", 3.0, 0.0),
            (Grade::HalfWon, "1.9", 1.0, 0.45),
            (Grade::HalfLost, "1.9", 1.0, -0.5),
        ] {
            assert_eq!(profit(grade, stake, odds(written)), units, "{grade} {written} {stake}");
        }
    }

    #[test]
    fn nothing_is_assumed_that_the_caller_has_not_chosen() {
        let bare = pick(None, None);
        assert_eq!(single(&bare, Grade::Lost, &AssumedTerms::NOTHING), Err(SettleError::NoStake));
        let staked = pick(None, Some(2.0));
        assert_eq!(single(&staked, Grade::Lost, &AssumedTerms::NOTHING).expect("a loss needs no odds").units, -2.0);
        assert!(matches!(single(&staked, Grade::Won, &AssumedTerms::NOTHING), Err(SettleError::NoOdds { .. })));
        let usual = single(&bare, Grade::Won, &AssumedTerms::USUAL).expect("settled");
        assert_eq!((usual.stake, usual.units), (1.0, 0.91));
        let own = single(&pick(Some("+200"), Some(3.0)), Grade::Won, &AssumedTerms::USUAL).expect("settled");
        assert_eq!((own.stake, own.units), (3.0, 6.0));
    }

    #[test]
    fn a_price_or_stake_that_is_none_is_named() {
        let error = single(&pick(Some("pk"), Some(1.0)), Grade::Won, &AssumedTerms::USUAL).expect_err("no odds");
        assert!(error.to_string().contains("\"pk\""), "{error}");
        let error = single(&pick(None, Some(-1.0)), Grade::Won, &AssumedTerms::USUAL).expect_err("no stake");
        assert!(error.to_string().contains("-1 units"), "{error}");
    }

    #[test]
    fn hundredths_are_rounded_away_from_zero() {
        for (exact, rounded) in [(1.005, 1.01), (-1.005, -1.01), (0.004_9, 0.0), (-0.001, 0.0), (2.675, 2.68)] {
            assert_eq!(in_units(exact), rounded);
            assert!(in_units(exact).is_sign_positive() || rounded < 0.0);
        }
    }

    proptest! {
        #[test]
        fn american_odds_and_their_decimal_pay_the_same(american in 100_u32..5_000, stake in 1_u32..2_000) {
            let stake = f64::from(stake) / 100.0;
            let plus = Odds::from_american(f64::from(american)).expect("odds");
            let decimal = Odds::from_decimal(1.0 + f64::from(american) / 100.0).expect("odds");
            prop_assert_eq!(profit(Grade::Won, stake, plus), profit(Grade::Won, stake, decimal));
        }

        #[test]
        fn a_bet_never_loses_more_than_its_stake_nor_wins_more_than_its_odds(
            decimal in 1.01_f64..100.0,
            cents in 1_u32..100_000,
            n in 0_usize..6,
        ) {
            let (stake, grade) = (f64::from(cents) / 100.0, Grade::ALL[n]);
            let units = profit(grade, stake, Odds::from_decimal(decimal).expect("odds"));
            prop_assert!(units >= -stake && units <= stake * (decimal - 1.0) + 0.005 + 1e-6, "{} {}", grade, units);
        }
    }
}
