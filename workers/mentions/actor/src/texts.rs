//! The texts that people write to the bots, and their handles.

use std::sync::LazyLock;

use perch_sandbox::{Draw, slate::GAMES};
use serde::Deserialize;

use crate::MentionKind;

#[derive(Deserialize)]
struct Row {
    kind: MentionKind,
    text: String,
}

static POOL: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let rows = include_str!("../data/mentions.jsonl").lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().expect("the mentions are part of the crate and hold JSON lines")
});

/// Handles of those who mention the bots.
pub static FANS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("../data/fans.txt").lines().filter(|line| !line.starts_with('#')).collect());

/// The handle of somebody who mentions a bot. The first ones do so most often.
pub fn fan(draw: &mut Draw) -> &'static str {
    let (one, other) = (draw.index(FANS.len()), draw.index(FANS.len()));
    FANS[one.min(other)]
}

/// A mention of a bot.
pub fn text(kind: MentionKind, bot: &str, draw: &mut Draw) -> String {
    let rows: Vec<&Row> = POOL.iter().filter(|row| row.kind == kind).collect();
    let game = draw.pick(&GAMES);
    let (first, second) = if draw.chance(0.5) { (game.first, game.second) } else { (game.second, game.first) };
    let line = format!("{:+.1}", draw.whole(-9, 9) - 0.5);
    let n = 2 + draw.below(97);
    draw.pick(&rows)
        .text
        .replace("{bot}", bot)
        .replace("{first}", first.nickname)
        .replace("{second}", second.nickname)
        .replace("{line}", &line)
        .replace("{n}", &n.to_string())
}

#[cfg(test)]
mod tests {
    use perch_sandbox::{LONGEST, weight};

    use super::*;

    #[test]
    fn every_kind_has_mentions_that_name_the_bot_and_fit_a_post() {
        for kind in MentionKind::ALL {
            for n in 0..50 {
                let text = text(kind, "perch_bot", &mut Draw::new(n));
                assert!(text.contains("@perch_bot") && !text.contains(['{', '}']), "{text}");
                assert!(weight(&text) <= LONGEST, "{text}");
            }
        }
    }
}
