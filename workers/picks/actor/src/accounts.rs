//! What the watched accounts post: bets, some of them on pictures, and now and then about each other.

use chrono::TimeDelta;
use perch_sandbox::{Draw, NewPost, Scene, Turn};

use crate::feed;

/// How many posts an account has when the sandbox starts.
const BACKLOG: u64 = 10;
/// The share of posts whose text is shown in a picture.
const PICTURES: f64 = 0.08;
/// The share of turns in which the account repeats, quotes or answers another post as well.
const SOCIAL: f64 = 0.15;
/// The longest text that is put in a picture, in bytes.
const ON_A_PICTURE: usize = 160;
/// What is written above a picture.
const CAPTIONS: [&str; 5] =
    ["Tonight's play 👇", "Slip is in", "This one. All day.", "Locked it in, see the ticket", "Card below 🎯"];
/// What is written above a post that is quoted.
const REMARKS: [&str; 4] =
    ["This aged well", "Same side here, different number", "Not touching this one", "Said it first, just saying"];
/// Replies of an account to its own last post.
const ADDENDA: [&str; 4] = [
    "Adding to this one, line still looks good",
    "Got a better number since, shop around",
    "No edit: still on it",
    "Closing this thread, see you tomorrow",
];

/// The posts an account wrote before the start: one is older than a day, one is a reply, the others are of the last hours.
pub(crate) fn backlog(scene: &mut Scene<'_>, account: &str) {
    let now = scene.now();
    for n in 0..BACKLOG {
        let age = if n == 0 {
            TimeDelta::hours(30)
        } else {
            TimeDelta::minutes(3 + 7 * i64::try_from(BACKLOG - n).unwrap_or(0))
        };
        let text = feed::post(scene.seed(), account, n);
        scene.write(account, NewPost { text, created_at: Some(now - age), ..NewPost::default() });
    }
    let reply_to = scene.last_of(account);
    let created_at = Some(now - TimeDelta::minutes(2));
    scene.write(account, NewPost { created_at, reply_to, ..NewPost::from(ADDENDA[0]) });
}

/// Writes the next post of an account, and sometimes another one that replies, quotes or reposts.
pub(crate) fn turn(scene: &mut Scene<'_>, turn: &mut Turn<'_>) {
    let text = feed::post(scene.seed(), turn.account, BACKLOG + turn.number);
    scene.write(turn.account, pictured(text, &mut turn.draw));
    if turn.draw.chance(SOCIAL) {
        let post = sociable(scene, turn.account, &mut turn.draw);
        scene.write(turn.account, post);
    }
}

/// The post as text, or as a picture of the text with a short caption.
fn pictured(text: String, draw: &mut Draw) -> NewPost {
    if text.len() > ON_A_PICTURE || !draw.chance(PICTURES) {
        return NewPost { text, ..NewPost::default() };
    }
    NewPost { picture: Some(text), ..NewPost::from(*draw.pick(&CAPTIONS)) }
}

/// A reply to the account's own last post, or a repost or quote of somebody else's.
fn sociable(scene: &Scene<'_>, account: &str, draw: &mut Draw) -> NewPost {
    let others: Vec<&str> = scene.watched().iter().map(String::as_str).filter(|other| *other != account).collect();
    let other = if others.is_empty() { None } else { scene.last_of(others[draw.index(others.len())]) };
    match (other, draw.below(3)) {
        (Some(of), 0) => NewPost { retweet_of: Some(of), ..NewPost::default() },
        (Some(of), 1) => NewPost { quote_of: Some(of), ..NewPost::from(*draw.pick(&REMARKS)) },
        _ => NewPost { reply_to: scene.last_of(account), ..NewPost::from(*draw.pick(&ADDENDA)) },
    }
}
