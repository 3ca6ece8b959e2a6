use super::{GradedBet, Record, closing_line_value};
use crate::settle::Grade;

/// The record of these bets, in any order.
pub fn record<'a>(bets: impl IntoIterator<Item = &'a GradedBet>) -> Record {
    let mut bets: Vec<&GradedBet> = bets.into_iter().collect();
    // Bets of one post have the same time and are ordered as in the post.
    bets.sort_by(|a, b| (a.posted_at, a.number, &a.account).cmp(&(b.posted_at, b.number, &b.account)));
    let mut record = Record::default();
    let mut sums = UnitSums::default();
    for bet in bets {
        record.count(bet.grade);
        sums.add(bet);
        record.run(bet.grade);
    }
    record.staked = units(sums.staked);
    record.units = units(sums.won);
    record.roi = share(sums.won, sums.staked);
    record.hit_rate = record.hit_rate();
    record.with_closing = sums.with_closing;
    record.clv = mean(sums.closing_value, sums.with_closing);
    record.beat_closing = mean(sums.beat_closing, sums.with_closing);
    record
}

/// Sums in hundredths of a unit, which add up exactly.
#[derive(Default)]
struct UnitSums {
    staked: i64,
    won: i64,
    closing_value: f64,
    beat_closing: f64,
    with_closing: u64,
}

impl UnitSums {
    fn add(&mut self, bet: &GradedBet) {
        if bet.grade != Grade::Void {
            self.staked += hundredths(bet.stake);
        }
        self.won += hundredths(bet.units);
        if let (Some(taken), Some(closing)) = (bet.odds, bet.closing) {
            let value = closing_line_value(taken, closing);
            self.closing_value += value;
            self.beat_closing += if value > 0.0 { 1.0 } else { 0.0 };
            self.with_closing += 1;
        }
    }
}

impl Record {
    fn count(&mut self, grade: Grade) {
        self.bets += 1;
        *match grade {
            Grade::Won => &mut self.won,
            Grade::Lost => &mut self.lost,
            Grade::Push => &mut self.pushed,
            Grade::Void => &mut self.void,
            Grade::HalfWon => &mut self.half_won,
            Grade::HalfLost => &mut self.half_lost,
        } += 1;
    }

    fn run(&mut self, grade: Grade) {
        match grade {
            Grade::Won | Grade::HalfWon => {
                self.streak = self.streak.max(0) + 1;
                self.longest_won = self.longest_won.max(self.streak.unsigned_abs());
            }
            Grade::Lost | Grade::HalfLost => {
                self.streak = self.streak.min(0) - 1;
                self.longest_lost = self.longest_lost.max(self.streak.unsigned_abs());
            }
            Grade::Push | Grade::Void => {}
        }
    }

    fn hit_rate(&self) -> Option<f64> {
        let won = 2 * self.won + self.half_won;
        mean(as_number(won), won + 2 * self.lost + self.half_lost)
    }
}

/// Larger stakes are not valid; the bound keeps sums exact.
const MOST: f64 = 1e12;

#[expect(clippy::cast_possible_truncation, reason = "bounded before")]
fn hundredths(units: f64) -> i64 {
    (crate::settle::in_units(units.clamp(-MOST, MOST)) * 100.0).round() as i64
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 hundredths")]
fn units(hundredths: i64) -> f64 {
    hundredths as f64 / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "counts of bets")]
fn as_number(count: u64) -> f64 {
    count as f64
}

fn share(won: i64, staked: i64) -> Option<f64> {
    (staked > 0).then(|| units(won) / units(staked))
}

fn mean(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / as_number(count))
}

#[cfg(test)]
pub(super) mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use proptest::prelude::*;

    use super::*;
    use crate::{Odds, record::Market, settle::profit};

    pub(in crate::record) fn bet(day: i64, grade: Grade, odds: &str, stake: f64) -> GradedBet {
        let odds = Odds::parse(odds).expect("odds");
        GradedBet {
            number: 1,
            account: "sharp_sally".into(),
            sport: Some("nba".into()),
            market: Market::Spread,
            posted_at: "2026-11-01T18:00:00Z".parse::<DateTime<Utc>>().expect("a time") + TimeDelta::days(day),
            grade,
            stake,
            units: profit(grade, stake, odds),
            odds: Some(odds),
            closing: None,
        }
    }

    #[test]
    fn a_record_says_wins_units_and_return() {
        let bets = [
            bet(0, Grade::Won, "+150", 2.0),
            bet(1, Grade::Lost, "-110", 1.1),
            bet(2, Grade::Push, "-110", 1.0),
            bet(3, Grade::Void, "-110", 5.0),
            bet(4, Grade::HalfWon, "1.90", 1.0),
        ];
        let record = record(&bets);
        assert_eq!(record.tally(), "2-1-1");
        assert_eq!((record.bets, record.void, record.half_won), (5, 1, 1));
        assert_eq!((record.staked, record.units), (5.1, 2.35));
        assert!((record.roi.expect("staked") - 2.35 / 5.1).abs() < 1e-12);
        assert!((record.hit_rate.expect("decided") - 1.5 / 2.5).abs() < 1e-12);
    }

    #[test]
    fn streaks_go_by_time_and_what_came_back_does_not_end_them() {
        let bets = [
            bet(5, Grade::HalfWon, "1.9", 1.0),
            bet(0, Grade::Lost, "-110", 1.0),
            bet(1, Grade::Lost, "-110", 1.0),
            bet(2, Grade::Won, "-110", 1.0),
            bet(3, Grade::Push, "-110", 1.0),
            bet(4, Grade::Won, "-110", 1.0),
        ];
        let so_far = record(&bets);
        assert_eq!((so_far.streak, so_far.longest_won, so_far.longest_lost), (3, 3, 2));
        let after = record(bets.iter().chain([&bet(6, Grade::HalfLost, "1.9", 1.0)]));
        assert_eq!((after.streak, after.longest_won), (-1, 3));
    }

    #[test]
    fn a_card_of_one_post_runs_in_the_order_of_its_picks() {
        let grades = [Grade::Lost, Grade::Won, Grade::Lost, Grade::Won];
        let card: Vec<GradedBet> =
            (1..).zip(grades).map(|(number, grade)| GradedBet { number, ..bet(0, grade, "-110", 1.0) }).collect();
        let record = record(card.iter().rev());
        assert_eq!((record.streak, record.longest_won, record.longest_lost), (1, 1, 1));
    }

    #[test]
    fn a_price_better_than_the_closing_one_has_value() {
        let taken = |odds, closing: &str| GradedBet {
            closing: Some(Odds::parse(closing).expect("odds")),
            ..bet(0, Grade::Lost, odds, 1.0)
        };
        let record = record(&[taken("2.10", "2.00"), taken("2.00", "2.10"), bet(0, Grade::Won, "+100", 1.0)]);
        assert_eq!(record.with_closing, 2);
        assert_eq!(record.beat_closing, Some(0.5));
        let expected = f64::midpoint(2.1 / 2.0 - 1.0, 2.0 / 2.1 - 1.0);
        assert!((record.clv.expect("closing odds") - expected).abs() < 1e-12);
    }

    #[test]
    fn no_bets_are_a_record_that_says_nothing() {
        let record = record(&[]);
        assert_eq!(record, Record::default());
        assert_eq!((record.roi, record.hit_rate, record.tally()), (None, None, "0-0".into()));
    }

    pub(in crate::record) fn bets() -> impl Strategy<Value = Vec<GradedBet>> {
        let one = (0_i64..90, 0_usize..6, 101_u32..2_000, 1_u32..1_000).prop_map(|(day, grade, odds, stake)| {
            let odds = format!("{:.2}", f64::from(odds) / 100.0);
            bet(day, Grade::ALL[grade], &odds, f64::from(stake) / 100.0)
        });
        let numbered =
            |bets: Vec<GradedBet>| (1..).zip(bets).map(|(number, bet)| GradedBet { number, ..bet }).collect();
        prop::collection::vec(one, 0..40).prop_map(numbered)
    }

    proptest! {
        #[test]
        fn the_sums_of_two_records_are_those_of_both(a in bets(), b in bets()) {
            let (first, second) = (record(&a), record(&b));
            let both = record(a.iter().chain(&b));
            prop_assert_eq!(both.bets, first.bets + second.bets);
            prop_assert_eq!(both.won, first.won + second.won);
            prop_assert_eq!(both.lost, first.lost + second.lost);
            prop_assert_eq!(hundredths(both.staked), hundredths(first.staked) + hundredths(second.staked));
            prop_assert_eq!(hundredths(both.units), hundredths(first.units) + hundredths(second.units));
        }

        #[test]
        fn a_return_is_never_below_the_loss_of_everything_nor_above_the_best_odds(bets in bets()) {
            let record = record(&bets);
            let best = bets.iter().filter_map(|b| b.odds).map(Odds::decimal).fold(1.0, f64::max);
            if let Some(roi) = record.roi {
                prop_assert!(roi >= -1.0 - 1e-9 && roi <= best - 1.0 + 0.5, "{}", roi);
            }
            if let Some(rate) = record.hit_rate {
                prop_assert!((0.0..=1.0).contains(&rate));
            }
            prop_assert!(record.streak.unsigned_abs() <= record.longest_won.max(record.longest_lost));
        }

        #[test]
        fn the_order_in_which_bets_are_given_does_not_show(bets in bets()) {
            let turned: Vec<GradedBet> = bets.iter().rev().cloned().collect();
            prop_assert_eq!(record(&bets), record(&turned));
        }
    }
}
