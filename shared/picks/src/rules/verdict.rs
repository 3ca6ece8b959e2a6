//! Tells the bets that a post recommends from those it only talks about.

use super::{
    clause::{Clause, Mark, Term},
    price,
};

/// What happened already.
const RESULTS: &str = "cashes, cashed, cashing, won, lost, loses, pushed, winner winner, covered, swept, sweep, bad beat, \
loss, losses, never had a chance, tough beat, graded, final score, hit again, hits again, just hit, hit last night, went, were, \
was never, never a doubt, never a sweat, cash it, cash that, hooked, came through, got there, killed us, burned us, choked, blew, missed, never in doubt, \
wire to wire, was the right side, was the right, was on the, robbed, lose by, told you, lose again";
/// Words that open a look back.
const LOOKING_BACK: &str = "recap, results, result, last night, last night's, yesterday, yesterday's, last week, last week's, graded, \
recapping, record update, ytd, week in review, monday's results, sunday's results";
/// Days that a look back does not speak of.
const TODAY: &str = "today, today's, tonight, tonight's";
/// Words that end it.
const LOOKING_AHEAD: &str = "today, today's, tonight, tonight's, tomorrow, next, new play, new plays, card, plays, now on to, on to, \
moving on, bounce back, potd, play of the day";
/// Talk about lines, not bets.
const LINE_TALK: &str = "line movement, line move, line moved, line moves, opened, opens at, moved to, moved from, moves to, \
reverse line, steam, steamed, of the bets, of bets, of the money, of tickets, of the tickets, handle, \
line watch, is now, are now, opening line, closed at, closing line, line has, line down, line up, injury, injury update";
/// Advertising.
const PROMOTION: &str = "promo, promo code, use code, bonus bets, bonus bet, sign up, signup, deposit, link in bio, vip, subscribe, \
giveaway, free trial, discord, telegram, whop, dubclub, members, giving away, rt to, retweet to";
/// Bets not made.
const NOT_MADE: &str = "no thanks, no bet, no play, no plays, not touching, not betting, not playing, not taking, not on, \
staying away, stay away, pass on, passing on, passed on, avoid, avoiding, fading, fade the, i'd wait, \
waiting for, wait for, waiting on, if it gets, if it hits, if you can, might, thinking about, considering, \
would have, wouldn't, don't, dont, can't, cant, should have, shoulda, wish, almost took, leaning, hate";
/// Words that commit the author to a bet.
const COMMITTED: &str = "lock, potd, play, plays, bet, bets, pick, picks, hammer, hammering, bankroll, wager, best bet, tailing, \
riding, max, free play, lotd";
/// A fade that is offered to the reader.
const OFFERED: [&str; 4] = [" tail or fade ", " fade or tail ", " fade me ", " fade or follow "];

/// What a clause that holds no bet speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// How bets ended.
    Results,
    /// Something that is sold or given away.
    Advertising,
    /// Lines, and bets that are not made.
    Lines,
    /// A question.
    Question,
    /// Anything else.
    Anything,
}

/// What a clause speaks of when it holds no bet.
pub(crate) fn about(clause: &Clause) -> About {
    let over = clause.mark == Mark::Graded || clause.says(RESULTS) || clause.says(LOOKING_BACK) || has_hit(clause);
    match () {
        () if over || scored(clause) => About::Results,
        () if clause.says(PROMOTION) => About::Advertising,
        () if clause.says(LINE_TALK) || clause.says(NOT_MADE) || clause.moved => About::Lines,
        () if clause.question => About::Question,
        () => About::Anything,
    }
}

/// Whether each clause may hold a bet.
pub(crate) fn live(clauses: &[Clause]) -> Vec<bool> {
    // A list with crosses in it, or with a record of as many bets beside it, says how its bets ended.
    let marked = clauses.iter().filter(|c| c.mark == Mark::Checked).count();
    let of_this_list = |word: &str| bets_of_record(word) == Some(marked);
    let results = clauses.iter().any(|c| c.mark == Mark::Graded || c.words.split(' ').any(of_this_list));
    let mut looking_back = false;
    let staked_after = |at: usize| clauses.get(at + 1).is_some_and(|next| price::stake(&next.terms).is_some());
    clauses
        .iter()
        .enumerate()
        .map(|(at, clause)| {
            if clause.words.starts_with(" but ") {
                looking_back = false;
            }
            if clause.says(LOOKING_BACK) {
                looking_back = !clause.says(TODAY);
            } else if clause.says(LOOKING_AHEAD) {
                looking_back = false;
            }
            let doubtful = clause.question && !price::all(&clause.terms).is_empty() && staked_after(at);
            let ended = results && clause.mark == Mark::Checked;
            !looking_back && !ended && recommends(clause, doubtful)
        })
        .collect()
}

/// How many bets `3-1` or `4-2-1` counts.
fn bets_of_record(word: &str) -> Option<usize> {
    let counts = word.contains('-').then(|| word.split('-').map(|n| n.parse::<u8>().map(usize::from)));
    counts?.sum::<Result<usize, _>>().ok()
}

/// Whether a clause recommends what it says; `answered` when the next one puts a stake on what it asks.
fn recommends(clause: &Clause, answered: bool) -> bool {
    let staked = clause.terms.iter().any(|t| matches!(t, Term::Units(_)));
    let mut words = clause.words.clone();
    for offer in OFFERED {
        words = words.replace(offer, " ");
    }
    let offered = Clause { words, ..Clause::default() };
    let over = clause.mark == Mark::Graded || clause.says(RESULTS) || has_hit(clause);
    let talk =
        (clause.says(LINE_TALK) || offered.says(NOT_MADE) || clause.question || clause.moved) && !staked && !answered;
    !(over || talk || clause.says(PROMOTION) || scored(clause))
}

/// "hit" and "hits" as a result; not as a statistic and not as a wish.
fn has_hit(clause: &Clause) -> bool {
    let counted = clause.terms.iter().any(|t| matches!(t, Term::Side(_) | Term::Number { plus: true, .. }));
    let wished = clause.says("to hit, will hit, gonna hit, should hit, lets hit, let's hit, a hit");
    let bare = clause.says("hit, hits") && !counted && !wished;
    bare || clause.says("parlay hit, parlay hits, it hit, we hit, hit the, hits the, easy hit, both hit, all hit")
}

/// A score such as 110-102, which only a finished game has.
fn scored(clause: &Clause) -> bool {
    clause.words.split(' ').any(|word| {
        let mut parts = word.split('-');
        let (home, away) = (parts.next().map(str::len), parts.next().map(str::len));
        parts.next().is_none()
            && word.chars().all(|c| c.is_ascii_digit() || c == '-')
            && matches!((home, away), (Some(2..=3), Some(2..=3)))
            && clause.says("final, beat, win, wins, won, over, lead, leads, up")
    })
}

/// Whether the author commits to what the clause says in words that fans use as well.
pub(crate) fn committed(clause: &Clause) -> bool {
    clause.says(COMMITTED)
}

/// Whether the clause speaks of a parlay that is bet, not of parlays in general.
pub(crate) fn parlay(clause: &Clause) -> bool {
    clause.terms.contains(&Term::Parlay)
        && !clause.says("no parlay, no parlays, not a parlay, singles only, don't parlay, never parlay")
}
