//! What the watched accounts write: the example posts with other teams and other numbers each time.

use std::sync::LazyLock;

use perch_bot_picks::rules::{
    lex::{normalise, tokens},
    name_at,
    names::{NAMES, Role, key},
    token::{Lexeme, Token},
};
use perch_sandbox::Draw;

/// The pool of posts.
static POOL: LazyLock<Vec<String>> = LazyLock::new(|| {
    #[derive(serde::Deserialize)]
    struct Row {
        text: String,
    }
    include_str!("../data/posts.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Row>(line).expect("the pool is part of the crate and holds JSON lines").text)
        .collect()
});

/// The n-th post of an account. Every post of the pool is used once before any is used again.
pub(crate) fn post(seed: u64, username: &str, n: u64) -> String {
    let size = POOL.len();
    let (round, place) = (n / size as u64, usize::try_from(n % size as u64).unwrap_or(0));
    let mut shuffle = Draw::of(seed, username, round);
    let mut order: Vec<usize> = (0..size).collect();
    shuffle.shuffle(&mut order);
    vary(&POOL[order[place]], &mut Draw::of(seed.wrapping_add(1), username, n))
}

/// The same post with other teams of the league, other lines, odds and stakes.
fn vary(text: &str, draw: &mut Draw) -> String {
    let text = normalise(text);
    let tokens = tokens(&text);
    let shift = draw.index(1_000);
    let mut out = String::with_capacity(text.len());
    let (mut copied, mut at) = (0, 0);
    while at < tokens.len() {
        let (replacement, taken) = match name_at(&tokens, at) {
            Some((entity, len)) => (other_name(entity, shift), len),
            // "1 unit" stays as it is: another number would need "units".
            None if text[tokens[at].start..tokens[at].end].ends_with(" unit") => (None, 1),
            None => (other_number(&tokens, at, draw), 1),
        };
        if let Some(new) = replacement {
            let last = &tokens[at + taken - 1];
            // A stake ends with its unit, which stays.
            let end = if taken == 1 { last.start + last.text.len() } else { last.end };
            out.push_str(&text[copied..tokens[at].start]);
            out.push_str(&new);
            copied = end;
        }
        at += taken;
    }
    out.push_str(&text[copied..]);
    out
}

/// The first soccer teams of the table are the Premier League clubs. Only these are used, since clubs of several leagues do not meet.
const SOCCER_TEAMS: usize = 18;

/// Another name of the same league. All names of a post are shifted by the same number, so that two different names stay different.
fn other_name(entity: usize, shift: usize) -> Option<String> {
    let own = &NAMES.entities[entity];
    let swaps = own.role == Role::Side || own.league == "nba";
    let plain = |name: &str| NAMES.find(&key(&tokens(&normalise(name)))).len() == 1;
    let peers: Vec<usize> = (0..NAMES.entities.len())
        .filter(|i| {
            let peer = &NAMES.entities[*i];
            peer.league == own.league && peer.role == own.role && plain(&peer.nickname)
        })
        .take(if own.league == "soccer" { SOCCER_TEAMS } else { usize::MAX })
        .collect();
    let at = peers.iter().position(|i| *i == entity).filter(|_| swaps)?;
    Some(NAMES.entities[peers[(at + shift) % peers.len()]].nickname.clone())
}

fn other_number(tokens: &[Token], at: usize, draw: &mut Draw) -> Option<String> {
    let after_side = at > 0 && matches!(tokens[at - 1].folded.as_str(), "o" | "u" | "over" | "under");
    match tokens[at].lexeme {
        Lexeme::Units(_) => Some(["0.5", "1", "1.5", "2", "3"][draw.index(5)].to_owned())
            .filter(|_| tokens[at].text.parse::<f64>().is_ok()),
        Lexeme::Number { value, signed: true, decimals: 0, .. } if value.abs() >= 100.0 => {
            let moved = value.abs() + 5.0 * draw.whole(-3, 6);
            Some(format!("{:+.0}", moved.max(100.0).copysign(value)))
        }
        Lexeme::Number { value, signed: true, decimals, .. } => {
            let moved = value.abs() + draw.whole(0, 5);
            Some(format!("{:+.*}", usize::from(decimals), moved.copysign(value)))
        }
        Lexeme::Number { value, decimals, .. } if after_side => {
            let moved = value
                + match value {
                    v if v < 5.0 => draw.whole(0, 1),
                    v if v < 15.0 => draw.whole(-1, 2),
                    v if v < 60.0 => draw.whole(-5, 6),
                    _ => draw.whole(-9, 10),
                };
            Some(format!("{moved:.*}", usize::from(decimals)))
        }
        Lexeme::Number { value, decimals: 2, .. } => Some(format!("{:.2}", value + draw.whole(-12, 18) / 100.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use perch_bot_picks::rules::read;
    use perch_jobs::{Bet, ExtractedBets, PickKind};

    use super::*;

    fn shape(text: &str) -> (u8, Vec<PickKind>) {
        let kind = |bet: &Bet| match bet {
            Bet::Single(pick) => pick.kind,
            Bet::Parlay(_) => panic!("the rules read no parlay beside other bets: {text}"),
        };
        match read(text).likely {
            ExtractedBets::Nothing(()) => (0, Vec::new()),
            ExtractedBets::One(pick) => (1, vec![pick.kind]),
            ExtractedBets::Several(bets) => (2, bets.iter().map(kind).collect()),
            ExtractedBets::Parlay(parlay) => (3, parlay.picks.iter().map(|p| p.kind).collect()),
        }
    }

    #[test]
    fn a_varied_post_says_the_same_kind_of_thing() {
        for text in POOL.iter() {
            for n in 0..60 {
                let varied = vary(text, &mut Draw::new(n));
                assert_eq!(shape(&varied), shape(text), "{text:?} became {varied:?}");
            }
        }
    }

    #[test]
    fn the_same_seed_writes_the_same_posts_and_new_ones_keep_coming() {
        let written = |seed| (0..240).map(|n| post(seed, "capper", n)).collect::<Vec<_>>();
        assert_eq!(written(1), written(1));
        assert_ne!(written(1), written(2));
        assert!(written(1).into_iter().collect::<HashSet<_>>().len() > 200);
    }
}
