//! Computes the bet of each account on a settled pick. Decisions only; no I/O.

use perch_jobs::{Parlay, Pick};
use perch_odds::{
    Odds,
    record::Market,
    settle::{AssumedTerms, Grade, Settlement, parlay, profit, single},
};

use crate::{
    settings::TrackingSettings,
    store::{PickBody, PickSettlement, PickSighting, SettledBet, TrackedPick},
};

/// What is assumed where a post names no odds or no stake.
pub(super) fn assumed(settings: &TrackingSettings) -> AssumedTerms {
    let odds = Odds::parse(&settings.assumed_odds).unwrap_or(Odds::USUAL);
    AssumedTerms { odds: Some(odds), stake: Some(settings.assumed_stake) }
}

/// A stake large enough that rounding of the units does not hide how a parlay ended.
const FINE: f64 = 1_000.0;

/// The grade of a parlay from its legs: one lost leg loses it, otherwise all legs have to be known. The grade matches the units at the
/// parlay's own odds.
pub(super) fn whole(body: &Parlay, legs: &[Option<Grade>], assumed: &AssumedTerms) -> Option<Grade> {
    if legs.contains(&Some(Grade::Lost)) {
        return Some(Grade::Lost);
    }
    let known: Vec<Grade> = legs.iter().copied().collect::<Option<_>>()?;
    let own = body.odds.as_deref().filter(|odds| readable(odds).is_some());
    Some(parlay(&priced(body, own), &known, Some(FINE), assumed).map_or(Grade::Won, |settled| settled.grade))
}

/// The bets of the accounts that named the pick before `over_at`, each at the odds and the stake of its own post.
///
/// Odds are compared with the closing odds only if they are the account's own and for the same bet: not if they are assumed, nor if a
/// leg of a parlay was neither won nor lost, which lowers its odds.
pub(super) fn bets(
    tracked: &TrackedPick,
    grade: Grade,
    settlement: &PickSettlement,
    named: &[PickSighting],
    assumed: &AssumedTerms,
) -> Vec<SettledBet> {
    let legs = settlement.legs.as_slice();
    let shrank = legs.iter().flatten().any(|leg| !matches!(leg, Grade::Won | Grade::Lost));
    let closing = settlement.closing_odds.as_deref().and_then(readable).filter(|_| !shrank);
    let of_account = |sighting: &PickSighting| {
        let odds = sighting.odds.as_deref().filter(|odds| readable(odds).is_some());
        // The first post may name its stake outside the pick.
        let beside = tracked.terms.as_ref().filter(|_| sighting.post_id == tracked.source_post);
        let units = sighting.units.or_else(|| beside?.units);
        let stake = units.filter(|units| *units > 0.0 && *units <= 1_000.0);
        let settled = match &tracked.pick {
            PickBody::Single(pick) => of_single(pick, grade, odds, stake, assumed),
            PickBody::Parlay(parlay) => of_parlay(parlay, grade, legs, odds, stake, assumed),
        };
        SettledBet {
            account: sighting.author.to_lowercase(),
            post_id: sighting.post_id.clone(),
            posted_at: sighting.seen_at,
            sport: sport(&tracked.pick),
            market: market(&tracked.pick).as_str().to_owned(),
            grade: settled.grade,
            odds: settled.odds.map(Odds::decimal),
            odds_assumed: odds.is_none(),
            closing: closing.filter(|_| odds.is_some()).map(Odds::decimal),
            stake: settled.stake,
            stake_assumed: stake.is_none(),
            units: settled.units,
        }
    };
    let in_time = |sighting: &&PickSighting| settlement.over_at.is_none_or(|over| sighting.seen_at <= over);
    named.iter().filter(in_time).map(of_account).collect()
}

fn readable(written: &str) -> Option<Odds> {
    Odds::parse(written).ok()
}

fn of_single(pick: &Pick, grade: Grade, odds: Option<&str>, stake: Option<f64>, assumed: &AssumedTerms) -> Settlement {
    let own = Pick { odds: odds.map(str::to_owned), units: stake, ..pick.clone() };
    single(&own, grade, assumed).unwrap_or_else(|_| at(grade, odds.and_then(readable), stake, assumed))
}

fn of_parlay(
    body: &Parlay,
    grade: Grade,
    legs: &[Option<Grade>],
    odds: Option<&str>,
    stake: Option<f64>,
    assumed: &AssumedTerms,
) -> Settlement {
    let own = priced(body, odds);
    let grades: Vec<Grade> = match (legs.is_empty(), grade) {
        // The open legs of a lost parlay do not matter.
        (false, Grade::Lost) => legs.iter().map(|leg| leg.unwrap_or(Grade::Void)).collect(),
        (false, _) => legs.iter().copied().flatten().collect(),
        (true, Grade::HalfWon | Grade::HalfLost) => Vec::new(),
        (true, stated) => vec![stated; body.picks.len()],
    };
    let by_legs = parlay(&own, &grades, stake, assumed).ok();
    by_legs.unwrap_or_else(|| {
        let product: Option<Vec<Odds>> = own.picks.iter().map(|pick| pick.odds.as_deref().and_then(readable)).collect();
        at(grade, odds.and_then(readable).or_else(|| Odds::parlay(&product?)), stake, assumed)
    })
}

/// The parlay at these odds. Odds of legs that cannot be parsed are removed.
fn priced(body: &Parlay, odds: Option<&str>) -> Parlay {
    let leg = |pick: &Pick| Pick { odds: pick.odds.clone().filter(|odds| readable(odds).is_some()), ..pick.clone() };
    Parlay { picks: body.picks.iter().map(leg).collect(), odds: odds.map(str::to_owned), ..body.clone() }
}

fn at(grade: Grade, odds: Option<Odds>, stake: Option<f64>, assumed: &AssumedTerms) -> Settlement {
    let (odds, stake) = (odds.or(assumed.odds), stake.or(assumed.stake).unwrap_or(1.0));
    Settlement { grade, stake, odds, units: profit(grade, stake, odds.unwrap_or(Odds::USUAL)) }
}

fn market(body: &PickBody) -> Market {
    match body {
        PickBody::Single(pick) => pick.kind.into(),
        PickBody::Parlay(_) => Market::Parlay,
    }
}

/// The sport of a pick; for a parlay, the sport that all legs share.
fn sport(body: &PickBody) -> Option<String> {
    match body {
        PickBody::Single(pick) => pick.sport.clone(),
        PickBody::Parlay(parlay) => {
            let first = parlay.picks.first()?.sport.as_ref()?;
            parlay.picks.iter().all(|leg| leg.sport.as_ref() == Some(first)).then(|| first.clone())
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use chrono::Utc;
    use perch_jobs::ExtractedBets;

    use super::*;

    const LAKERS: &str = r#"{"type":"spread","sport":"nba","event":null,"selection":"Los Angeles Lakers","line":-3.5,"side":null,"player":null,"stat":null,"odds":"-110","units":2}"#;

    pub(in crate::tracking) fn tracked(json: &str) -> TrackedPick {
        let pick = match ExtractedBets::parse(json).expect("a valid answer") {
            ExtractedBets::One(pick) => PickBody::Single(pick),
            ExtractedBets::Parlay(parlay) => PickBody::Parlay(parlay),
            other => panic!("one pick: {other:?}"),
        };
        TrackedPick {
            number: 1,
            key: pick.key(),
            grade: None,
            legs: Vec::new(),
            pick,
            source_post: "1".parse().expect("an id"),
            author: "Sharp_Sally".into(),
            posted_at: Utc::now(),
            first_seen: Utc::now(),
            accounts: 1,
            stake: None,
            units: None,
            closing_odds: None,
            settled_at: None,
            settled_by: None,
            source: None,
            held: false,
            over_at: None,
            terms: None,
            part: None,
            note: None,
            revision: 0,
            read_by: None,
            unconfirmed: false,
            confirmed_by: None,
            confirmed_at: None,
        }
    }

    fn settlement(grade: Grade, legs: &[Option<Grade>], closing: Option<&str>) -> PickSettlement {
        PickSettlement {
            key: "k".into(),
            grade: Some(grade),
            legs: legs.to_vec(),
            closing_odds: closing.map(str::to_owned),
            source: None,
            held: false,
            over_at: None,
            note: None,
            bets: Vec::new(),
            seen_revision: 0,
        }
    }

    fn named(author: &str, odds: Option<&str>, units: Option<f64>) -> PickSighting {
        PickSighting {
            pick_key: "k".into(),
            post_id: "1".parse().expect("an id"),
            author: author.into(),
            odds: odds.map(str::to_owned),
            units,
            seen_at: Utc::now(),
        }
    }

    #[test]
    fn each_account_wins_and_loses_at_its_own_odds_and_stake_and_at_what_is_assumed_where_it_names_none() {
        let named =
            [named("Sharp_Sally", Some("-110"), Some(2.0)), named("pete", Some("+105"), None), named("x", None, None)];
        let lakers = tracked(LAKERS);
        let won = bets(&lakers, Grade::Won, &settlement(Grade::Won, &[], Some("-120")), &named, &AssumedTerms::USUAL);
        let shown: Vec<_> = won.iter().map(|bet| (bet.account.as_str(), bet.stake, bet.units)).collect();
        assert_eq!(shown, [("sharp_sally", 2.0, 1.82), ("pete", 1.0, 1.05), ("x", 1.0, 0.91)]);
        assert_eq!(
            won.iter().map(|bet| (bet.odds_assumed, bet.stake_assumed)).collect::<Vec<_>>(),
            [(false, false), (false, true), (true, true)]
        );
        assert!(won[..2].iter().all(|bet| bet.closing.is_some_and(|closing| closing < 1.84) && bet.market == "spread"));
        assert_eq!(won[2].closing, None, "nobody took the odds that are assumed");
        let lost =
            bets(&lakers, Grade::HalfLost, &settlement(Grade::HalfLost, &[], None), &named[..1], &AssumedTerms::USUAL);
        assert!((lost[0].units + 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_parlay_is_paid_by_its_legs_and_one_lost_leg_loses_it_whatever_the_others_do() {
        let celtics = LAKERS.replace("Los Angeles Lakers", "Boston Celtics");
        let parlay = tracked(&format!(r#"{{"type":"parlay","picks":[{LAKERS},{celtics}],"odds":"+264"}}"#));
        let named = [named("pete", Some("+264"), None)];
        let bet = |grade, legs: &[Option<Grade>]| {
            bets(&parlay, grade, &settlement(grade, legs, Some("+264")), &named, &AssumedTerms::USUAL).remove(0)
        };
        let units = |grade, legs: &[Option<Grade>]| bet(grade, legs).units;
        assert!((units(Grade::Won, &[]) - 2.64).abs() < 1e-9);
        assert!((units(Grade::Won, &[Some(Grade::Won), Some(Grade::Push)]) - 0.91).abs() < 1e-9);
        assert!((units(Grade::Lost, &[None, Some(Grade::Lost)]) + 1.0).abs() < 1e-9);
        assert!((units(Grade::HalfWon, &[]) - 1.32).abs() < 1e-9);
        assert!(bet(Grade::Won, &[Some(Grade::Won); 2]).closing.is_some());
        assert_eq!(
            bet(Grade::Won, &[Some(Grade::Won), Some(Grade::Push)]).closing,
            None,
            "the odds are of another bet"
        );
        assert_eq!(sport(&parlay.pick).as_deref(), Some("nba"));
    }

    #[test]
    fn the_state_of_a_parlay_says_what_its_units_say() {
        use Grade::{HalfLost, Lost, Push, Void, Won};
        let leg = LAKERS.replace("-110", "3.0");
        let other = leg.replace("Los Angeles Lakers", "Boston Celtics");
        let PickBody::Parlay(dear) =
            tracked(&format!(r#"{{"type":"parlay","picks":[{leg},{other}],"odds":null}}"#)).pick
        else {
            panic!("a parlay")
        };
        for (legs, state) in [
            ([None, Some(Lost)], Some(Lost)),
            ([None, Some(Won)], None),
            ([Some(Void), Some(Won)], Some(Won)),
            ([Some(Void), Some(Push)], Some(Push)),
            ([Some(Void), Some(Void)], Some(Void)),
            ([Some(HalfLost), Some(Won)], Some(Won)),
            ([Some(HalfLost), Some(Push)], Some(HalfLost)),
        ] {
            assert_eq!(whole(&dear, &legs, &AssumedTerms::USUAL), state, "{legs:?}");
        }
    }

    #[test]
    fn a_stake_that_stands_beside_the_pick_is_that_of_its_first_post_and_a_post_after_the_end_has_no_bet() {
        let terms = crate::normal::BetTerms { units: Some(3.0), ..crate::normal::BetTerms::default() };
        let lakers = TrackedPick { terms: Some(terms), ..tracked(LAKERS) };
        let late = PickSighting { post_id: "2".parse().expect("an id"), ..named("pete", None, None) };
        let named = [named("sally", None, None), late.clone()];
        let settled = settlement(Grade::Won, &[], None);
        let stakes: Vec<(f64, bool)> = bets(&lakers, Grade::Won, &settled, &named, &AssumedTerms::USUAL)
            .iter()
            .map(|bet| (bet.stake, bet.stake_assumed))
            .collect();
        assert_eq!(stakes, [(3.0, false), (1.0, true)]);
        let over = PickSettlement { over_at: Some(late.seen_at - chrono::TimeDelta::hours(1)), ..settled };
        assert!(bets(&lakers, Grade::Won, &over, &[late], &AssumedTerms::USUAL).is_empty());
    }
}
