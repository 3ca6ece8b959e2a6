//! Checks that a model's answer is supported by the post that it was asked about.
//!
//! A post is written by a stranger and may try to give orders to the model (prompt injection). So an answer counts only as far as its
//! figures and names occur in the sentences of the post that address people; sentences that address a model do not count.

mod addressed;
mod post_content;

use perch_jobs::{Bet, ExtractedBets, Parlay, Pick, Post};

use self::post_content::{Mismatch, PostContent};

/// Whether a pick of an answer is supported by its post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grounding {
    /// The post says it.
    Supported,
    /// The text does not say all of it; a picture may, which is not checked.
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

/// A pick and whether it is supported. Each leg of a parlay is checked separately.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedPick {
    /// The pick as the model answered it.
    pub pick: Pick,
    /// Whether the post supports it.
    pub grounding: Grounding,
}

/// An answer reduced to what its post says.
#[derive(Debug, Clone, PartialEq)]
pub struct GroundedAnswer {
    /// What is left of the answer.
    pub answer: ExtractedBets,
    /// Every pick of the answer, including those left out.
    pub picks: Vec<CheckedPick>,
}

impl GroundedAnswer {
    /// Why picks were left out, one reason a pick.
    pub fn left_out(&self) -> impl Iterator<Item = &str> {
        self.picks.iter().filter_map(|checked| match &checked.grounding {
            Grounding::Missing { reason } => Some(reason.as_str()),
            _ => None,
        })
    }
}

/// Removes from an answer what its post does not say. A pick is kept if its line, odds and stake are among the figures of the text or
/// of the descriptions of its pictures, and the post says each of its names: a name of the tables in full, by nickname, or by a word
/// of its own; any other name word by word. Its statistic must be a known one or be said by the post. If a leg of a parlay is missing,
/// the whole parlay is left out, since the rest would be another bet.
///
/// In a pick that is kept, the sport and the opponent are removed if nothing says them, and names that no table knows are cut to what
/// the post says. So an answer has no text that only the model wrote.
///
/// If the post has pictures, a pick that the text does not say is marked as unchecked instead, unless it cannot be a name, or a sentence
/// that addresses a model says it.
pub fn grounded(post: &Post, answer: ExtractedBets) -> GroundedAnswer {
    grounded_in(post, answer, !post.media.is_empty())
}

/// Like [`grounded`]; `has_seen_pictures` says whether the model was shown the pictures of the post.
pub fn grounded_in(post: &Post, answer: ExtractedBets, has_seen_pictures: bool) -> GroundedAnswer {
    let said = PostContent::of(post, has_seen_pictures);
    let by_anybody = PostContent::to_anybody(post);
    let mut picks = Vec::new();
    let kept = |pick: Pick, picks: &mut Vec<CheckedPick>| {
        let (read, mismatch) = said.read(&pick);
        let is_an_order = said.has_pictures && mismatch.is_some() && by_anybody.read(&pick).1.is_none();
        let grounding = grounding(said.has_pictures && !is_an_order, mismatch);
        let stays = !matches!(grounding, Grounding::Missing { .. });
        picks.push(CheckedPick { pick, grounding });
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
                        leg.grounding = Grounding::Missing { reason: reason.clone() };
                    }
                }
            }
        }
    }
    let answer = ExtractedBets::of(left);
    GroundedAnswer { answer, picks }
}

fn grounding(may_be_in_a_picture: bool, mismatch: Option<Mismatch>) -> Grounding {
    match mismatch {
        None => Grounding::Supported,
        Some(Mismatch::NotInText(reason)) if may_be_in_a_picture => Grounding::Unchecked { reason },
        Some(Mismatch::NotInText(reason) | Mismatch::Implausible(reason)) => Grounding::Missing { reason },
    }
}
