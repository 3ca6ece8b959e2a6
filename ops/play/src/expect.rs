//! What the bots should make of a day, as it was written.

use std::collections::{BTreeMap, BTreeSet};

use perch_actor_mentions::MentionKind;
use perch_jobs::ExtractedBets;
use serde::Serialize;

use crate::{
    ExpectedReply, Noise, Player, Script,
    bets::{Bet, BetResult},
    cappers::Meaning,
};

/// What the bots should make of a day. Posts that were not published yet are not in it.
#[derive(Debug, Clone, Serialize)]
pub struct Expectation {
    /// The seed of the script.
    pub seed: u64,
    /// The handle of the bot.
    pub bot: String,
    /// The accounts to watch.
    pub accounts: Vec<String>,
    /// Every post of the accounts.
    pub posts: Vec<ExpectedPost>,
    /// Every bet there is, each once, however many posts have it. Its first post makes it new; the others are sightings.
    pub picks: Vec<ExpectedPick>,
    /// Every mention.
    pub mentions: Vec<ExpectedMention>,
}

/// What a post of an account should come to.
#[derive(Debug, Clone, Serialize)]
pub struct ExpectedPost {
    /// Its id.
    pub id: String,
    /// Its author.
    pub account: String,
    /// Why it leads to nothing; null for one with bets.
    pub noise: Option<Noise>,
    /// What is found in it; null for noise.
    pub answer: Option<ExtractedBets>,
    /// Whether the bets stand on its picture, and not in its text.
    pub pictured: bool,
}

/// A bet of the day.
#[derive(Debug, Clone, Serialize)]
pub struct ExpectedPick {
    /// The bet in words, the same for all who have it.
    pub name: String,
    /// How many bets it is made of: 1, or the legs of a parlay.
    pub legs: usize,
    /// The posts that have it, in the order of the day.
    pub posts: Vec<String>,
    /// What each of these posts says of it: the bet, at the odds and the stake of that post.
    pub said: Vec<ExtractedBets>,
    /// Their authors, each once.
    pub accounts: BTreeSet<String>,
    /// `won`, `lost` or `push`.
    pub result: &'static str,
    /// The same of each leg, in the order of the first post.
    pub endings: Vec<&'static str>,
}

/// What a mention should come to.
#[derive(Debug, Clone, Serialize)]
pub struct ExpectedMention {
    /// Its id.
    pub id: String,
    /// Its author.
    pub author: String,
    /// What it is; null for the bot's own post and for a repost.
    pub kind: Option<MentionKind>,
    /// How the bot should handle it.
    pub deserves: ExpectedReply,
    /// The post that its conversation began with.
    pub conversation_id: String,
    /// Its number among the mentions of its author, from 1.
    pub nth_of_author: usize,
    /// Its number among the mentions of its conversation, from 1.
    pub nth_of_conversation: usize,
}

impl Player<'_> {
    /// What the bots should make of what was carried out so far.
    pub fn expectation(&self) -> Expectation {
        let Script { options, accounts, .. } = self.script;
        Expectation {
            seed: options.seed,
            bot: options.bot.clone(),
            accounts: accounts.clone(),
            posts: self.expected_posts(),
            picks: self.expected_picks(),
            mentions: self.expected_mentions(),
        }
    }

    fn expected_posts(&self) -> Vec<ExpectedPost> {
        let posts = self.script.posts.iter().filter_map(|plan| {
            let (noise, answer, pictured) = match &plan.meaning {
                Meaning::Noise(noise) => (Some(*noise), None, false),
                Meaning::Bets { answer, pictured, .. } => (None, Some(ExtractedBets::clone(answer)), *pictured),
            };
            let id = self.ids.get(&plan.key)?.clone();
            Some(ExpectedPost { id, account: plan.account.clone(), noise, answer, pictured })
        });
        posts.collect()
    }

    fn expected_picks(&self) -> Vec<ExpectedPick> {
        let mut order = Vec::new();
        let mut picks: BTreeMap<String, ExpectedPick> = BTreeMap::new();
        for plan in &self.script.posts {
            let (Meaning::Bets { bets, answer, .. }, Some(id)) = (&plan.meaning, self.ids.get(&plan.key)) else {
                continue;
            };
            for (legs, said) in bets.iter().zip(parts(answer)) {
                let name = named(legs);
                let pick = picks.entry(name.clone()).or_insert_with(|| {
                    order.push(name.clone());
                    ExpectedPick {
                        name,
                        legs: legs.len(),
                        posts: Vec::new(),
                        said: Vec::new(),
                        accounts: BTreeSet::new(),
                        result: self.ending(legs).as_str(),
                        endings: legs.iter().map(|leg| leg.ending(&self.script.games).as_str()).collect(),
                    }
                });
                pick.posts.push(id.clone());
                pick.said.push(said);
                pick.accounts.insert(plan.account.clone());
            }
        }
        order.into_iter().filter_map(|name| picks.remove(&name)).collect()
    }

    /// One lost leg loses a parlay, and a pushed one is as if it were not there.
    fn ending(&self, legs: &[Bet]) -> BetResult {
        let endings: Vec<BetResult> = legs.iter().map(|leg| leg.ending(&self.script.games)).collect();
        let first = [BetResult::Lost, BetResult::Won].into_iter().find(|ending| endings.contains(ending));
        first.unwrap_or(BetResult::Push)
    }

    /// In the order in which they were published.
    fn expected_mentions(&self) -> Vec<ExpectedMention> {
        let mut plans: Vec<_> =
            self.script.mentions.iter().filter_map(|plan| Some((self.ids.get(&plan.key)?, plan))).collect();
        plans.sort_by_key(|(id, _)| (id.len(), (*id).clone()));
        let mut of_author: BTreeMap<&str, usize> = BTreeMap::new();
        let mut of_conversation: BTreeMap<usize, usize> = BTreeMap::new();
        let nth = |count: &mut usize| {
            *count += 1;
            *count
        };
        let expected = plans.into_iter().map(|(id, plan)| ExpectedMention {
            id: id.clone(),
            author: plan.author.clone(),
            kind: plan.kind,
            deserves: plan.deserves,
            conversation_id: self.id(plan.root),
            nth_of_author: nth(of_author.entry(&plan.author).or_default()),
            nth_of_conversation: nth(of_conversation.entry(plan.root).or_default()),
        });
        expected.collect()
    }
}

/// What an answer says of each bet of its post.
fn parts(answer: &ExtractedBets) -> Vec<ExtractedBets> {
    answer.clone().into_bets().into_iter().map(|bet| ExtractedBets::of(vec![bet])).collect()
}

/// The name of a bet, or of a parlay, whose legs stand in any order.
fn named(legs: &[Bet]) -> String {
    let mut names: Vec<String> = legs.iter().map(Bet::name).collect();
    names.sort();
    names.join(" & ")
}
