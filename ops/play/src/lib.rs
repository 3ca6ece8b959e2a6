//! A day on X, written in advance: what the accounts post, who writes to the bot, and how the games end.
//!
//! [`Script::write`] writes the day; the same options write the same day. [`Player`] carries it out, at whatever pace its caller
//! keeps, and knows afterwards what the bots should have made of it. Posts bear the time at which they are carried out, as the ids
//! of X rise with time; only the pinned ones are from the day before.

mod bets;
mod cappers;
mod crowd;
mod expect;
mod player;

use std::{collections::BTreeSet, time::Duration};

use perch_sandbox::{AccountStanding, Draw, is_username};

pub use cappers::Noise;
pub use crowd::ExpectedReply;
pub use expect::{Expectation, ExpectedMention, ExpectedPick, ExpectedPost};
pub use perch_actor_mentions::MentionKind;
pub use player::{Player, SandboxAction};

/// The day of a script.
pub const DAY: Duration = Duration::from_hours(24);
/// When the games have ended.
const RESULTS: Duration = Duration::from_secs(23 * 3600 + 30 * 60);
/// Most accounts of a script.
pub const MOST_ACCOUNTS: usize = 100;
/// Most mentions of a script.
pub const MOST_MENTIONS: usize = 10_000;

/// What a script is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayOptions {
    /// Handles of accounts that write, without `@`. Others join them until there are [`DayOptions::size`].
    pub accounts: Vec<String>,
    /// How many accounts write, 3 to 100.
    pub size: usize,
    /// How often the bot is written to, up to 10,000.
    pub mentions: usize,
    /// The handle of the bot, without `@`.
    pub bot: String,
    /// The same seed writes the same day.
    pub seed: u64,
}

impl Default for DayOptions {
    fn default() -> Self {
        Self { accounts: Vec::new(), size: 20, mentions: 300, bot: "perch_bot".into(), seed: 1 }
    }
}

/// Why a day cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// Too few or too many accounts.
    #[error("{0} accounts are no day; use 3 to {MOST_ACCOUNTS}")]
    Accounts(usize),
    /// Too many mentions.
    #[error("{0} mentions are too many; use up to {MOST_MENTIONS}")]
    Mentions(usize),
    /// A handle that X would not allow, or that stands there twice.
    #[error(
        "{0:?} is no handle or stands there twice; use 1 to 15 letters, digits or underscores, without @, each once"
    )]
    Handle(String),
}

/// A day, from its first post to its results.
#[derive(Debug, Clone)]
pub struct Script {
    pub(crate) options: DayOptions,
    pub(crate) accounts: Vec<String>,
    pub(crate) acts: Vec<Act>,
    pub(crate) posts: Vec<cappers::PostPlan>,
    pub(crate) mentions: Vec<crowd::MentionPlan>,
    pub(crate) games: Vec<bets::GameScore>,
}

/// Something that happens at a time of the day. Posts are known by their keys until they have ids.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    pub at: Duration,
    pub what: ActKind,
}

#[derive(Debug, Clone)]
pub(crate) enum ActKind {
    Publish { key: usize, account: String, draft: Draft },
    Withdraw { key: usize },
    Stand { account: String, standing: AccountStanding },
    Results,
}

/// A post that refers to others by their keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub text: String,
    /// How long ago it was written.
    pub age: Option<Duration>,
    pub refers: PostReference,
    pub picture: Option<String>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum PostReference {
    #[default]
    ToNothing,
    Reply(usize),
    Quote(usize),
    Retweet(usize),
}

/// Acts on the way to a script, with keys for posts.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    acts: Vec<Act>,
    keys: usize,
}

impl Sheet {
    pub fn publish(&mut self, at: Duration, account: &str, draft: Draft) -> usize {
        let key = self.keys;
        self.keys += 1;
        self.acts.push(Act { at, what: ActKind::Publish { key, account: account.to_owned(), draft } });
        key
    }

    pub fn add(&mut self, at: Duration, what: ActKind) {
        self.acts.push(Act { at, what });
    }
}

impl Script {
    /// Writes a day.
    pub fn write(options: &DayOptions) -> Result<Self, ScriptError> {
        if !(3..=MOST_ACCOUNTS).contains(&options.size.max(options.accounts.len())) {
            return Err(ScriptError::Accounts(options.size));
        }
        if options.mentions > MOST_MENTIONS {
            return Err(ScriptError::Mentions(options.mentions));
        }
        let accounts = cast(options)?;
        let mut sheet = Sheet::default();
        for account in &accounts {
            sheet.add(Duration::ZERO, ActKind::Stand { account: account.clone(), standing: AccountStanding::Open });
        }
        let games = bets::played(&mut Draw::of(options.seed, "games", 0));
        let posts = cappers::write(&mut sheet, &accounts, &mut Draw::of(options.seed, "cappers", 0));
        let mentions = crowd::write(&mut sheet, &posts, options, &mut Draw::of(options.seed, "crowd", 0));
        sheet.add(RESULTS, ActKind::Results);
        // A stable order: what answers a post was written onto the sheet after it and never has an earlier time.
        sheet.acts.sort_by_key(|act| act.at);
        Ok(Self { options: options.clone(), accounts, acts: sheet.acts, posts, mentions, games })
    }

    /// The accounts that write, which the bots should watch.
    pub fn accounts(&self) -> &[String] {
        &self.accounts
    }

    /// How many things happen.
    pub fn len(&self) -> usize {
        self.acts.len()
    }

    /// Never: every day has its results.
    pub fn is_empty(&self) -> bool {
        self.acts.is_empty()
    }
}

/// The accounts of a day: those that were given, and others to make up the number.
fn cast(options: &DayOptions) -> Result<Vec<String>, ScriptError> {
    const FIRST: [&str; 10] = ["steam", "value", "units", "chalk", "dog", "prop", "sharp", "line", "ladder", "closing"];
    const SECOND: [&str; 10] = ["anna", "boris", "carla", "dmitri", "elif", "farid", "greta", "hugo", "ines", "jonas"];
    let mut seen = BTreeSet::from([options.bot.to_lowercase()]);
    for account in &options.accounts {
        if !is_username(account) || !seen.insert(account.to_lowercase()) {
            return Err(ScriptError::Handle(account.clone()));
        }
    }
    if !is_username(&options.bot) {
        return Err(ScriptError::Handle(options.bot.clone()));
    }
    let made = (0..FIRST.len() * SECOND.len())
        .map(|n| format!("{}_{}", FIRST[n % FIRST.len()], SECOND[(n / FIRST.len() + n) % SECOND.len()]));
    let more = made.filter(|name| !seen.contains(name)).take(options.size.saturating_sub(options.accounts.len()));
    Ok(options.accounts.iter().cloned().chain(more).collect())
}
