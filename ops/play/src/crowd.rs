//! Writes the mentions of the bot.

use std::{collections::BTreeMap, time::Duration};

use perch_actor_mentions::{FANS, MentionKind, text};
use perch_sandbox::Draw;
use serde::{Deserialize, Serialize};

use crate::{
    DayOptions, Draft, PostReference, Sheet,
    cappers::{Meaning, PostPlan},
};

/// How the bot should handle a mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpectedReply {
    /// A reply, as far as the limits per conversation and per user allow.
    Reply,
    /// Review by a person; never a reply that no person has seen.
    Person,
    /// A reply or none: either is right.
    Either,
    /// No reply at all: the bot wrote it, or it only repeats another post.
    Nothing,
}

impl ExpectedReply {
    /// Its name in expectations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Person => "person",
            Self::Either => "either",
            Self::Nothing => "nothing",
        }
    }
}

/// A mention of the day and what it is.
#[derive(Debug, Clone)]
pub(crate) struct MentionPlan {
    pub key: usize,
    pub author: String,
    /// `None` for the bot's own post and for reposts.
    pub kind: Option<MentionKind>,
    pub deserves: ExpectedReply,
    /// The post that its conversation began with.
    pub root: usize,
}

/// People write from here on, up to there.
const FIRST: u64 = 8 * 3600 + 600;
const LAST: u64 = 23 * 3600;
/// Mentions of one person who is not one of the insistent ones.
const USUAL: usize = 3;
/// What an insistent person writes, and how many a busy conversation has: over what bots answer by default.
const INSISTENT: usize = 8;
/// Mentions in a day that has room for insistent people and busy conversations.
const CROWDED: usize = 60;

/// Writes what people say to the bot, in all as many posts as were asked for.
pub(crate) fn write(sheet: &mut Sheet, posts: &[PostPlan], options: &DayOptions, draw: &mut Draw) -> Vec<MentionPlan> {
    let mut crowd = Crowd { sheet, draw, bot: &options.bot, plans: Vec::new(), written: BTreeMap::new(), people: 0 };
    let total = options.mentions;
    if total >= CROWDED {
        crowd.own_words();
        crowd.repeated();
        for _ in 0..2 {
            crowd.insistent();
        }
        crowd.busy();
        for kind in MentionKind::ALL {
            crowd.usual(kind, posts);
        }
    }
    while crowd.plans.len() < total {
        let kind = MentionKind::drawn(crowd.draw);
        crowd.usual(kind, posts);
    }
    crowd.plans.truncate(total);
    crowd.plans
}

struct Crowd<'a> {
    sheet: &'a mut Sheet,
    draw: &'a mut Draw,
    bot: &'a str,
    plans: Vec<MentionPlan>,
    /// How often each person has written.
    written: BTreeMap<String, usize>,
    people: usize,
}

impl Crowd<'_> {
    fn time(&mut self) -> Duration {
        Duration::from_secs(FIRST + self.draw.below(LAST - FIRST))
    }

    /// Somebody who has not written yet.
    fn newcomer(&mut self) -> String {
        let (name, round) = (FANS[self.people % FANS.len()], self.people / FANS.len());
        self.people += 1;
        let name = if round == 0 { name.to_owned() } else { format!("{}{round}", &name[..name.len().min(11)]) };
        self.written.insert(name.clone(), 0);
        name
    }

    /// Somebody who has written before and not too often, or somebody new.
    fn somebody(&mut self) -> String {
        let again: Vec<String> =
            self.written.iter().filter(|(_, n)| (1..USUAL).contains(*n)).map(|(name, _)| name.clone()).collect();
        let name =
            if again.is_empty() || self.draw.chance(0.55) { self.newcomer() } else { self.draw.pick(&again).clone() };
        *self.written.entry(name.clone()).or_default() += 1;
        name
    }

    fn put(
        &mut self,
        at: Duration,
        author: String,
        kind: MentionKind,
        refers: PostReference,
        root: Option<usize>,
    ) -> usize {
        let text = text(kind, self.bot, self.draw);
        let key = self.sheet.publish(at, &author, Draft { text, refers, ..Draft::default() });
        let deserves = match kind {
            MentionKind::SelfHarm => ExpectedReply::Person,
            MentionKind::Abuse | MentionKind::Spam | MentionKind::Bare | MentionKind::Injection => {
                ExpectedReply::Either
            }
            _ => ExpectedReply::Reply,
        };
        self.plans.push(MentionPlan { key, author, kind: Some(kind), deserves, root: root.unwrap_or(key) });
        key
    }

    /// The bot names itself, as one does who quotes an old post by hand.
    fn own_words(&mut self) {
        let text = format!("New here? Mention @{} with a game and you get an opinion", self.bot);
        let key = self.sheet.publish(Duration::from_secs(FIRST), self.bot, Draft { text, ..Draft::default() });
        let author = self.bot.to_owned();
        self.plans.push(MentionPlan { key, author, kind: None, deserves: ExpectedReply::Nothing, root: key });
    }

    /// Somebody repeats a post that names the bot.
    fn repeated(&mut self) {
        let at = self.time();
        let author = self.newcomer();
        let named = self.put(at, author, MentionKind::Thanks, PostReference::ToNothing, None);
        let author = self.newcomer();
        let key = self.sheet.publish(at, &author, Draft { refers: PostReference::Retweet(named), ..Draft::default() });
        self.plans.push(MentionPlan { key, author, kind: None, deserves: ExpectedReply::Nothing, root: key });
    }

    /// One person who writes more than a bot answers.
    fn insistent(&mut self) {
        let author = self.newcomer();
        self.written.insert(author.clone(), INSISTENT);
        for _ in 0..INSISTENT {
            let at = self.time();
            let kind = *self.draw.pick(&[MentionKind::Question, MentionKind::Joke, MentionKind::Request]);
            self.put(at, author.clone(), kind, PostReference::ToNothing, None);
        }
    }

    /// A conversation with more mentions than a bot answers, each by somebody else under the one before.
    fn busy(&mut self) {
        let mut at = Duration::from_secs(FIRST + self.draw.below(3600));
        let author = self.newcomer();
        let root = self.put(at, author, MentionKind::Question, PostReference::ToNothing, None);
        let mut last = root;
        for _ in 1..INSISTENT {
            at += Duration::from_secs(60 + self.draw.below(3000));
            let author = self.newcomer();
            let kind = *self.draw.pick(&[MentionKind::Question, MentionKind::Joke, MentionKind::Thanks]);
            last = self.put(at, author, kind, PostReference::Reply(last), Some(root));
        }
    }

    /// A mention alone, under a pick of the day, or under somebody's question.
    fn usual(&mut self, kind: MentionKind, posts: &[PostPlan]) {
        let (at, author) = (self.time(), self.somebody());
        match self.draw.below(10) {
            0..=2 => {
                let mut earlier: Vec<usize> =
                    posts.iter().filter(|post| post.at <= at && can_be_answered(post)).map(|post| post.key).collect();
                // At most one mention under a post: the limit per conversation is what busy conversations are for.
                earlier.retain(|key| self.plans.iter().all(|plan| plan.root != *key));
                if earlier.is_empty() {
                    self.put(at, author, kind, PostReference::ToNothing, None);
                } else {
                    let under = *self.draw.pick(&earlier);
                    self.put(at, author, kind, PostReference::Reply(under), Some(under));
                }
            }
            3 => {
                // Somebody asks around, and somebody else calls the bot.
                let asker = self.newcomer();
                let text = "Anybody got an opinion on tonight? I cannot decide".to_owned();
                let root = self.sheet.publish(at, &asker, Draft { text, ..Draft::default() });
                self.put(at, author, kind, PostReference::Reply(root), Some(root));
            }
            _ => {
                self.put(at, author, kind, PostReference::ToNothing, None);
            }
        }
    }
}

fn can_be_answered(post: &PostPlan) -> bool {
    matches!(post.meaning, Meaning::Bets { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(mentions: usize) -> Vec<MentionPlan> {
        let options = DayOptions { mentions, ..DayOptions::default() };
        write(&mut Sheet::default(), &[], &options, &mut Draw::new(3))
    }

    #[test]
    fn there_are_as_many_mentions_as_were_asked_for_and_some_of_every_kind() {
        for count in [0, 1, 59, 60, 300] {
            assert_eq!(day(count).len(), count);
        }
        let plans = day(300);
        for kind in MentionKind::ALL {
            assert!(plans.iter().any(|plan| plan.kind == Some(kind)), "{kind:?}");
        }
        for deserves in [ExpectedReply::Reply, ExpectedReply::Person, ExpectedReply::Either, ExpectedReply::Nothing] {
            assert!(plans.iter().any(|plan| plan.deserves == deserves), "{deserves:?}");
        }
    }

    #[test]
    fn only_insistent_people_and_busy_conversations_come_to_the_limits() {
        let plans = day(300);
        let count = |of: &dyn Fn(&MentionPlan) -> String| {
            let mut counts = BTreeMap::new();
            for plan in &plans {
                *counts.entry(of(plan)).or_insert(0_usize) += 1;
            }
            counts.into_values().filter(|n| *n > USUAL).collect::<Vec<_>>()
        };
        assert_eq!(count(&|plan| plan.author.clone()), [INSISTENT, INSISTENT]);
        assert_eq!(count(&|plan| plan.root.to_string()), [INSISTENT]);
    }

    #[test]
    fn every_name_is_a_handle() {
        let options = DayOptions { mentions: 3_000, ..DayOptions::default() };
        for plan in write(&mut Sheet::default(), &[], &options, &mut Draw::new(3)) {
            assert!(perch_sandbox::is_username(&plan.author), "{}", plan.author);
        }
    }
}
