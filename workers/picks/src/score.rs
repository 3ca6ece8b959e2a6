//! How well answers match the labels of examples: by post, by field, and on posts without a pick.

use std::collections::BTreeMap;

use perch_jobs::{Bet, ExtractedBets, Pick, PickKind, Side};
use perch_odds::Odds;
use serde::Serialize;

/// The names of the fields of a pick, in the order of the answer.
const FIELDS: [&str; 10] = ["type", "sport", "event", "selection", "line", "side", "player", "stat", "odds", "units"];

/// How often one field was given, expected, and right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Field {
    /// How often the label has it.
    pub expected: u64,
    /// How often the answer has it.
    pub given: u64,
    /// How often both have it with the same value.
    pub right: u64,
}

impl Field {
    /// The share of given values that were right. `None` when it was never given.
    pub fn precision(self) -> Option<f64> {
        share(self.right, self.given)
    }

    /// The share of expected values that were found. `None` when it was never expected.
    pub fn recall(self) -> Option<f64> {
        share(self.right, self.expected)
    }
}

/// The score of answers over many posts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Score {
    /// Posts.
    pub posts: u64,
    /// Posts with every field of every pick right.
    pub exact: u64,
    /// Posts that recommend nothing.
    pub nulls: u64,
    /// Of those, posts with an empty answer.
    pub nulls_right: u64,
    /// Bets in the answers to posts that recommend nothing.
    pub false_picks: u64,
    /// Posts that recommend something and got an empty answer.
    pub missed: u64,
    /// The score of each field by its name. The odds of parlays count as odds.
    pub fields: BTreeMap<&'static str, Field>,
}

impl Score {
    /// Counts one post. True when the whole answer is right.
    pub fn add(&mut self, expected: &ExtractedBets, given: &ExtractedBets) -> bool {
        let right = agree(expected, given);
        let (wanted, got) = (picks(expected), picks(given));
        self.posts += 1;
        self.exact += u64::from(right);
        if wanted.is_empty() {
            self.nulls += 1;
            self.nulls_right += u64::from(got.is_empty());
            self.false_picks += given.clone().into_bets().len() as u64;
        } else {
            self.missed += u64::from(got.is_empty());
        }
        self.fields(&wanted, &got);
        if let (ExtractedBets::Parlay(_), _) | (_, ExtractedBets::Parlay(_)) = (expected, given) {
            let of = |answer: &ExtractedBets| if let ExtractedBets::Parlay(p) = answer { p.odds.clone() } else { None };
            self.count("odds", &Value::odds(of(expected).as_deref()), &Value::odds(of(given).as_deref()));
        }
        right
    }

    /// Counts one post that got no answer at all. It counts as wrong, even if the right answer was empty.
    pub fn add_failed(&mut self, expected: &ExtractedBets) {
        let wanted = picks(expected);
        self.posts += 1;
        self.nulls += u64::from(wanted.is_empty());
        self.missed += u64::from(!wanted.is_empty());
        self.fields(&wanted, &[]);
    }

    /// The share of posts that were completely right.
    pub fn exact_match(&self) -> Option<f64> {
        share(self.exact, self.posts)
    }

    /// The share of posts without a pick that got an empty answer.
    pub fn null_accuracy(&self) -> Option<f64> {
        share(self.nulls_right, self.nulls)
    }

    /// All fields together.
    pub fn all_fields(&self) -> Field {
        self.fields.values().fold(Field::default(), |sum, field| Field {
            expected: sum.expected + field.expected,
            given: sum.given + field.given,
            right: sum.right + field.right,
        })
    }

    /// Compares each pick with the most similar one.
    fn fields(&mut self, wanted: &[Pick], got: &[Pick]) {
        let mut left: Vec<[Value; 10]> = got.iter().map(values).collect();
        let mut wanted: Vec<[Value; 10]> = wanted.iter().map(values).collect();
        let nothing = [const { Value::Nothing }; 10];
        let alike =
            |a: &[Value; 10], b: &[Value; 10]| a.iter().zip(b).filter(|(a, b)| a == b && **a != Value::Nothing).count();
        let pairs = |wanted: &[_], left: &[_]| {
            let all = (0..wanted.len()).flat_map(|w| (0..left.len()).map(move |l| (w, l)));
            all.rev().max_by_key(|(w, l)| alike(&wanted[*w], &left[*l]))
        };
        while let Some((w, l)) = pairs(&wanted, &left) {
            self.compare(&wanted.remove(w), &left.remove(l));
        }
        for pick in &wanted {
            self.compare(pick, &nothing);
        }
        for given in &left {
            self.compare(&nothing, given);
        }
    }

    fn compare(&mut self, expected: &[Value; 10], given: &[Value; 10]) {
        for (name, (expected, given)) in FIELDS.into_iter().zip(expected.iter().zip(given)) {
            self.count(name, expected, given);
        }
    }

    fn count(&mut self, name: &'static str, expected: &Value, given: &Value) {
        let field = self.fields.entry(name).or_default();
        field.expected += u64::from(*expected != Value::Nothing);
        field.given += u64::from(*given != Value::Nothing);
        field.right += u64::from(*expected != Value::Nothing && expected == given);
    }
}

/// Whether an answer is right: the same bets in any order, with every field equal. Names are compared without regard to case, odds by
/// value. A list of one equals that one, and an empty list equals no pick.
pub fn agree(expected: &ExtractedBets, given: &ExtractedBets) -> bool {
    let (mut wanted, got) = (expected.clone().into_bets(), given.clone().into_bets());
    wanted.len() == got.len()
        && got.iter().all(|bet| {
            let found = wanted.iter().position(|other| same_bet(other, bet));
            found.map(|at| wanted.remove(at)).is_some()
        })
}

fn same_bet(a: &Bet, b: &Bet) -> bool {
    match (a, b) {
        (Bet::Single(a), Bet::Single(b)) => values(a) == values(b),
        (Bet::Parlay(a), Bet::Parlay(b)) => {
            let mut wanted: Vec<_> = a.picks.iter().map(values).collect();
            Value::odds(a.odds.as_deref()) == Value::odds(b.odds.as_deref())
                && a.picks.len() == b.picks.len()
                && b.picks.iter().all(|leg| {
                    let found = wanted.iter().position(|other| *other == values(leg));
                    found.map(|at| wanted.remove(at)).is_some()
                })
        }
        _ => false,
    }
}

/// All single picks of an answer, including the legs of a parlay.
pub fn picks(answer: &ExtractedBets) -> Vec<Pick> {
    let single = |bet| match bet {
        Bet::Single(pick) => vec![pick],
        Bet::Parlay(parlay) => parlay.picks,
    };
    answer.clone().into_bets().into_iter().flat_map(single).collect()
}

/// A field in the form in which it is compared.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Nothing,
    Word(String),
    /// Thousandths.
    Number(i64),
    Side(Side),
    Kind(PickKind),
}

impl Value {
    fn word(text: Option<&String>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Word(text.trim().to_lowercase()))
    }

    #[expect(clippy::cast_possible_truncation, reason = "lines and stakes are bounded")]
    fn number(number: Option<f64>) -> Self {
        number.map_or(Self::Nothing, |number| Self::Number((number * 1_000.0).round() as i64))
    }

    fn odds(written: Option<&str>) -> Self {
        match written.map(|odds| (odds, Odds::parse(odds))) {
            None => Self::Nothing,
            Some((_, Ok(odds))) => Self::number(Some(odds.decimal() * 1_000.0)),
            Some((odds, Err(_))) => Self::Word(odds.to_owned()),
        }
    }
}

fn values(pick: &Pick) -> [Value; 10] {
    [
        Value::Kind(pick.kind),
        Value::word(pick.sport.as_ref()),
        Value::word(pick.event.as_ref()),
        Value::word(pick.selection.as_ref()),
        Value::number(pick.line),
        pick.side.map_or(Value::Nothing, Value::Side),
        Value::word(pick.player.as_ref()),
        Value::word(pick.stat.as_ref()),
        Value::odds(pick.odds.as_deref()),
        Value::number(pick.units),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "counts of posts")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAKERS: &str = r#"{"type":"spread","sport":"nba","event":null,"selection":"Los Angeles Lakers","line":-3.5,"side":null,"player":null,"stat":null,"odds":"-110","units":2}"#;

    fn answer(text: &str) -> ExtractedBets {
        ExtractedBets::parse(text).expect("a valid answer")
    }

    fn heat() -> String {
        LAKERS.replace("Los Angeles Lakers", "Miami Heat")
    }

    #[test]
    fn an_answer_is_right_when_every_field_is_whatever_the_case_and_the_order() {
        let both = answer(&format!("[{LAKERS},{}]", heat()));
        assert!(agree(&both, &answer(&format!("[{},{LAKERS}]", heat().to_lowercase()))));
        assert!(agree(&answer(LAKERS), &answer(&format!("[{LAKERS}]"))));
        assert!(agree(&answer("null"), &answer("[]")));
        assert!(agree(&answer(&LAKERS.replace("-110", "+100")), &answer(&LAKERS.replace("-110", "2.00"))));
        for wrong in [LAKERS.replace("-3.5", "3.5"), LAKERS.replace(":2}", ":null}"), "null".into(), heat()] {
            assert!(!agree(&answer(LAKERS), &answer(&wrong)), "{wrong}");
        }
        assert!(!agree(&both, &answer(&format!("[{LAKERS},{LAKERS}]"))));
    }

    #[test]
    fn the_odds_of_a_parlay_count_and_so_does_being_one() {
        let parlay =
            |odds: &str| answer(&format!(r#"{{"type":"parlay","picks":[{LAKERS},{}],"odds":"{odds}"}}"#, heat()));
        assert!(agree(&parlay("+264"), &parlay("3.64")));
        assert!(!agree(&parlay("+264"), &parlay("+300")));
        assert!(!agree(&parlay("+264"), &answer(&format!("[{LAKERS},{}]", heat()))));
    }

    #[test]
    fn fields_are_counted_beside_the_pick_that_is_most_alike() {
        let mut score = Score::default();
        let wanted = answer(&format!("[{LAKERS},{}]", heat()));
        let got = answer(&heat().replace("\"-110\"", "null").replace("-3.5", "-4").replace(":2}", ":1}"));
        assert!(!score.add(&wanted, &got));
        assert_eq!(score.fields["selection"], Field { expected: 2, given: 1, right: 1 });
        assert_eq!(score.fields["line"], Field { expected: 2, given: 1, right: 0 });
        assert_eq!(score.fields["odds"], Field { expected: 2, given: 0, right: 0 });
        assert_eq!(score.fields["odds"].precision(), None);
        assert_eq!(score.fields["selection"].recall(), Some(0.5));
    }

    #[test]
    fn posts_without_a_pick_are_counted_apart() {
        let mut score = Score::default();
        assert!(score.add(&answer("null"), &answer("null")));
        assert!(!score.add(&answer("null"), &answer(LAKERS)));
        assert!(!score.add(&answer(LAKERS), &answer("null")));
        assert_eq!((score.posts, score.exact, score.nulls, score.nulls_right, score.missed), (3, 1, 2, 1, 1));
        assert_eq!((score.false_picks, score.null_accuracy()), (1, Some(0.5)));
        assert_eq!(Score::default().exact_match(), None);
        assert_eq!(score.all_fields().given, score.all_fields().expected);
    }
}
