//! Bets on the games of the day: their text, what a reader finds in it, and their results.

use perch_jobs::{ExtractedBets, Parlay, ParlayTag, Pick, PickKind, Side};
use perch_sandbox::{
    Draw,
    slate::{GAMES, Game, Team},
};

/// A bet on one game.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bet {
    /// The place of its game among [`GAMES`].
    pub game: usize,
    pub market: Market,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Market {
    /// The first team wins, or the second.
    Moneyline {
        first: bool,
    },
    Spread {
        first: bool,
        line: f64,
    },
    Total {
        over: bool,
    },
    Prop {
        over: bool,
    },
}

/// A bet as one account writes it.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub bet: Bet,
    pub odds: Option<String>,
    pub units: Option<f64>,
}

/// How a game ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GameScore {
    /// The points of the first team and of the second.
    pub scores: [u32; 2],
    /// What the athlete has of the statistic.
    pub counted: u32,
}

/// How a bet ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BetResult {
    Won,
    Lost,
    Push,
}

impl BetResult {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Push => "push",
        }
    }
}

/// How every game of the day ends.
pub(crate) fn played(draw: &mut Draw) -> Vec<GameScore> {
    let mut points = |from: u64, to: u64| u32::try_from(from + draw.below(to - from + 1)).unwrap_or(0);
    let of = |game: &Game| match game.league {
        "nba" => [points(96, 128), points(96, 128)],
        "nfl" => [points(10, 34), points(10, 34)],
        "mlb" => [points(0, 9), points(0, 9)],
        _ => [points(0, 6), points(0, 6)],
    };
    // None of these games ends level.
    let scores: Vec<[u32; 2]> = GAMES.iter().map(of).map(|[a, b]| if a == b { [a + 1, b] } else { [a, b] }).collect();
    GAMES.iter().zip(scores).map(|(game, scores)| GameScore { scores, counted: counted(game, draw) }).collect()
}

/// Over the line of the athlete or under it, each half of the time.
fn counted(game: &Game, draw: &mut Draw) -> u32 {
    // The lines are small and end in a half.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a line is a small positive number")]
    let below = game.stat_line.floor() as u32;
    let by = u32::try_from(draw.below(4)).unwrap_or(0);
    if draw.chance(0.5) { below + 1 + by } else { below.saturating_sub(by) }
}

impl Bet {
    /// Any bet on any game.
    pub fn drawn(draw: &mut Draw) -> Self {
        let game = draw.index(GAMES.len());
        let first = draw.chance(0.5);
        let market = match draw.below(10) {
            0..=2 => Market::Moneyline { first },
            // One line a game, so that two accounts that like the same side speak of the same bet.
            3..=6 => Market::Spread { first, line: if first { -line(game) } else { line(game) } },
            7..=8 => Market::Total { over: first },
            _ => Market::Prop { over: first },
        };
        Self { game, market }
    }

    fn game(&self) -> &'static Game {
        &GAMES[self.game]
    }

    fn team(&self, first: bool) -> Team {
        if first { self.game().first } else { self.game().second }
    }

    /// In words; two bets with the same words are the same.
    pub fn name(&self) -> String {
        let game = self.game();
        let side = |over: bool| if over { "over" } else { "under" };
        match self.market {
            Market::Moneyline { first } => format!("{} to win", self.team(first).name),
            Market::Spread { first, line } => format!("{} {line:+}", self.team(first).name),
            Market::Total { over } => format!("{} {} {}", event(game), side(over), game.total),
            Market::Prop { over } => format!("{} {} {} {}", game.athlete, side(over), game.stat_line, game.stat),
        }
    }

    /// How it ended.
    pub fn ending(&self, games: &[GameScore]) -> BetResult {
        let GameScore { scores, counted } = games[self.game];
        let [a, b] = scores.map(f64::from);
        let margin = match self.market {
            Market::Moneyline { first: true } => a - b,
            Market::Moneyline { first: false } => b - a,
            Market::Spread { first: true, line } => a + line - b,
            Market::Spread { first: false, line } => b + line - a,
            Market::Total { over: true } => a + b - self.game().total,
            Market::Total { over: false } => self.game().total - a - b,
            Market::Prop { over: true } => f64::from(counted) - self.game().stat_line,
            Market::Prop { over: false } => self.game().stat_line - f64::from(counted),
        };
        match margin {
            margin if margin > 0.0 => BetResult::Won,
            margin if margin < 0.0 => BetResult::Lost,
            _ => BetResult::Push,
        }
    }

    fn pick(&self, odds: Option<String>, units: Option<f64>) -> Pick {
        let game = self.game();
        let side = |over| Some(if over { Side::Over } else { Side::Under });
        let bare = Pick { sport: Some(game.league.to_owned()), odds, units, ..Pick::of(PickKind::Moneyline) };
        let name = |first| Some(self.team(first).name.to_owned());
        match self.market {
            Market::Moneyline { first } => Pick { selection: name(first), ..bare },
            Market::Spread { first, line } => {
                Pick { kind: PickKind::Spread, selection: name(first), line: Some(line), ..bare }
            }
            Market::Total { over } => Pick {
                kind: PickKind::Total,
                event: Some(event(game)),
                line: Some(game.total),
                side: side(over),
                ..bare
            },
            Market::Prop { over } => Pick {
                kind: PickKind::Prop,
                player: Some(game.athlete.to_owned()),
                stat: Some(game.stat.to_owned()),
                line: Some(game.stat_line),
                side: side(over),
                ..bare
            },
        }
    }

    /// The bet alone, without odds and stake.
    fn words(&self, draw: &mut Draw) -> String {
        let game = self.game();
        let (a, b) = (game.first.nickname, game.second.nickname);
        match self.market {
            Market::Moneyline { first } => format!("{} ML", self.team(first).nickname),
            Market::Spread { first, line } => format!("{} {line:+}", self.team(first).nickname),
            Market::Total { over } => {
                let side = if over { ["OVER", "o"] } else { ["UNDER", "u"] };
                if draw.chance(0.5) {
                    format!("{a} vs {b} {} {}", side[0], game.total)
                } else {
                    format!("{a}/{b} {}{}", side[1], game.total)
                }
            }
            Market::Prop { over } => {
                let side = if over { ["OVER ", "o"] } else { ["UNDER ", "u"] };
                format!("{} {}{} {}", game.athlete, draw.pick(&side), game.stat_line, game.stat)
            }
        }
    }
}

/// The line of a game: what the first team gives.
fn line(game: usize) -> f64 {
    const LINES: [f64; 6] = [3.5, 1.5, 6.5, 2.5, 4.0, 7.5];
    match GAMES[game].league {
        "mlb" | "nhl" => 1.5,
        _ => LINES[game % LINES.len()],
    }
}

/// A game as results name it.
pub(crate) fn event(game: &Game) -> String {
    format!("{} vs {}", game.first.name, game.second.name)
}

impl Ticket {
    /// The bet with odds and a stake, where the account says them.
    pub fn drawn(bet: Bet, draw: &mut Draw) -> Self {
        let odds = draw.chance(0.8).then(|| {
            let sign = if draw.chance(0.7) { '-' } else { '+' };
            format!("{sign}{}", 100 + 5 * draw.below(9))
        });
        let units = draw.chance(0.6).then(|| *draw.pick(&[0.5, 1.0, 1.5, 2.0, 3.0]));
        Self { bet, odds, units }
    }

    /// A line about it, and what a reader finds there.
    pub fn written(&self, draw: &mut Draw) -> (String, Pick) {
        let mut line = self.bet.words(draw);
        if let Some(odds) = &self.odds {
            line = if draw.chance(0.6) { format!("{line} ({odds})") } else { format!("{line} {odds}") };
        }
        if let Some(units) = self.units {
            line = format!("{line} {units}u");
        }
        (line, self.bet.pick(self.odds.clone(), self.units))
    }
}

/// Bets on so many different games.
pub(crate) fn on_games(count: usize, draw: &mut Draw) -> Vec<Bet> {
    let mut bets: Vec<Bet> = Vec::new();
    while bets.len() < count.min(GAMES.len()) {
        let bet = Bet::drawn(draw);
        if bets.iter().all(|other| other.game != bet.game) {
            bets.push(bet);
        }
    }
    bets
}

/// A post about these bets, and what a reader finds in it.
pub(crate) fn post(tickets: &[Ticket], draw: &mut Draw) -> (String, ExtractedBets) {
    const OPENERS: [&str; 4] = ["Two plays tonight:", "Card for tonight", "My board today:", "Here we go"];
    const CLOSERS: [&str; 6] = ["", "", " 🔒", " Tail or fade.", " 🔥", " Good luck!"];
    let written: Vec<(String, Pick)> = tickets.iter().map(|ticket| ticket.written(draw)).collect();
    if let [(line, pick)] = written.as_slice() {
        return (format!("{line}{}", draw.pick(&CLOSERS)), ExtractedBets::One(pick.clone()));
    }
    let opener = if tickets.len() == 2 { OPENERS[0] } else { *draw.pick(&OPENERS[1..]) };
    let numbered = draw.chance(0.5);
    let lines = written.iter().enumerate().map(
        |(n, (line, _))| {
            if numbered { format!("{}) {line}", n + 1) } else { line.clone() }
        },
    );
    let text = std::iter::once(opener.to_owned()).chain(lines).collect::<Vec<_>>().join("\n");
    (text, ExtractedBets::of(written.into_iter().map(|(_, pick)| perch_jobs::Bet::Single(pick)).collect()))
}

/// A post about a parlay of these bets, and what a reader finds in it.
pub(crate) fn parlay(bets: &[Bet], draw: &mut Draw) -> (String, ExtractedBets) {
    let odds = format!("+{}", 150 + 25 * bets.len() as u64 * (3 + draw.below(8)));
    let legs: Vec<String> = bets.iter().map(|bet| format!("• {}", bet.words(draw))).collect();
    let text = format!("{}-leg parlay {odds}:\n{}", bets.len(), legs.join("\n"));
    let picks = bets.iter().map(|bet| bet.pick(None, None)).collect();
    (text, ExtractedBets::Parlay(Parlay { kind: ParlayTag::Parlay, picks, odds: Some(odds) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use perch_bot_picks::rules::read;

    #[test]
    fn a_reader_finds_in_a_post_what_was_put_into_it() {
        let mut draw = Draw::new(5);
        for n in 0..600 {
            let (text, answer) = match n % 6 {
                5 => parlay(&on_games(2 + n % 3, &mut draw), &mut draw),
                count => {
                    let bets = on_games(count.max(1), &mut draw);
                    let tickets: Vec<Ticket> = bets.into_iter().map(|bet| Ticket::drawn(bet, &mut draw)).collect();
                    post(&tickets, &mut draw)
                }
            };
            assert_eq!(read(&text).likely, answer, "{text}");
        }
    }

    #[test]
    fn bets_end_as_their_games_do() {
        let mut games = vec![GameScore { scores: [1, 0], counted: 0 }; GAMES.len()];
        games[0] = GameScore { scores: [112, 108], counted: 26 };
        let ends = |market| Bet { game: 0, market }.ending(&games);
        assert_eq!(ends(Market::Moneyline { first: true }), BetResult::Won);
        assert_eq!(ends(Market::Spread { first: true, line: -4.0 }), BetResult::Push);
        assert_eq!(ends(Market::Spread { first: false, line: 3.5 }), BetResult::Lost);
        assert_eq!(ends(Market::Total { over: false }), BetResult::Won);
        assert_eq!(ends(Market::Prop { over: true }), BetResult::Won);
        assert_eq!(ends(Market::Prop { over: false }), BetResult::Lost);
    }
}
