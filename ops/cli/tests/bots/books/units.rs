//! What the picks came to, counted again from what the posts say and how the games ended.

use std::collections::{BTreeMap, BTreeSet};

use perch_jobs::ExtractedBets;
use perch_play::{Expectation, ExpectedPick};
use serde_json::Value;

use super::{
    Bet, Books,
    picks::{fields, said_in},
};

/// The odds and the stake of a post that says none, as the configuration is shipped.
const ASSUMED: (f64, f64) = (-110.0, 1.0);
/// What rounding to the hundredth may make of a number.
const HAIR: f64 = 0.005_001;

impl Books {
    pub(super) fn check_bets(&self, expected: &Expectation, wrong: &mut Vec<String>) {
        let authors: BTreeMap<&str, String> =
            expected.posts.iter().map(|post| (post.id.as_str(), post.account.to_lowercase())).collect();
        let by_key = self.bets_by_key(expected);
        let settled: BTreeSet<(&str, &str)> =
            self.bets.iter().map(|bet| (bet.pick.as_str(), bet.account.as_str())).collect();
        let named: BTreeSet<(&str, &str)> = (by_key.iter())
            .flat_map(|(key, pick)| pick.posts.iter().map(|post| (*key, authors[post.as_str()].as_str())))
            .collect();
        if settled != named {
            let odd: Vec<_> = settled.symmetric_difference(&named).collect();
            wrong.push(format!("settled for an account that named none, or not settled for one that did: {odd:?}"));
        }
        for bet in &self.bets {
            let Some(pick) = by_key.get(bet.pick.as_str()) else { continue };
            if let Some(said) = said_in(pick, &bet.post).filter(|_| authors[bet.post.as_str()] == bet.account) {
                check_bet(bet, pick, said, wrong);
            } else {
                let Bet { account, post, .. } = bet;
                wrong.push(format!("{} is settled by {post}, which {account} did not write", pick.name));
            }
        }
    }

    /// Holds the records of the command line against the bets, which [`Books::wrong`] has looked at.
    pub fn check_records(&self, told: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        let groups = told["groups"].as_array().expect("groups");
        let mut accounts: BTreeMap<&str, Vec<&Bet>> = BTreeMap::new();
        for bet in &self.bets {
            accounts.entry(&bet.account).or_default().push(bet);
        }
        if groups.len() != accounts.len() {
            wrong.push(format!("{} records of {} accounts", groups.len(), accounts.len()));
        }
        let of = |name: &str| groups.iter().find(|group| group["group"] == *name).map(|group| &group["record"]);
        for (account, bets) in accounts {
            wrong.extend(
                of(account).is_none_or(|record| !is_of(record, &bets)).then(|| format!("{account}: {:?}", of(account))),
            );
        }
        let all: Vec<&Bet> = self.bets.iter().collect();
        if !is_of(&told["total"], &all) {
            wrong.push(format!("all together: {}", told["total"]));
        }
        wrong
    }
}

fn is_of(record: &Value, bets: &[&Bet]) -> bool {
    let count = |grade: &str| bets.iter().filter(|bet| bet.grade == grade).count();
    let (staked, units) =
        (bets.iter().map(|bet| bet.stake).sum::<f64>(), bets.iter().map(|bet| bet.units).sum::<f64>());
    let is_near = |name: &str, right: f64| record[name].as_f64().is_some_and(|told| (told - right).abs() < HAIR);
    record["bets"] == bets.len()
        && ["won", "lost"].iter().all(|grade| record[*grade] == count(grade))
        && record["pushed"] == count("push")
        && is_near("staked", staked)
        && is_near("units", units)
        && is_near("roi", units / staked)
}

fn check_bet(bet: &Bet, pick: &ExpectedPick, said: &ExtractedBets, wrong: &mut Vec<String>) {
    let (_, _, odds, stake) = fields(said);
    let units = units(pick, odds.as_deref(), stake);
    let is_right = bet.grade == pick.result
        && (bet.stake - stake.unwrap_or(ASSUMED.1)).abs() < HAIR
        && (bet.units - units).abs() < HAIR
        && (bet.is_odds_assumed, bet.is_stake_assumed) == (odds.is_none(), stake.is_none());
    if !is_right {
        let Bet { account, grade, stake, units: counted, .. } = bet;
        wrong.push(format!(
            "{} of {account}: {grade}, {counted} units of {stake} and not {units} for {said:?}",
            pick.name
        ));
    }
}

/// Units won, or lost when negative. A leg that was a push takes its own odds out of those of the parlay.
fn units(pick: &ExpectedPick, odds: Option<&str>, stake: Option<f64>) -> f64 {
    let stake = stake.unwrap_or(ASSUMED.1);
    let american = odds.map_or(ASSUMED.0, |odds| odds.parse().expect("American odds"));
    let pushed = pick.endings.iter().filter(|ending| **ending == "push").count();
    let returned = (0..pushed).fold(returns(american), |returned, _| returned / returns(ASSUMED.0));
    match pick.result {
        "won" => stake * (returned - 1.0),
        "lost" => -stake,
        _ => 0.0,
    }
}

/// What one unit returns when it wins.
fn returns(american: f64) -> f64 {
    1.0 + if american > 0.0 { american / 100.0 } else { 100.0 / -american }
}
