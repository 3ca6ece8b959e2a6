use perch_sandbox::{Draw, NewPost, Scene, Turn};

use crate::{MentionKind, fan, text};

/// The share of turns in which somebody mentions a bot.
const MENTIONS: f64 = 0.3;

/// Now and then somebody mentions a bot.
pub(crate) fn turn(scene: &mut Scene<'_>, turn: &mut Turn<'_>) {
    if !scene.bots().is_empty() && turn.draw.chance(MENTIONS) {
        let (author, post) = mention(scene, &mut turn.draw);
        scene.write(author, post);
    }
}

/// A mention of one of the bots: alone, under a post of a watched account, or under one that a bot has made.
fn mention(scene: &Scene<'_>, draw: &mut Draw) -> (&'static str, NewPost) {
    let bot = draw.pick(scene.bots());
    let kind = MentionKind::drawn(draw);
    let under = match draw.below(10) {
        0..=4 => None,
        5..=7 => scene.last_of(&scene.watched()[draw.index(scene.watched().len())]),
        _ => scene.last_made(),
    };
    (fan(draw), NewPost { reply_to: under, ..NewPost::from(text(kind, bot, draw).as_str()) })
}
