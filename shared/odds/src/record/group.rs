use std::{collections::BTreeMap, fmt, str::FromStr};

use chrono::{DateTime, Datelike as _, Utc};
use serde::{Deserialize, Serialize};

use super::{GradedBet, Record, record};

/// A period of time, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// A day: `2026-11-21`.
    Day,
    /// A week from Monday: `2026-W47`.
    Week,
    /// A month: `2026-11`.
    Month,
    /// A year: `2026`.
    Year,
}

impl Period {
    /// The name of the period that a time falls into. Names sort by time.
    pub fn of(self, at: DateTime<Utc>) -> String {
        match self {
            Self::Day => at.format("%Y-%m-%d").to_string(),
            Self::Week => {
                let week = at.iso_week();
                format!("{}-W{:02}", week.year(), week.week())
            }
            Self::Month => at.format("%Y-%m").to_string(),
            Self::Year => at.format("%Y").to_string(),
        }
    }
}

/// What records are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// Who posted the bet.
    Account,
    /// The sport; `other` for bets that name none.
    Sport,
    /// The market.
    Market,
    /// When it was posted.
    #[serde(untagged)]
    Period(Period),
}

impl GroupBy {
    /// Every grouping with its name.
    const ALL: [(Self, &'static str); 7] = [
        (Self::Account, "account"),
        (Self::Sport, "sport"),
        (Self::Market, "market"),
        (Self::Period(Period::Day), "day"),
        (Self::Period(Period::Week), "week"),
        (Self::Period(Period::Month), "month"),
        (Self::Period(Period::Year), "year"),
    ];

    /// The group of a bet.
    pub fn group(self, bet: &GradedBet) -> String {
        match self {
            Self::Account => bet.account.clone(),
            Self::Sport => bet.sport.clone().unwrap_or_else(|| "other".to_owned()),
            Self::Market => bet.market.as_str().to_owned(),
            Self::Period(period) => period.of(bet.posted_at),
        }
    }
}

impl fmt::Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.iter().find(|(by, _)| by == self).map_or("", |(_, word)| word);
        f.write_str(word)
    }
}

/// A text that is not the name of a grouping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("records are not grouped by {0:?}; choose account, sport, market, day, week, month or year")]
pub struct UnknownGrouping(pub String);

impl FromStr for GroupBy {
    type Err = UnknownGrouping;

    fn from_str(word: &str) -> Result<Self, UnknownGrouping> {
        let found = Self::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(word.trim()));
        found.map(|(by, _)| *by).ok_or_else(|| UnknownGrouping(word.to_owned()))
    }
}

/// The record of each group, by its name.
pub fn grouped(bets: &[GradedBet], by: GroupBy) -> BTreeMap<String, Record> {
    let mut groups: BTreeMap<String, Vec<&GradedBet>> = BTreeMap::new();
    for bet in bets {
        groups.entry(by.group(bet)).or_default().push(bet);
    }
    groups.into_iter().map(|(name, bets)| (name, record(bets))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{
            Market,
            tally::tests::{bet, bets},
        },
        *,
    };
    use crate::settle::Grade;

    #[test]
    fn records_are_grouped_by_what_is_asked_for() {
        let one = bet(0, Grade::Won, "+100", 1.0);
        let other = GradedBet {
            account: "dogs_only".into(),
            sport: None,
            market: Market::Parlay,
            ..bet(31, Grade::Lost, "+400", 1.0)
        };
        let bets = [one, other];
        for (by, first, second) in [
            ("account", "dogs_only", "sharp_sally"),
            ("sport", "nba", "other"),
            ("market", "parlay", "spread"),
            ("day", "2026-11-01", "2026-12-02"),
            ("week", "2026-W44", "2026-W49"),
            ("month", "2026-11", "2026-12"),
        ] {
            let by: GroupBy = by.parse().expect("a grouping");
            let names: Vec<String> = grouped(&bets, by).into_keys().collect();
            assert_eq!(names, [first, second]);
        }
        assert_eq!(grouped(&bets, GroupBy::Period(Period::Year)).len(), 1);
    }

    #[test]
    fn a_grouping_is_its_word_everywhere() {
        for (by, word) in GroupBy::ALL {
            assert_eq!((by.to_string().as_str(), word.parse()), (word, Ok(by)));
            let json = serde_json::to_string(&by).expect("a word");
            assert_eq!(json, format!("{word:?}"));
            assert_eq!(serde_json::from_str::<GroupBy>(&json).expect("a grouping"), by);
        }
        assert!("color".parse::<GroupBy>().expect_err("no grouping").to_string().contains("market"));
    }

    proptest! {
        #[test]
        fn every_bet_is_in_one_group(bets in bets(), n in 0_usize..7) {
            let groups = grouped(&bets, GroupBy::ALL[n].0);
            prop_assert_eq!(groups.values().map(|record| record.bets).sum::<u64>(), bets.len() as u64);
        }
    }
}
