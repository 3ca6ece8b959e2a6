use perch_jobs::Parlay;

use super::{
    AssumedTerms, Grade, SettleError, Settlement,
    units::{in_units, odds_of, stake_of},
};
use crate::Odds;

/// A leg of a parlay: how it ended, and its odds where they are known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leg {
    /// How it ended.
    pub grade: Grade,
    /// Its own odds.
    pub odds: Option<Odds>,
}

/// Settles a parlay from the grades of its legs, in order.
///
/// One lost leg loses all. A leg that is a push or void is dropped and the odds shrink to those of the other legs; when all legs are
/// dropped the stake comes back. Of a leg that half won, one half pays its odds and the other counts as dropped; a leg that half
/// lost halves what the others return. If that leaves less than the stake, the grade is [`Grade::HalfLost`] and the units say how
/// much is lost.
///
/// The odds of the whole parlay are used if it names them; a dropped leg divides them by its own odds, or by the even share of a leg
/// in the whole if it names none. Legs that won never pay less than their stake. A parlay that names no odds is paid at the product
/// of its legs.
pub fn parlay(
    parlay: &Parlay,
    grades: &[Grade],
    stake: Option<f64>,
    assumed: &AssumedTerms,
) -> Result<Settlement, SettleError> {
    if grades.len() != parlay.legs().len() {
        return Err(SettleError::Legs { legs: parlay.legs().len(), grades: grades.len() });
    }
    let stake = stake_of(stake, assumed)?;
    let whole = parlay.odds.as_deref().map(Odds::parse).transpose()?;
    let legs = grades
        .iter()
        .zip(parlay.legs())
        .map(|(grade, pick)| {
            // If the parlay has odds of its own, none are assumed for a leg.
            let assumed = if whole.is_some() { &AssumedTerms::NOTHING } else { assumed };
            Ok(Leg { grade: *grade, odds: odds_of(pick.odds.as_deref(), assumed)? })
        })
        .collect::<Result<Vec<Leg>, SettleError>>()?;
    if legs.iter().any(|leg| leg.grade == Grade::Lost) {
        return Ok(Settlement { grade: Grade::Lost, stake, odds: whole, units: in_units(-stake) });
    }
    let fell_out = |leg: &Leg| matches!(leg.grade, Grade::Push | Grade::Void);
    if legs.iter().all(fell_out) {
        let grade = if legs.iter().all(|leg| leg.grade == Grade::Void) { Grade::Void } else { Grade::Push };
        return Ok(Settlement { grade, stake, odds: whole, units: 0.0 });
    }
    let returned = returned(&legs, whole)?;
    let units = in_units(stake * (returned - 1.0));
    let grade = match units {
        units if units > 0.0 => Grade::Won,
        units if units < 0.0 => Grade::HalfLost,
        _ => Grade::Push,
    };
    Ok(Settlement { grade, stake, odds: Odds::from_decimal(returned).ok(), units })
}

/// What one unit returns.
fn returned(legs: &[Leg], whole: Option<Odds>) -> Result<f64, SettleError> {
    #[expect(clippy::cast_precision_loss, reason = "a few legs")]
    let share = whole.map(|whole| whole.decimal().powf(1.0 / legs.len() as f64));
    // The odds of the whole already include the legs that won; the others are taken out of them.
    let (mut won, mut others) = (whole.map_or(1.0, Odds::decimal), 1.0);
    for (n, leg) in legs.iter().enumerate() {
        let own = leg.odds.map(Odds::decimal).or(share);
        let odds = || own.ok_or_else(|| SettleError::NoOdds { of: format!("leg {}", n + 1) });
        if leg.grade == Grade::Won {
            won *= if whole.is_some() { 1.0 } else { odds()? };
            continue;
        }
        won /= if whole.is_some() { odds()? } else { 1.0 };
        others *= match leg.grade {
            Grade::HalfWon => f64::midpoint(odds()?, 1.0),
            Grade::HalfLost => 0.5,
            Grade::Lost => 0.0,
            Grade::Won | Grade::Push | Grade::Void => 1.0,
        };
    }
    // The product of the odds of dropped legs may exceed the odds of the whole.
    Ok(won.max(1.0) * others)
}

#[cfg(test)]
mod tests {
    use perch_jobs::{Pick, PickKind};
    use proptest::prelude::*;

    use super::*;
    use crate::settle::{profit, single};

    fn leg(odds: Option<&str>) -> Pick {
        Pick { selection: Some("Arsenal".into()), odds: odds.map(Into::into), ..Pick::of(PickKind::Moneyline) }
    }

    fn of(legs: &[&str], whole: Option<&str>) -> Parlay {
        let legs = legs.iter().map(|odds| leg(Some(odds).filter(|o| !o.is_empty()).copied())).collect();
        Parlay::of(legs, whole.map(Into::into))
    }

    fn settled(legs: &[&str], whole: Option<&str>, grades: &[Grade]) -> Result<(Grade, f64), SettleError> {
        parlay(&of(legs, whole), grades, Some(1.0), &AssumedTerms::NOTHING).map(|s| (s.grade, s.units))
    }

    #[test]
    fn a_parlay_is_settled_from_its_legs() {
        use Grade::{HalfLost, HalfWon, Lost, Push, Void, Won};
        let two = ["2.0", "3.0"];
        for (grades, expected) in [
            ([Won, Won], (Won, 5.0)),
            ([Won, Lost], (Lost, -1.0)),
            ([Push, Lost], (Lost, -1.0)),
            ([HalfWon, Lost], (Lost, -1.0)),
            ([Won, Push], (Won, 1.0)),
            ([Void, Won], (Won, 2.0)),
            ([Push, Void], (Push, 0.0)),
            ([Void, Void], (Void, 0.0)),
            ([HalfWon, Won], (Won, 3.5)),
            ([Won, HalfLost], (Push, 0.0)),
            ([HalfLost, HalfLost], (HalfLost, -0.75)),
            ([HalfLost, Won], (Won, 0.5)),
        ] {
            assert_eq!(settled(&two, None, &grades), Ok(expected), "{grades:?}");
            assert_eq!(settled(&two, Some("6.0"), &grades), Ok(expected), "{grades:?} at the price of the whole");
        }
    }

    #[test]
    fn the_price_of_the_whole_counts_and_a_leg_that_falls_out_is_taken_out_of_it() {
        assert_eq!(settled(&["", ""], Some("+264"), &[Grade::Won; 2]), Ok((Grade::Won, 2.64)));
        assert_eq!(settled(&["-110", "+100"], Some("+300"), &[Grade::Won, Grade::Push]), Ok((Grade::Won, 1.0)));
        let error = settled(&["-110", ""], None, &[Grade::Push, Grade::Won]).expect_err("its odds are unknown");
        assert_eq!(error.to_string(), "leg 2 names no odds; give the odds, or choose what to assume");
        assert_eq!(settled(&["", ""], Some("+264"), &[Grade::Push; 2]), Ok((Grade::Push, 0.0)));
        assert_eq!(settled(&["", ""], None, &[Grade::Lost, Grade::Push]), Ok((Grade::Lost, -1.0)));
        let usual = parlay(&of(&["", ""], None), &[Grade::Won; 2], None, &AssumedTerms::USUAL).expect("settled");
        assert_eq!((usual.stake, usual.units), (1.0, 2.64));
    }

    #[test]
    fn a_leg_of_unknown_odds_that_falls_out_takes_its_even_share_of_the_whole_and_what_won_never_loses() {
        use Grade::{HalfLost, Push, Void, Won};
        let short = |assumed: &AssumedTerms| parlay(&of(&["", ""], Some("-130")), &[Void, Won], Some(1.0), assumed);
        for assumed in [&AssumedTerms::USUAL, &AssumedTerms::NOTHING] {
            let settled = short(assumed).expect("settled");
            assert_eq!((settled.grade, settled.units), (Won, 0.33));
        }
        assert_eq!(settled(&["", "", ""], Some("8.0"), &[Won, Push, Won]), Ok((Won, 3.0)));
        assert_eq!(settled(&["", "3.0"], Some("2.5"), &[Won, Void]), Ok((Push, 0.0)), "odds that do not fit the whole");
        assert_eq!(settled(&["", ""], Some("1.5"), &[Won, HalfLost]), Ok((HalfLost, -0.39)));
    }

    #[test]
    fn every_leg_needs_a_grade() {
        let error = settled(&["2.0", "2.0"], None, &[Grade::Won]).expect_err("a grade is missing");
        assert!(error.to_string().contains("2 legs and 1 grades"), "{error}");
    }

    fn grades() -> impl Strategy<Value = Grade> {
        (0..Grade::ALL.len()).prop_map(|n| Grade::ALL[n])
    }

    proptest! {
        #[test]
        fn a_parlay_of_one_leg_pays_as_the_leg_alone(cents in 105_u32..2_000, grade in grades()) {
            let odds = format!("{:.2}", f64::from(cents) / 100.0);
            let alone = single(&Pick { units: Some(1.0), ..leg(Some(&odds)) }, grade, &AssumedTerms::NOTHING).expect("settled");
            let (_, units) = settled(&[&odds], None, &[grade]).expect("settled");
            prop_assert!((units - alone.units).abs() < 1e-9, "{} and {}", units, alone.units);
        }

        #[test]
        fn legs_that_fall_out_leave_the_parlay_of_the_others(
            legs in prop::collection::vec((105_u32..500, grades()), 2..6),
        ) {
            let written: Vec<String> = legs.iter().map(|(cents, _)| format!("{:.2}", f64::from(*cents) / 100.0)).collect();
            let written: Vec<&str> = written.iter().map(String::as_str).collect();
            let grades: Vec<Grade> = legs.iter().map(|(_, grade)| *grade).collect();
            let kept: Vec<usize> =
                (0..legs.len()).filter(|n| !matches!(grades[*n], Grade::Push | Grade::Void)).collect();
            let (_, units) = settled(&written, None, &grades).expect("settled");
            let rest: Vec<&str> = kept.iter().map(|n| written[*n]).collect();
            let rest_grades: Vec<Grade> = kept.iter().map(|n| grades[*n]).collect();
            let expected = if kept.is_empty() { 0.0 } else { settled(&rest, None, &rest_grades).expect("settled").1 };
            prop_assert!((units - expected).abs() < 1e-9);
            prop_assert!(units >= -1.0);
        }

        #[test]
        fn a_parlay_of_legs_that_won_and_fell_out_never_loses_at_any_price(
            grades in prop::collection::vec(prop::sample::select(vec![Grade::Won, Grade::Push, Grade::Void]), 2..6),
            whole in 101_u32..2_000,
            own in prop::option::of(101_u32..900),
        ) {
            let decimal = |cents: u32| format!("{:.2}", f64::from(cents) / 100.0);
            let own = own.map(decimal).unwrap_or_default();
            let legs = vec![own.as_str(); grades.len()];
            let (_, units) = settled(&legs, Some(&decimal(whole)), &grades).expect("settled");
            prop_assert!(units >= 0.0, "{}", units);
            prop_assert!(units <= f64::from(whole) / 100.0 - 1.0 + 0.005, "{}", units);
        }

        #[test]
        fn a_parlay_whose_legs_all_won_pays_the_product_of_their_odds(legs in prop::collection::vec(105_u32..300, 1..5)) {
            let odds: Vec<Odds> =
                legs.iter().map(|cents| Odds::from_decimal(f64::from(*cents) / 100.0).expect("odds")).collect();
            let written: Vec<String> = odds.iter().map(|odds| odds.as_decimal()).collect();
            let written: Vec<&str> = written.iter().map(String::as_str).collect();
            let (grade, units) = settled(&written, None, &vec![Grade::Won; odds.len()]).expect("settled");
            prop_assert_eq!(grade, Grade::Won);
            prop_assert!((units - profit(Grade::Won, 1.0, Odds::parlay(&odds).expect("odds"))).abs() < 0.011);
        }
    }
}
