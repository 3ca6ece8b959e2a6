//! Whether what a model answered stands in the post that it was asked about.
//!
//! A post is written by a stranger and may speak to the model. Whatever a model is talked into, an answer counts only as
//! far as its figures and names stand in what the post says to people; sentences that speak to a model do not count.

mod addressed;
mod said;

use perch_jobs::{Bet, ExtractedBets, Parlay, Pick, Post};

use self::said::{Lack, Said};

/// How a pick of an answer stands to its post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grounding {
    /// The post says it.
    Said,
    /// The text does not say all of it; a picture may, and nobody has looked.
    Unchecked {
        /// What the text does not say.
        reason: String,
    },
    /// The post does not say it. It is left out of the answer.
    Missing {
        /// What the post does not say.
        reason: String,
    },
}

/// A pick with its standing. The legs of a parlay have one each.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The pick as the model answered it.
    pub pick: Pick,
    /// How it stands to its post.
    pub standing: Grounding,
}

/// An answer without what its post does not say.
#[derive(Debug, Clone, PartialEq)]
pub struct Grounded {
    /// What is left of the answer.
    pub answer: ExtractedBets,
    /// Every pick that was answered, those left out among them.
    pub picks: Vec<Checked>,
}

impl Grounded {
    /// Why picks were left out, one reason a pick.
    pub fn left_out(&self) -> impl Iterator<Item = &str> {
        self.picks.iter().filter_map(|checked| match &checked.standing {
            Grounding::Missing { reason } => Some(reason.as_str()),
            _ => None,
        })
    }
}

/// Leaves out of an answer what does not stand in its post: a pick counts when its line, its odds and its stake are among
/// the figures of the text or of the descriptions of its pictures, and each name of it is said: one that the tables know in
/// full, by nickname, or by a word of its own; any other word by word. What it counts is a known statistic or said.
/// A parlay of which a leg is missing is another bet and is left out whole.
///
/// Of a pick that stays, the sport and the opponent are left out when nothing says them, and of a name that no table knows
/// what the post does not say. So no text that only the model has written is part of an answer.
///
/// Where the post has pictures, what the text does not say is marked as unchecked instead, if it may be a name at all, and no sentence
/// that speaks to a model says it.
pub fn grounded(post: &Post, answer: ExtractedBets) -> Grounded {
    grounded_in(post, answer, !post.media.is_empty())
}

/// The same; `has_seen_pictures` says whether who answered was shown pictures of the post, and not only its text.
pub fn grounded_in(post: &Post, answer: ExtractedBets, has_seen_pictures: bool) -> Grounded {
    let said = Said::of(post, has_seen_pictures);
    let by_anybody = Said::to_anybody(post);
    let mut picks = Vec::new();
    let kept = |pick: Pick, picks: &mut Vec<Checked>| {
        let (read, lack) = said.read(&pick);
        let is_an_order = said.has_pictures && lack.is_some() && by_anybody.read(&pick).1.is_none();
        let standing = standing(said.has_pictures && !is_an_order, lack);
        let stays = !matches!(standing, Grounding::Missing { .. });
        picks.push(Checked { pick, standing });
        stays.then_some(read)
    };
    let mut left = Vec::new();
    for bet in answer.into_bets() {
        match bet {
            Bet::Single(pick) => left.extend(kept(pick, &mut picks).map(Bet::Single)),
            Bet::Parlay(Parlay { kind, picks: legs, odds }) => {
                let (count, first) = (legs.len(), picks.len());
                let legs: Vec<Pick> = legs.into_iter().filter_map(|leg| kept(leg, &mut picks)).collect();
                let priced = odds.as_deref().is_none_or(|odds| said.has_odds(odds)) || said.has_pictures;
                if legs.len() == count && priced {
                    left.push(Bet::Parlay(Parlay { kind, picks: legs, odds }));
                } else if !priced {
                    let reason = format!("the post does not say {} for the parlay", odds.unwrap_or_default());
                    for leg in &mut picks[first..] {
                        leg.standing = Grounding::Missing { reason: reason.clone() };
                    }
                }
            }
        }
    }
    let answer = ExtractedBets::of(left);
    Grounded { answer, picks }
}

fn standing(may_be_in_a_picture: bool, lack: Option<Lack>) -> Grounding {
    match lack {
        None => Grounding::Said,
        Some(Lack::Unsaid(reason)) if may_be_in_a_picture => Grounding::Unchecked { reason },
        Some(Lack::Unsaid(reason) | Lack::Refused(reason)) => Grounding::Missing { reason },
    }
}
