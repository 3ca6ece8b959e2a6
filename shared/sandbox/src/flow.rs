//! What the accounts of the sandbox write by themselves while it runs.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    draw::Draw,
    feed,
    mentions::{self, MentionKind},
    post::Reference,
    state::{Inner, NewPost, SandboxState},
};

/// Posts an account has when the sandbox starts.
const BACKLOG: u64 = 10;
/// The share of turns in which somebody mentions a bot.
const MENTIONS: f64 = 0.3;
/// The share of posts that show what they say on a picture.
const PICTURES: f64 = 0.08;
/// The share of turns in which the account repeats, quotes or answers another post as well.
const SOCIAL: f64 = 0.15;
/// The longest text that is put on a picture.
const ON_A_PICTURE: usize = 160;
/// What is written above a picture.
const CAPTIONS: [&str; 5] =
    ["Tonight's play 👇", "Slip is in", "This one. All day.", "Locked it in, see the ticket", "Card below 🎯"];
/// What is written above a post that is quoted.
const REMARKS: [&str; 4] =
    ["This aged well", "Same side here, different number", "Not touching this one", "Said it first, just saying"];
/// What an account adds to its own last post.
const ADDENDA: [&str; 4] = [
    "Adding to this one, line still looks good",
    "Got a better number since, shop around",
    "No edit: still on it",
    "Closing this thread, see you tomorrow",
];

/// The posts an account wrote before the start: one older than a day, one reply, the others over the last hours.
pub(crate) fn backlog(inner: &mut Inner, username: &str, now: DateTime<Utc>) {
    for n in 0..BACKLOG {
        let age = if n == 0 {
            TimeDelta::hours(30)
        } else {
            TimeDelta::minutes(3 + 7 * i64::try_from(BACKLOG - n).unwrap_or(0))
        };
        let text = feed::post(inner.seed, username, n);
        inner.write(username, NewPost { text, created_at: Some(now - age), ..NewPost::default() });
    }
    let reply_to = last_of(inner, username);
    let text = ADDENDA[0].to_owned();
    let created_at = Some(now - TimeDelta::minutes(2));
    inner.write(username, NewPost { text, created_at, reply_to, ..NewPost::default() });
}

impl SandboxState {
    /// Lets the next watched account write, and now and then somebody mention a bot; `tick` decides who and what.
    pub(crate) fn write_next(&self, tick: u64) {
        let mut inner = self.lock();
        if !inner.flows {
            return;
        }
        let Some(count) = u64::try_from(inner.watched.len()).ok().filter(|n| *n > 0) else { return };
        let username = inner.watched[usize::try_from(tick % count).unwrap_or(0)].clone();
        let text = feed::post(inner.seed, &username, BACKLOG + tick / count);
        let mut draw = Draw::of(inner.seed, "flow", tick);
        let post = pictured(text, &mut draw);
        inner.write(&username, post);
        if draw.chance(SOCIAL) {
            let post = sociable(&inner, &username, &mut draw);
            inner.write(&username, post);
        }
        if !inner.bots.is_empty() && draw.chance(MENTIONS) {
            let (fan, post) = mention(&inner, &mut draw);
            inner.write(fan, post);
        }
        drop(inner);
        self.changed();
    }
}

/// The post as it is, or with its text on a picture and a few words above.
fn pictured(text: String, draw: &mut Draw) -> NewPost {
    if text.len() > ON_A_PICTURE || !draw.chance(PICTURES) {
        return NewPost { text, ..NewPost::default() };
    }
    NewPost { text: (*draw.pick(&CAPTIONS)).to_owned(), picture: Some(text), ..NewPost::default() }
}

/// A reply to the account's own last post, or a repost or quote of somebody else's.
fn sociable(inner: &Inner, username: &str, draw: &mut Draw) -> NewPost {
    let others: Vec<&str> = inner.watched.iter().map(String::as_str).filter(|other| *other != username).collect();
    let other = if others.is_empty() { None } else { last_of(inner, others[draw.index(others.len())]) };
    match (other, draw.below(3)) {
        (Some(of), 0) => NewPost { retweet_of: Some(of), ..NewPost::default() },
        (Some(of), 1) => NewPost { quote_of: Some(of), ..NewPost::from(*draw.pick(&REMARKS)) },
        _ => NewPost { reply_to: last_of(inner, username), ..NewPost::from(*draw.pick(&ADDENDA)) },
    }
}

/// A mention of one of the bots: alone, under a post of a watched account, or under one that a bot has made.
fn mention(inner: &Inner, draw: &mut Draw) -> (&'static str, NewPost) {
    let bot = draw.pick(&inner.bots);
    let kind = MentionKind::drawn(draw);
    let under = match draw.below(10) {
        0..=4 => None,
        5..=7 => last_of(inner, &inner.watched[draw.index(inner.watched.len())]),
        _ => inner.world.made().find(|post| !post.deleted).map(|post| post.id.to_string()),
    };
    (mentions::fan(draw), NewPost { reply_to: under, ..NewPost::from(mentions::text(kind, bot, draw).as_str()) })
}

/// The last post of an account that stands on its own.
fn last_of(inner: &Inner, username: &str) -> Option<String> {
    let author = inner.world.find(username)?.id;
    let own = |reference| matches!(reference, Reference::None | Reference::Quote(_));
    inner.world.written().find(|p| p.author == author && own(p.reference)).map(|p| p.id.to_string())
}
