//! Decides whether a pick is new, and records it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_base::clock;
use perch_jobs::{Bet, ExtractedBets, Post};
use perch_queue::Fail;
use perch_store::{HotRecord, Recorded as _, StoreError};

use super::actions::ActionPlan;
use crate::{
    Picks,
    normal::{BetTerms, parlay_terms, terms},
    occasion::{occasion, parlay_occasion},
    store::{PickBody, PickRecord, PickSighting, PicksStore as _},
};

/// How long a mark in Redis is kept: longer than the same words mean the same game. Futures last longer; for them Postgres is asked.
const MARKED_FOR: Duration = Duration::from_secs(7 * 86_400);

/// Whether a pick of a post is new.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SightingOutcome {
    /// This post is the first with the pick.
    New {
        /// The record of the pick.
        record: Box<PickRecord>,
        /// Whether this confirms an unconfirmed pick of another post, which only the rules had read.
        confirms: bool,
    },
    /// Another post had the pick before.
    Repeated,
}

/// A pick of a post, with what identifies its bet across posts.
#[derive(Debug)]
pub(super) struct NamedPick {
    pick: PickBody,
    terms: BetTerms,
    /// The day or days of its game, and the part of it.
    occasion: String,
}

impl NamedPick {
    fn of(bet: Bet, post: &Post, is_alone: bool) -> Self {
        let (terms, occasion) = match &bet {
            Bet::Single(pick) => {
                let terms = terms(pick, post);
                let occasion = occasion(pick, post.created_at, terms.starts_at);
                (terms, occasion)
            }
            Bet::Parlay(parlay) => {
                let terms = parlay_terms(parlay, post);
                // If the post has other bets, its stake and its time may belong to them.
                let terms = if is_alone { terms } else { BetTerms { units: None, starts_at: None, ..terms } };
                let occasion = parlay_occasion(parlay, post.created_at, terms.starts_at);
                (terms, occasion)
            }
        };
        // A bet on a part of the game is a different bet.
        let occasion = match &terms.part {
            Some(part) => format!("{occasion}/{part}"),
            None => occasion,
        };
        Self { pick: bet.into(), terms, occasion }
    }

    /// The key of the pick, which is the same for the same bet in another post.
    pub(super) fn key(&self) -> String {
        self.pick.key_on(&self.occasion)
    }

    pub(super) fn pick(&self) -> &PickBody {
        &self.pick
    }
}

/// The picks that an answer names, each bet once.
pub(super) fn named(answer: ExtractedBets, post: &Post) -> Vec<NamedPick> {
    let bets = answer.into_bets();
    let is_alone = bets.len() == 1;
    let mut seen = std::collections::BTreeSet::new();
    bets.into_iter().map(|bet| NamedPick::of(bet, post, is_alone)).filter(|pick| seen.insert(pick.key())).collect()
}

/// Records a pick of a post and returns whether it is new.
///
/// If the job of the first post runs again, that post stays the first, and its first record stays valid even if the model words the
/// pick differently the second time.
///
/// An unconfirmed pick, which only the rules have read, does not block others: if a model finds the same bet in another post, or later
/// in the same post, that sighting is new. `waits` is given for unconfirmed picks: its actions are stored with the pick until it is
/// confirmed.
pub(super) async fn record_sighting(
    bot: &Picks,
    post: &Post,
    named: NamedPick,
    reader: &str,
    waits: Option<&ActionPlan<'_>>,
) -> Result<SightingOutcome, Fail> {
    let key = named.key();
    let NamedPick { pick, terms, occasion } = named;
    let first = waits.is_some() || bot.marks.remember_pick(&key, post.id.as_str(), MARKED_FOR).await?;
    let known = if first { known_before(bot, post, &key).await? } else { PriorSighting::Named };
    if known == PriorSighting::Named || (known == PriorSighting::Unconfirmed && waits.is_some()) {
        let sighting = sighting(post, &pick, (key, terms.units), clock::now());
        bot.hot.put(&[HotRecord::of(&sighting)?]).await?;
        return Ok(SightingOutcome::Repeated);
    }
    let confirms = known == PriorSighting::Unconfirmed;
    let mut record =
        PickRecord::new(pick, post.id.clone(), post.author.clone(), clock::now()).on(&occasion).with_terms(terms);
    record.read_by = Some(reader.to_owned());
    record.planned = waits.map(|plan| plan.actions(&record));
    if let Some(copy) = bot.hot.get::<PickRecord>(&record.key()).await?
        && let Ok(recorded) = serde_json::from_value::<PickRecord>(copy.value)
        && (recorded.planned.is_none() || waits.is_some())
    {
        return Ok(SightingOutcome::New { record: Box::new(recorded), confirms });
    }
    bot.hot.put(&[HotRecord::of(&record)?.kept_for(bot.settings.processed_ttl)]).await?;
    Ok(SightingOutcome::New { record: Box::new(record), confirms })
}

/// Whether Postgres knows the same bet from another post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PriorSighting {
    /// It does not.
    Unknown,
    /// Another post had it.
    Named,
    /// Another post had it, but only the rules have read that and nobody has confirmed it.
    Unconfirmed,
}

/// Looks up the bet in Postgres: the marks in Redis may have been lost, and they do not hold unconfirmed picks. While Postgres is down,
/// the marks alone decide.
async fn known_before(bot: &Picks, post: &Post, key: &str) -> Result<PriorSighting, StoreError> {
    match bot.store.picks().standing(key).await {
        Ok(Some(known)) if known.source_post != post.id => {
            Ok(if known.unconfirmed { PriorSighting::Unconfirmed } else { PriorSighting::Named })
        }
        Ok(_) => Ok(PriorSighting::Unknown),
        Err(error) if error.is_unavailable() => {
            tracing::warn!(%error, "Postgres is down; the marks alone decide whether the pick is new");
            Ok(PriorSighting::Unknown)
        }
        Err(error) => Err(error),
    }
}

fn sighting(
    post: &Post,
    pick: &PickBody,
    (pick_key, units): (String, Option<f64>),
    seen_at: DateTime<Utc>,
) -> PickSighting {
    let odds = match pick {
        PickBody::Single(pick) => pick.odds.clone(),
        PickBody::Parlay(parlay) => parlay.odds.clone(),
    };
    PickSighting { pick_key, post_id: post.id.clone(), author: post.author.clone(), odds, units, seen_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAKERS: &str = r#"{"type":"spread","sport":"nba","event":null,"selection":"Los Angeles Lakers","line":-3.5,"side":null,"player":null,"stat":null,"odds":"-110","units":2}"#;

    fn answer(text: &str) -> ExtractedBets {
        ExtractedBets::parse(text).expect("a valid answer")
    }

    fn post(text: &str) -> Post {
        Post {
            id: "1".parse().expect("an id"),
            author_id: "12".into(),
            author: "sally".into(),
            text: text.into(),
            created_at: "2026-11-22T18:00:00Z".parse().expect("a time"),
            media: Vec::new(),
        }
    }

    #[test]
    fn a_bet_that_a_post_names_twice_is_one_pick_and_a_parlay_is_one() {
        let count = |text: &str| named(answer(text), &post("")).len();
        let dearer = LAKERS.replace("-110", "-120");
        assert_eq!(count(&format!("[{LAKERS},{dearer}]")), 1);
        let celtics = LAKERS.replace("Los Angeles Lakers", "Boston Celtics");
        assert_eq!(count(&format!("[{LAKERS},{celtics}]")), 2);
        let parlay = format!(r#"{{"type":"parlay","picks":[{LAKERS},{celtics}],"odds":"+264"}}"#);
        assert!(matches!(named(answer(&parlay), &post("")).as_slice(), [NamedPick { pick: PickBody::Parlay(_), .. }]));
        assert_eq!(count(&format!("[{LAKERS},{parlay}]")), 2);
        assert_eq!(count("null"), 0);
    }

    #[test]
    fn the_same_bet_on_a_part_of_the_game_is_another() {
        let half = LAKERS.replace("-110", "+105");
        let both = named(answer(&format!("[{half},{LAKERS}]")), &post("Lakers 1H -3.5 +105 1u\nLakers -3.5 -110 2u"));
        let occasions: Vec<&str> = both.iter().map(|named| named.occasion.as_str()).collect();
        assert_eq!(occasions, ["2026-11-22/first half", "2026-11-22"]);
    }

    #[test]
    fn a_parlay_beside_another_bet_does_not_take_its_stake() {
        let celtics = LAKERS.replace("Los Angeles Lakers", "Boston Celtics");
        let parlay = format!(r#"{{"type":"parlay","picks":[{LAKERS},{celtics}],"odds":"+264"}}"#);
        let text = "Lakers -3.5 2u\nParlay +264: Lakers -3.5, Celtics -3.5";
        let units = |answered: &str| named(answer(answered), &post(text)).pop().and_then(|named| named.terms.units);
        assert_eq!(units(&format!("[{LAKERS},{parlay}]")), None);
        assert_eq!(units(&parlay), Some(2.0));
    }
}
