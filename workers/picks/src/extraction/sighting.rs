//! Whether a pick is new, and the record of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_base::clock;
use perch_jobs::{Bet, ExtractedBets, Post};
use perch_queue::Fail;
use perch_store::{HotRecord, Recorded as _, StoreError};

use super::actions::Plan;
use crate::{
    Picks,
    normal::{Terms, parlay_terms, terms},
    occasion::{occasion, parlay_occasion},
    store::{PickBody, PickRecord, PickSighting, PicksStore as _},
};

/// How long a mark in Redis is kept: longer than the same words mean the same game. Of futures Postgres knows.
const MARKED_FOR: Duration = Duration::from_secs(7 * 86_400);

/// What a post's pick is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sight {
    /// This post had it first.
    New {
        /// As it was recorded.
        record: Box<PickRecord>,
        /// Whether another post had it, of which only the rules said so.
        confirms: bool,
    },
    /// Another post had it before.
    Again,
}

/// A pick of a post, with what makes it the same bet as that of another.
#[derive(Debug)]
pub(super) struct Named {
    pick: PickBody,
    terms: Terms,
    /// The day or days of its game, and the part of it.
    occasion: String,
}

impl Named {
    fn of(bet: Bet, post: &Post, is_alone: bool) -> Self {
        let (terms, occasion) = match &bet {
            Bet::Single(pick) => {
                let terms = terms(pick, post);
                let occasion = occasion(pick, post.created_at, terms.starts_at);
                (terms, occasion)
            }
            Bet::Parlay(parlay) => {
                let terms = parlay_terms(parlay, post);
                // Beside other bets the stake and the time that a post says may be theirs.
                let terms = if is_alone { terms } else { Terms { units: None, starts_at: None, ..terms } };
                let occasion = parlay_occasion(parlay, post.created_at, terms.starts_at);
                (terms, occasion)
            }
        };
        // A bet on a part of the game is another one.
        let occasion = match &terms.part {
            Some(part) => format!("{occasion}/{part}"),
            None => occasion,
        };
        Self { pick: bet.into(), terms, occasion }
    }

    /// What makes it the same bet as that of another post.
    pub(super) fn key(&self) -> String {
        self.pick.key_on(&self.occasion)
    }

    pub(super) fn pick(&self) -> &PickBody {
        &self.pick
    }
}

/// The picks that an answer names, each bet once.
pub(super) fn named(answer: ExtractedBets, post: &Post) -> Vec<Named> {
    let bets = answer.into_bets();
    let is_alone = bets.len() == 1;
    let mut seen = std::collections::BTreeSet::new();
    bets.into_iter().map(|bet| Named::of(bet, post, is_alone)).filter(|pick| seen.insert(pick.key())).collect()
}

/// Records a pick of a post and tells whether it is new.
///
/// The post that had it first stays the first when its job runs again, and what was recorded then stays what counts,
/// even if the model words it otherwise the second time.
///
/// What only the rules have read, and nobody has confirmed, stands in nobody's way: a post in which a model finds the same bet
/// has it first, and so has the same post once a model has read it. With a plan, the pick is such a one, and what is to be done
/// about it is kept with it.
pub(super) async fn sight(
    bot: &Picks,
    post: &Post,
    named: Named,
    reader: &str,
    waits: Option<&Plan<'_>>,
) -> Result<Sight, Fail> {
    let key = named.key();
    let Named { pick, terms, occasion } = named;
    let first = waits.is_some() || bot.marks.remember_pick(&key, post.id.as_str(), MARKED_FOR).await?;
    let known = if first { known_before(bot, post, &key).await? } else { Before::Named };
    if known == Before::Named || (known == Before::Unconfirmed && waits.is_some()) {
        let sighting = sighting(post, &pick, (key, terms.units), clock::now());
        bot.hot.put(&[HotRecord::of(&sighting)?]).await?;
        return Ok(Sight::Again);
    }
    let confirms = known == Before::Unconfirmed;
    let mut record =
        PickRecord::new(pick, post.id.clone(), post.author.clone(), clock::now()).on(&occasion).with_terms(terms);
    record.read_by = Some(reader.to_owned());
    record.planned = waits.map(|plan| plan.actions(&record));
    if let Some(copy) = bot.hot.get::<PickRecord>(&record.key()).await?
        && let Ok(recorded) = serde_json::from_value::<PickRecord>(copy.value)
        && (recorded.planned.is_none() || waits.is_some())
    {
        return Ok(Sight::New { record: Box::new(recorded), confirms });
    }
    bot.hot.put(&[HotRecord::of(&record)?.kept_for(bot.settings.processed_ttl)]).await?;
    Ok(Sight::New { record: Box::new(record), confirms })
}

/// What Postgres knows of a bet from other posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing.
    Unknown,
    /// Another post had it.
    Named,
    /// Another post had it, as far as the rules can tell.
    Unconfirmed,
}

/// What Postgres knows of the bet from another post, for when the marks in Redis were lost, and for what the rules have read.
/// While Postgres is away the marks alone decide.
async fn known_before(bot: &Picks, post: &Post, key: &str) -> Result<Before, StoreError> {
    match bot.store.picks().standing(key).await {
        Ok(Some(known)) if known.source_post != post.id => {
            Ok(if known.unconfirmed { Before::Unconfirmed } else { Before::Named })
        }
        Ok(_) => Ok(Before::Unknown),
        Err(error) if error.is_unavailable() => {
            tracing::warn!(%error, "whether Postgres knows the pick cannot be asked; the marks decide");
            Ok(Before::Unknown)
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
        assert!(matches!(named(answer(&parlay), &post("")).as_slice(), [Named { pick: PickBody::Parlay(_), .. }]));
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
