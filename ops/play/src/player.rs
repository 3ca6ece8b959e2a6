use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use perch_sandbox::{
    AccountStanding, GameResult, NewPost, SandboxState,
    slate::{GAMES, Game},
};

use crate::{
    ActKind, Draft, PostReference, Script,
    bets::{GameScore, event},
};

/// The next action to carry out in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SandboxAction {
    /// Somebody writes a post; its id belongs to [`Player::done`].
    Publish {
        /// The handle.
        account: String,
        /// The post.
        post: NewPost,
    },
    /// Somebody deletes a post.
    Withdraw {
        /// Its id.
        id: String,
    },
    /// An account opens or closes.
    Stand {
        /// The handle.
        account: String,
        /// What it is from now on.
        standing: AccountStanding,
    },
    /// The results of the games.
    Results(Vec<GameResult>),
}

/// Carries out a script, one act after the other.
///
/// [`Player::order`] says what is next; whoever did it says so with [`Player::done`]. Nothing here waits: [`Player::due`] is the
/// time of the day at which the next act has its place, and the pace is the caller's.
#[derive(Debug)]
pub struct Player<'s> {
    pub(crate) script: &'s Script,
    pub(crate) ids: BTreeMap<usize, String>,
    next: usize,
}

impl<'s> Player<'s> {
    /// Before the first act.
    pub fn new(script: &'s Script) -> Self {
        Self { script, ids: BTreeMap::new(), next: 0 }
    }

    /// When the next act is due, counted from the start of the day. `None` when the day is over.
    pub fn due(&self) -> Option<Duration> {
        self.script.acts.get(self.next).map(|act| act.at)
    }

    /// What is to be done next, at the time `now`. `None` when the day is over.
    pub fn order(&self, now: DateTime<Utc>) -> Option<SandboxAction> {
        let act = self.script.acts.get(self.next)?;
        Some(match &act.what {
            ActKind::Publish { account, draft, .. } => {
                SandboxAction::Publish { account: account.clone(), post: self.post(draft, now) }
            }
            ActKind::Withdraw { key } => SandboxAction::Withdraw { id: self.id(*key) },
            ActKind::Stand { account, standing } => {
                SandboxAction::Stand { account: account.clone(), standing: *standing }
            }
            ActKind::Results => SandboxAction::Results(self.results(now)),
        })
    }

    /// Marks the action as carried out; for a post, with this id.
    pub fn done(&mut self, id: Option<String>) {
        if let (Some(ActKind::Publish { key, .. }), Some(id)) =
            (self.script.acts.get(self.next).map(|act| &act.what), id)
        {
            self.ids.insert(*key, id);
        }
        self.next += 1;
    }

    /// Carries out in a sandbox of this process what has its place before this time of the day.
    pub fn play_until(&mut self, state: &SandboxState, time: Duration) {
        while self.due().is_some_and(|due| due < time) {
            let Some(order) = self.order(Utc::now()) else { return };
            let id = carry_out(state, order);
            self.done(id);
        }
    }

    /// Carries out in a sandbox of this process all that is left of the day.
    pub fn play(&mut self, state: &SandboxState) {
        self.play_until(state, Duration::MAX);
    }

    /// The id of a post that was published, and a word that is none for one that was not.
    pub(crate) fn id(&self, key: usize) -> String {
        self.ids.get(&key).cloned().unwrap_or_default()
    }

    fn post(&self, draft: &Draft, now: DateTime<Utc>) -> NewPost {
        let age = draft.age.and_then(|age| TimeDelta::from_std(age).ok());
        let post = NewPost {
            text: draft.text.clone(),
            created_at: age.map(|age| now - age),
            picture: draft.picture.clone(),
            ..NewPost::default()
        };
        match draft.refers {
            PostReference::ToNothing => post,
            PostReference::Reply(key) => NewPost { reply_to: Some(self.id(key)), ..post },
            PostReference::Quote(key) => NewPost { quote_of: Some(self.id(key)), ..post },
            PostReference::Retweet(key) => NewPost { retweet_of: Some(self.id(key)), ..post },
        }
    }

    fn results(&self, now: DateTime<Utc>) -> Vec<GameResult> {
        let result = |(game, played): (&Game, &GameScore)| GameResult {
            event: event(game),
            sport: game.league.to_owned(),
            first: game.first.name.to_owned(),
            second: game.second.name.to_owned(),
            scores: played.scores,
            finished_at: now,
            players: [(game.athlete.to_owned(), [(game.stat.to_owned(), played.counted)].into())].into(),
        };
        GAMES.iter().zip(&self.script.games).map(result).collect()
    }
}

fn carry_out(state: &SandboxState, order: SandboxAction) -> Option<String> {
    match order {
        SandboxAction::Publish { account, post } => return Some(state.publish(&account, post)),
        SandboxAction::Withdraw { id } => {
            state.delete(&id);
        }
        SandboxAction::Stand { account, standing } => state.set_standing(&account, standing),
        SandboxAction::Results(results) => state.set_results(results),
    }
    None
}
