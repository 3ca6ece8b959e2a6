use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{odds::Odds, strict::Strict};

/// What kind of bet a pick is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PickKind {
    /// Who wins.
    Moneyline,
    /// Who wins with points given or taken.
    Spread,
    /// How many points are scored in total.
    Total,
    /// A statistic of one player.
    Prop,
    /// A result later in the season.
    Future,
}

/// Which side of a line a total or a prop takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// More than the line.
    Over,
    /// Less than the line.
    Under,
}

/// One bet that a post recommends. What the post does not say is null; nothing is guessed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    /// The kind of bet.
    #[serde(rename = "type")]
    pub kind: PickKind,
    /// The sport or league in lower case: `nba`, `nfl`, `soccer`, …
    pub sport: Option<String>,
    /// "A vs B" in the order of the post, full names; null when the post names one side only.
    pub event: Option<String>,
    /// The full canonical name of the team or competitor; null for totals of a game and props.
    pub selection: Option<String>,
    /// The line; 0 for a pick'em spread.
    pub line: Option<f64>,
    /// Over or under.
    pub side: Option<Side>,
    /// The player of a prop.
    pub player: Option<String>,
    /// What a prop counts, for example `passing touchdowns`.
    pub stat: Option<String>,
    /// The odds as written: American with its sign, decimal, or a fraction.
    pub odds: Option<String>,
    /// The stake in units.
    pub units: Option<f64>,
}

/// Several bets that win or lose as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parlay {
    /// Always `parlay`.
    #[serde(rename = "type")]
    pub kind: ParlayTag,
    /// The legs, at least two.
    #[schemars(length(min = 2))]
    pub picks: Vec<Pick>,
    /// The odds of the whole, as written.
    pub odds: Option<String>,
}

/// The word that marks a parlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParlayTag {
    /// `parlay`
    Parlay,
}

/// A pick on its own, or a parlay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Bet {
    /// Several picks that win or lose as one.
    Parlay(Parlay),
    /// One pick.
    Single(Pick),
}

impl Bet {
    /// Reads the bet at `path`; an error names the field.
    fn read(value: serde_json::Value, path: &str) -> Result<Self, PickError> {
        if value.get("type").is_some_and(|kind| kind == "parlay") {
            return typed(value, path).map(Self::Parlay);
        }
        typed(value, path).map(Self::Single)
    }

    fn validate(&self, path: &str) -> Result<(), PickError> {
        let parlay = match self {
            Self::Single(pick) => return pick.validate(path),
            Self::Parlay(parlay) => parlay,
        };
        if parlay.picks.len() < 2 {
            return Err(PickError { path: format!("{path}.picks"), reason: "a parlay has at least two legs".into() });
        }
        check_odds(parlay.odds.as_deref(), path)?;
        parlay.picks.iter().enumerate().try_for_each(|(i, leg)| leg.validate(&format!("{path}.picks[{i}]")))
    }
}

/// The bets extracted from a post: one pick, a parlay, several picks, or nothing. It is the form of the answer of a model.
///
/// `null` stands for results, recaps and chatter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ExtractedBets {
    /// Nothing to bet on.
    Nothing(()),
    /// Several bets, each on its own; a parlay among them wins or loses as one.
    Several(Vec<Bet>),
    /// A parlay.
    Parlay(Parlay),
    /// One pick.
    One(Pick),
}

/// An unusable answer of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("answer at {path}: {reason}")]
pub struct PickError {
    /// Where in the answer, as a JSON path.
    pub path: String,
    /// What is wrong there, in words for the model.
    pub reason: String,
}

impl ExtractedBets {
    /// Reads the answer of a model: the JSON value, also inside a Markdown code fence, or as the `answer` of an object, for
    /// schemas that require an object.
    pub fn parse(text: &str) -> Result<Self, PickError> {
        let value: serde_json::Value = serde_json::from_str(unfenced(text))
            .map_err(|e| PickError { path: "$".into(), reason: format!("not JSON: {e}") })?;
        let value = unwrapped(value);
        let answer = match &value {
            serde_json::Value::Null => Self::Nothing(()),
            serde_json::Value::Array(_) => {
                let all: Vec<serde_json::Value> = typed(value, "$")?;
                let read = |(i, bet)| Bet::read(bet, &format!("$[{i}]"));
                Self::Several(all.into_iter().enumerate().map(read).collect::<Result<_, _>>()?)
            }
            serde_json::Value::Object(_) => match Bet::read(value, "$")? {
                Bet::Parlay(parlay) => Self::Parlay(parlay),
                Bet::Single(pick) => Self::One(pick),
            },
            _ => return Err(PickError { path: "$".into(), reason: "expected null, an object or an array".into() }),
        };
        answer.validate()?;
        Ok(answer)
    }

    /// The value for these bets.
    pub fn of(mut bets: Vec<Bet>) -> Self {
        if bets.len() > 1 {
            return Self::Several(bets);
        }
        match bets.pop() {
            None => Self::Nothing(()),
            Some(Bet::Single(pick)) => Self::One(pick),
            Some(Bet::Parlay(parlay)) => Self::Parlay(parlay),
        }
    }

    /// The bets in it.
    pub fn into_bets(self) -> Vec<Bet> {
        match self {
            Self::Nothing(()) => Vec::new(),
            Self::One(pick) => vec![Bet::Single(pick)],
            Self::Parlay(parlay) => vec![Bet::Parlay(parlay)],
            Self::Several(bets) => bets,
        }
    }

    fn validate(&self) -> Result<(), PickError> {
        let several = matches!(self, Self::Several(_));
        let path = |i: usize| if several { format!("$[{i}]") } else { "$".to_owned() };
        self.clone().into_bets().iter().enumerate().try_for_each(|(i, bet)| bet.validate(&path(i)))
    }
}

fn typed<T: serde::de::DeserializeOwned>(value: serde_json::Value, at: &str) -> Result<T, PickError> {
    serde_path_to_error::deserialize(Strict::new(value)).map_err(|error| {
        let path = error.path().to_string();
        let path = match path.as_str() {
            "." => at.to_owned(),
            path if path.starts_with('[') => format!("{at}{path}"),
            path => format!("{at}.{path}"),
        };
        PickError { path, reason: error.into_inner().to_string() }
    })
}

fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let Some(inner) = text.strip_prefix("```").and_then(|t| t.strip_suffix("```")) else { return text };
    inner.strip_prefix("json").unwrap_or(inner).trim()
}

fn unwrapped(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(mut map) if map.len() == 1 && map.contains_key("answer") => {
            map.remove("answer").unwrap_or_default()
        }
        value => value,
    }
}

fn blank(field: Option<&String>) -> bool {
    field.is_none_or(|text| text.trim().is_empty())
}

fn check_odds(odds: Option<&str>, path: &str) -> Result<(), PickError> {
    let Some(odds) = odds else { return Ok(()) };
    match Odds::parse(odds) {
        Ok(_) => Ok(()),
        Err(error) => Err(PickError { path: format!("{path}.odds"), reason: error.to_string() }),
    }
}

impl Pick {
    /// A pick of this kind with no other fields.
    pub const fn of(kind: PickKind) -> Self {
        Self {
            kind,
            sport: None,
            event: None,
            selection: None,
            line: None,
            side: None,
            player: None,
            stat: None,
            odds: None,
            units: None,
        }
    }

    /// Rejects a contradictory pick; `path` is its place in the answer.
    pub fn validate(&self, path: &str) -> Result<(), PickError> {
        let fail =
            |field: &str, reason: &str| Err(PickError { path: format!("{path}.{field}"), reason: reason.into() });
        check_odds(self.odds.as_deref(), path)?;
        if self.units.is_some_and(|u| !(u > 0.0 && u <= 1_000.0)) {
            return fail("units", "a stake is over 0 and at most 1000 units");
        }
        if self.line.is_some_and(|l| !l.is_finite() || l.abs() > 100_000.0) {
            return fail("line", "not a line");
        }
        match self.kind {
            PickKind::Moneyline | PickKind::Future | PickKind::Spread if blank(self.selection.as_ref()) => {
                fail("selection", "who is backed is missing")
            }
            PickKind::Spread if self.line.is_none() => fail("line", "a spread has a line"),
            PickKind::Total if self.line.is_none() => fail("line", "a total has a line"),
            PickKind::Total if self.side.is_none() => fail("side", "a total is over or under"),
            PickKind::Prop if blank(self.player.as_ref()) => fail("player", "a prop names its player"),
            _ => Ok(()),
        }
    }

    /// The identity of a bet, for comparing picks regardless of author, odds and stake: lower case, without odds and units. The
    /// game counts only for bets on the game itself, in any order of its sides; a bet on one side or player is the same whether
    /// or not the post names the opponent.
    pub fn identity(&self) -> String {
        let lower = |field: &Option<String>| field.as_deref().unwrap_or("-").trim().to_lowercase();
        let kind = match self.kind {
            PickKind::Moneyline => "moneyline",
            PickKind::Spread => "spread",
            PickKind::Total => "total",
            PickKind::Prop => "prop",
            PickKind::Future => "future",
        };
        let side = match self.side {
            Some(Side::Over) => "over",
            Some(Side::Under) => "under",
            None => "-",
        };
        let names_one_side = self.selection.as_deref().is_some_and(|name| !name.eq_ignore_ascii_case("draw"));
        let event =
            if names_one_side || self.player.is_some() { "-".to_owned() } else { in_order(&lower(&self.event)) };
        let line = self.line.map_or_else(|| "-".to_owned(), |line| line.to_string());
        [
            kind,
            &lower(&self.sport),
            &event,
            &lower(&self.selection),
            &line,
            side,
            &lower(&self.player),
            &lower(&self.stat),
        ]
        .join("|")
    }
}

/// "b vs a" as "a vs b".
fn in_order(event: &str) -> String {
    match event.split_once(" vs ") {
        Some((first, second)) if second < first => format!("{second} vs {first}"),
        _ => event.to_owned(),
    }
}

impl Parlay {
    /// A parlay of these legs, with the odds of the whole.
    pub fn of(legs: Vec<Pick>, odds: Option<String>) -> Self {
        Self { kind: ParlayTag::Parlay, picks: legs, odds }
    }

    /// Its legs.
    pub fn legs(&self) -> &[Pick] {
        &self.picks
    }

    /// The identity of a parlay: its legs in any order.
    pub fn identity(&self) -> String {
        let mut legs: Vec<String> = self.picks.iter().map(Pick::identity).collect();
        legs.sort();
        format!("parlay[{}]", legs.join(";"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAKERS: &str = r#"{"type":"spread","sport":"nba","event":null,"selection":"Los Angeles Lakers","line":-3.5,"side":null,"player":null,"stat":null,"odds":"-110","units":2}"#;

    #[test]
    fn the_four_forms_of_an_answer_are_told_apart() {
        assert_eq!(ExtractedBets::parse("null"), Ok(ExtractedBets::Nothing(())));
        assert!(matches!(ExtractedBets::parse(LAKERS), Ok(ExtractedBets::One(_))));
        assert!(matches!(
            ExtractedBets::parse(&format!("[{LAKERS},{LAKERS}]")),
            Ok(ExtractedBets::Several(picks)) if picks.len() == 2
        ));
        let parlay = format!(
            r#"```json
{{"type":"parlay","picks":[{LAKERS},{LAKERS}],"odds":"+264"}}
```"#
        );
        assert!(matches!(ExtractedBets::parse(&parlay), Ok(ExtractedBets::Parlay(_))));
    }

    #[test]
    fn a_card_may_have_bets_on_their_own_and_parlays() {
        let parlay = format!(r#"{{"type":"parlay","picks":[{LAKERS},{LAKERS}],"odds":"+264"}}"#);
        let card = ExtractedBets::parse(&format!("[{LAKERS},{parlay}]")).expect("a card");
        let bets = card.clone().into_bets();
        assert!(matches!(bets.as_slice(), [Bet::Single(_), Bet::Parlay(parlay)] if parlay.picks.len() == 2));
        assert_eq!(ExtractedBets::parse(&serde_json::to_string(&card).expect("JSON")), Ok(card));
        assert_eq!(ExtractedBets::of(bets[1..].to_vec()), ExtractedBets::parse(&parlay).expect("a parlay"));

        let wrong = format!("[{LAKERS},{}]", parlay.replacen("-3.5", "\"minus three\"", 1));
        assert_eq!(ExtractedBets::parse(&wrong).expect_err("a line is a number").path, "$[1].picks[0].line");
        let short = format!(r#"[{{"type":"parlay","picks":[{LAKERS}],"odds":null}},{LAKERS}]"#);
        assert_eq!(ExtractedBets::parse(&short).expect_err("one leg").path, "$[0].picks");
    }

    #[test]
    fn an_answer_inside_an_object_is_the_same_answer() {
        assert_eq!(ExtractedBets::parse(r#"{"answer":null}"#), Ok(ExtractedBets::Nothing(())));
        assert_eq!(
            ExtractedBets::parse(&format!(r#"{{"answer":[{LAKERS}]}}"#)),
            ExtractedBets::parse(&format!("[{LAKERS}]"))
        );
    }

    #[test]
    fn a_malformed_answer_is_refused_with_the_path_that_is_wrong() {
        let wrong = format!("[{LAKERS},{}]", LAKERS.replace("-3.5", "\"minus three\""));
        assert_eq!(ExtractedBets::parse(&wrong).expect_err("a line is a number").path, "$[1].line");
        let odds = LAKERS.replace("\"-110\"", "\"-11\"");
        assert_eq!(ExtractedBets::parse(&odds).expect_err("-11 is no price").path, "$.odds");
        let nobody = LAKERS.replace("Los Angeles Lakers", " ");
        let error = ExtractedBets::parse(&nobody).expect_err("nobody is backed");
        assert_eq!((error.path.as_str(), error.reason.as_str()), ("$.selection", "who is backed is missing"));
        assert_eq!(ExtractedBets::parse("I think the Lakers win").expect_err("prose").path, "$");
    }

    #[test]
    fn odds_may_be_written_in_every_way_that_is_read() {
        for written in ["-110", "+120", "(−110)", "1.85", "1,85", "@ 1.91", "5/2", "evens", "EV"] {
            let parsed = ExtractedBets::parse(&LAKERS.replace("-110", written));
            assert!(parsed.is_ok(), "{written}: {parsed:?}");
        }
        let error =
            ExtractedBets::parse(&LAKERS.replace("-110", "150")).expect_err("American or decimal, nobody knows");
        assert!(error.to_string().contains("+150, -150 or 150.0"), "{error}");
    }

    #[test]
    fn the_same_bet_at_another_price_has_the_same_identity() {
        let (Ok(ExtractedBets::One(a)), Ok(ExtractedBets::One(b))) = (
            ExtractedBets::parse(LAKERS),
            ExtractedBets::parse(&LAKERS.replace("-110", "+105").replace("Los Angeles Lakers", "los angeles lakers")),
        ) else {
            panic!("both are single picks")
        };
        assert_eq!(a.identity(), b.identity());
    }

    #[test]
    fn the_order_of_the_sides_and_an_opponent_more_or_less_make_no_other_bet() {
        let read = |text: &str| match ExtractedBets::parse(text) {
            Ok(ExtractedBets::One(pick)) => pick.identity(),
            other => panic!("a single pick: {other:?}"),
        };
        let with = LAKERS.replace(r#""event":null"#, r#""event":"Miami Heat vs Los Angeles Lakers""#);
        assert_eq!(read(LAKERS), read(&with));
        let total =
            with.replace("spread", "total").replace(r#""selection":"Los Angeles Lakers""#, r#""selection":null"#);
        let total = total.replace(r#""side":null"#, r#""side":"over""#).replace("-3.5", "221.5");
        let turned = total.replace("Miami Heat vs Los Angeles Lakers", "Los Angeles Lakers vs Miami Heat");
        assert_eq!(read(&total), read(&turned));
        assert_ne!(read(&total), read(&total.replace("Miami Heat", "Utah Jazz")));
    }
}
