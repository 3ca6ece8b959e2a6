//! What a settled pick comes to for each account that named it. Decisions only; no I/O.

use perch_base::settings::TrackingSettings;
use perch_jobs::{Parlay, Pick};
use perch_picks::{
    odds::Odds,
    record::Market,
    settle::{Assumed, Grade, Settlement, parlay, profit, single},
};
use perch_store::{PickBody, PickSighting, SettledBet, TrackedPick};

/// What stands in where a post names no odds or no stake.
pub(super) fn assumed(settings: &TrackingSettings) -> Assumed {
    let odds = Odds::parse(&settings.assumed_odds).unwrap_or(Odds::USUAL);
    Assumed { odds: Some(odds), stake: Some(settings.assumed_stake) }
}

/// The grade of a parlay as far as its legs decide it: one lost leg does, else all have to be known.
pub(super) fn whole(legs: &[Option<Grade>]) -> Option<Grade> {
    if legs.contains(&Some(Grade::Lost)) {
        return Some(Grade::Lost);
    }
    let known: Vec<Grade> = legs.iter().copied().collect::<Option<_>>()?;
    let fell_out = |grade: &Grade| matches!(grade, Grade::Push | Grade::Void);
    Some(match known.as_slice() {
        all if all.iter().all(|grade| *grade == Grade::Void) => Grade::Void,
        all if all.iter().all(fell_out) => Grade::Push,
        all if all.contains(&Grade::HalfLost) => Grade::HalfLost,
        _ => Grade::Won,
    })
}

/// What the pick came to for each account that named it, at the odds and the stake of its own post.
pub(super) fn bets(
    tracked: &TrackedPick,
    grade: Grade,
    legs: &[Option<Grade>],
    closing: Option<Odds>,
    named: &[PickSighting],
    assumed: &Assumed,
) -> Vec<SettledBet> {
    let of_account = |sighting: &PickSighting| {
        let odds = sighting.odds.as_deref().filter(|odds| readable(odds).is_some());
        let stake = sighting.units.filter(|units| *units > 0.0 && *units <= 1_000.0);
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
            closing: closing.map(Odds::decimal),
            stake: settled.stake,
            stake_assumed: stake.is_none(),
            units: settled.units,
        }
    };
    named.iter().map(of_account).collect()
}

fn readable(written: &str) -> Option<Odds> {
    Odds::parse(written).ok()
}

fn of_single(pick: &Pick, grade: Grade, odds: Option<&str>, stake: Option<f64>, assumed: &Assumed) -> Settlement {
    let own = Pick { odds: odds.map(str::to_owned), units: stake, ..pick.clone() };
    single(&own, grade, assumed).unwrap_or_else(|_| at(grade, odds.and_then(readable), stake, assumed))
}

fn of_parlay(
    body: &Parlay,
    grade: Grade,
    legs: &[Option<Grade>],
    odds: Option<&str>,
    stake: Option<f64>,
    assumed: &Assumed,
) -> Settlement {
    // What a leg says of its odds counts where it can be read.
    let leg = |pick: &Pick| Pick { odds: pick.odds.clone().filter(|odds| readable(odds).is_some()), ..pick.clone() };
    let own = Parlay { picks: body.picks.iter().map(leg).collect(), odds: odds.map(str::to_owned), ..body.clone() };
    let grades: Vec<Grade> = match (legs.is_empty(), grade) {
        // Of a lost parlay the legs that are still open do not matter.
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

fn at(grade: Grade, odds: Option<Odds>, stake: Option<f64>, assumed: &Assumed) -> Settlement {
    let (odds, stake) = (odds.or(assumed.odds), stake.or(assumed.stake).unwrap_or(1.0));
    Settlement { grade, stake, odds, units: profit(grade, stake, odds.unwrap_or(Odds::USUAL)) }
}

fn market(body: &PickBody) -> Market {
    match body {
        PickBody::Single(pick) => pick.kind.into(),
        PickBody::Parlay(_) => Market::Parlay,
    }
}

/// The sport of a pick; of a parlay the one that all legs share.
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
mod tests {
    use chrono::Utc;
    use perch_jobs::Answer;

    use super::*;

    const LAKERS: &str = r#"{"type":"spread","sport":"nba","event":null,"selection":"Los Angeles Lakers","line":-3.5,"side":null,"player":null,"stat":null,"odds":"-110","units":2}"#;

    fn tracked(json: &str) -> TrackedPick {
        let pick = match Answer::parse(json).expect("a valid answer") {
            Answer::One(pick) => PickBody::Single(pick),
            Answer::Parlay(parlay) => PickBody::Parlay(parlay),
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
            note: None,
            revision: 0,
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
        let won = bets(&tracked(LAKERS), Grade::Won, &[], Odds::parse("-120").ok(), &named, &Assumed::USUAL);
        let shown: Vec<_> = won.iter().map(|bet| (bet.account.as_str(), bet.stake, bet.units)).collect();
        assert_eq!(shown, [("sharp_sally", 2.0, 1.82), ("pete", 1.0, 1.05), ("x", 1.0, 0.91)]);
        assert_eq!(
            won.iter().map(|bet| (bet.odds_assumed, bet.stake_assumed)).collect::<Vec<_>>(),
            [(false, false), (false, true), (true, true)]
        );
        assert!(won.iter().all(|bet| bet.closing.is_some_and(|closing| closing < 1.84) && bet.market == "spread"));
        let lost = bets(&tracked(LAKERS), Grade::HalfLost, &[], None, &named[..1], &Assumed::USUAL);
        assert!((lost[0].units + 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_parlay_is_paid_by_its_legs_and_one_lost_leg_loses_it_whatever_the_others_do() {
        let celtics = LAKERS.replace("Los Angeles Lakers", "Boston Celtics");
        let parlay = tracked(&format!(r#"{{"type":"parlay","picks":[{LAKERS},{celtics}],"odds":"+264"}}"#));
        let named = [named("pete", Some("+264"), None)];
        let units = |grade, legs: &[Option<Grade>]| bets(&parlay, grade, legs, None, &named, &Assumed::USUAL)[0].units;
        assert!((units(Grade::Won, &[]) - 2.64).abs() < 1e-9);
        assert!((units(Grade::Won, &[Some(Grade::Won), Some(Grade::Push)]) - 0.91).abs() < 1e-9);
        assert!((units(Grade::Lost, &[None, Some(Grade::Lost)]) + 1.0).abs() < 1e-9);
        assert!((units(Grade::HalfWon, &[]) - 1.32).abs() < 1e-9);
        assert_eq!(whole(&[None, Some(Grade::Lost)]), Some(Grade::Lost));
        assert_eq!(whole(&[None, Some(Grade::Won)]), None);
        assert_eq!(whole(&[Some(Grade::Void), Some(Grade::Won)]), Some(Grade::Won));
        assert_eq!(whole(&[Some(Grade::Void), Some(Grade::Push)]), Some(Grade::Push));
        assert_eq!(sport(&parlay.pick).as_deref(), Some("nba"));
    }
}
