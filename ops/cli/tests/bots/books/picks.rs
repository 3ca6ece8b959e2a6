//! The picks, each as a post says it, and what was done about them.

use std::collections::{BTreeMap, BTreeSet};

use perch_jobs::{ExtractedBets, Pick, PickKind, Side};
use perch_play::{Expectation, ExpectedPick};
use serde_json::{Value, json};

use super::{Action, Books, PickRow};

impl Books {
    /// The keys of the picks, by the bets of the day that they are. A pick is a bet of its first post, to the letter.
    fn matched<'e>(&self, expected: &'e Expectation) -> Vec<(&str, &PickRow, &'e ExpectedPick, &'e ExtractedBets)> {
        let matched = self.picks.iter().filter_map(|(key, row)| {
            // A card names several.
            let mut of_post = expected.picks.iter().filter_map(|pick| Some((pick, said_in(pick, &row.source_post)?)));
            let (pick, said) = of_post.find(|(_, said)| json!(said) == row.body)?;
            Some((key.as_str(), row, pick, said))
        });
        matched.collect()
    }

    /// The bet of the day that a pick is.
    pub(super) fn bets_by_key<'e>(&self, expected: &'e Expectation) -> BTreeMap<&str, &'e ExpectedPick> {
        self.matched(expected).into_iter().map(|(key, _, pick, _)| (key, pick)).collect()
    }

    pub(super) fn check_picks(&self, expected: &Expectation, wrong: &mut Vec<String>) {
        let matched = self.matched(expected);
        let known: BTreeSet<&str> = matched.iter().map(|(key, ..)| *key).collect();
        for (key, row) in self.picks.iter().filter(|(key, _)| !known.contains(key.as_str())) {
            wrong.push(format!("{key}: {} of {} is no bet of that post", row.body, row.source_post));
        }
        for pick in &expected.picks {
            let keys: Vec<&str> = matched.iter().filter(|one| one.2.name == pick.name).map(|one| one.0).collect();
            if keys.len() != 1 {
                wrong.push(format!("{} is {} picks: {keys:?}", pick.name, keys.len()));
            }
        }
        for (key, row, pick, said) in matched {
            let (kind, line, odds, _) = fields(said);
            if (&row.kind, row.line, &row.odds) != (&kind, line, &odds) {
                wrong.push(format!("{key}: {}, {:?} and {:?} stand beside {}", row.kind, row.line, row.odds, row.body));
            }
            self.check_sightings(key, pick, wrong);
            let result = self.results.get(key).map(String::as_str);
            if result != Some(pick.result) {
                wrong.push(format!("{} is {result:?} and not {}", pick.name, pick.result));
            }
            self.check_said(key, row, said, wrong);
        }
    }

    /// The posts that named a pick, each with its own odds and stake.
    fn check_sightings(&self, key: &str, pick: &ExpectedPick, wrong: &mut Vec<String>) {
        let seen: BTreeMap<&str, _> = (self.sightings.iter().filter(|sighting| sighting.pick == key))
            .map(|sighting| (sighting.post.as_str(), (sighting.odds.clone(), sighting.units)))
            .collect();
        let right: BTreeMap<&str, _> = (pick.posts.iter().zip(&pick.said))
            .map(|(post, said)| (post.as_str(), (fields(said).2, fields(said).3)))
            .collect();
        if seen != right {
            wrong.push(format!("{} was seen in {seen:?} and not in {right:?}", pick.name));
        }
    }

    /// Something was said of the pick, once, in words that name it, and it stands so at X.
    fn check_said(&self, key: &str, row: &PickRow, said: &ExtractedBets, wrong: &mut Vec<String>) {
        let is_said = |action: &&Action| action.pick.as_deref() == Some(key) && action.kind != "retweet";
        let [action] = self.actions.iter().filter(is_said).collect::<Vec<_>>()[..] else {
            wrong.push(format!("something is said of {key} {} times", self.actions.iter().filter(is_said).count()));
            return;
        };
        let words = words(said);
        let is_named = action.text.contains(&words) && action.text.contains(&row.author);
        let post = self.made.iter().find(|post| Some(&post.id) == action.external_id.as_ref());
        let stands = post.is_some_and(|post| {
            post.text == action.text
                && post.account == "perch_bot"
                && post.reply_to.is_none() == (action.kind == "post")
        });
        if !is_named || !stands || action.state != "published" {
            let Action { kind, state, text, .. } = action;
            wrong.push(format!("{key}: {kind} {state} {text:?} for {words:?} of {}, at X {post:?}", row.author));
        }
    }

    /// Every first post of a pick was retweeted, once, and nothing else was.
    pub(super) fn check_actions(&self, wrong: &mut Vec<String>) {
        let sources: BTreeSet<&str> = self.picks.values().map(|row| row.source_post.as_str()).collect();
        let mut retweets: Vec<&str> = self.made.iter().filter_map(|post| post.retweet_of.as_deref()).collect();
        let recorded = self.actions.iter().filter(|action| action.kind == "retweet" && action.state == "published");
        let mut recorded: Vec<&str> = recorded.filter_map(|action| action.source_post.as_deref()).collect();
        retweets.sort_unstable();
        recorded.sort_unstable();
        for (what, posts) in [("at X", retweets), ("by the actions", recorded)] {
            if !posts.iter().eq(&sources) {
                wrong.push(format!("{what} these were retweeted: {posts:?}, and should have been {sources:?}"));
            }
        }
        for action in self.of_picks().filter(|action| action.state != "published") {
            wrong.push(format!("{} {:?} is {}", action.kind, action.text, action.state));
        }
    }

    pub(super) fn check_noise(&self, expected: &Expectation, wrong: &mut Vec<String>) {
        let seen: BTreeSet<&str> = self.sightings.iter().map(|sighting| sighting.post.as_str()).collect();
        for post in expected.posts.iter().filter(|post| post.noise.is_some() && seen.contains(post.id.as_str())) {
            wrong.push(format!("a pick was found in {} of {}, which is {:?}", post.id, post.account, post.noise));
        }
    }
}

/// What a post says of a bet, where it has it.
pub(super) fn said_in<'e>(pick: &'e ExpectedPick, post: &str) -> Option<&'e ExtractedBets> {
    pick.posts.iter().zip(&pick.said).find(|(id, _)| *id == post).map(|(_, said)| said)
}

/// Kind, line, odds and stake as the tables keep them.
pub(super) fn fields(said: &ExtractedBets) -> (String, Option<f64>, Option<String>, Option<f64>) {
    match said {
        ExtractedBets::One(pick) => {
            let kind = serde_json::to_value(pick.kind).ok().and_then(|kind: Value| kind.as_str().map(str::to_owned));
            (kind.unwrap_or_default(), pick.line, pick.odds.clone(), pick.units)
        }
        ExtractedBets::Parlay(parlay) => ("parlay".to_owned(), None, parlay.odds.clone(), None),
        other => panic!("{other:?} is no bet"),
    }
}

/// The bet as a reader of the bot must find it.
fn words(said: &ExtractedBets) -> String {
    match said {
        ExtractedBets::One(pick) => {
            let odds = pick.odds.iter().map(|odds| format!(" ({odds})"));
            let units = pick.units.iter().map(|units| format!(" {units}u"));
            [leg(pick)].into_iter().chain(odds).chain(units).collect()
        }
        ExtractedBets::Parlay(parlay) => parlay.picks.iter().map(leg).collect::<Vec<_>>().join(" + "),
        other => panic!("{other:?} is no bet"),
    }
}

fn leg(pick: &Pick) -> String {
    let (name, line) = (pick.selection.as_deref().unwrap_or_default(), pick.line.unwrap_or_default());
    let side = if pick.side == Some(Side::Over) { "over" } else { "under" };
    match pick.kind {
        PickKind::Spread => format!("{name} {line:+}"),
        PickKind::Total => format!("{} {side} {line}", pick.event.as_deref().unwrap_or_default()),
        PickKind::Prop => {
            let (player, stat) = (pick.player.as_deref(), pick.stat.as_deref());
            format!("{} {side} {line} {}", player.unwrap_or_default(), stat.unwrap_or_default())
        }
        PickKind::Moneyline | PickKind::Future => format!("{name} ML"),
    }
}
