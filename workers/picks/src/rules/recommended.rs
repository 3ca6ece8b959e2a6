//! Separates the bets that a post recommends from those it only talks about.

use super::{
    clause::{Clause, ResultMark},
    price,
    term::Term,
};

/// Words about bets or games that are over.
const RESULTS: &str = "cashes, cashed, cashing, won, lost, loses, pushed, winner winner, covered, swept, sweep, bad \
beat, loss, losses, never had a chance, tough beat, graded, final score, hit again, hits again, just hit, hit last \
night, went, were, was never, never a doubt, never a sweat, cash it, cash that, hooked, came through, got there, killed \
us, burned us, choked, blew, missed, never in doubt, wire to wire, was the right side, was the right, was on the, \
robbed, lose by, told you, lose again, smoked, died, that's a w, big w, another w, ez w, easy w, lose to, loses to, \
they lose, voided, is dead, no action, refund, refunded, congrats, who tailed, if you tailed, hope you tailed";
/// Words that begin a list of past bets.
const RECAP: &str = "recap, results, result, graded, recapping, record update, ytd, week in review, yesterday's plays, \
yesterday's picks, yesterday's card, yesterday's bets, last night's plays, last night's picks, last night's card, last \
night's bets, last week's plays, last week's picks, last week's card";
/// Words that begin a look back.
const LOOKING_BACK: &str = "last night, last night's, yesterday, yesterday's, last week, last week's, last time out";
/// Words for today, which end a look back.
const TODAY: &str = "today, today's, tonight, tonight's";
/// Words that end a look back.
const LOOKING_AHEAD: &str = "today, today's, tonight, tonight's, tomorrow, next, new play, new plays, card, plays, now \
on to, on to, moving on, bounce back, bouncing back, potd, play of the day, back at it, back to work, run it back, \
running it back";
/// Words that turn from a look back to the next bet within one sentence.
const BACK_AGAIN: &str = "back at it, back on, back to, back with, going back, right back, run it back, running it \
back, bounce back, bouncing back, redemption, so let's, so i'm, so we're, so give, so here, not today";
/// Short refusals of the bet in the clause before.
const REFUSED: &str = "staying away, stay away, hard pass, pass, passing, no thanks, no bet, no play, skip, skipping, \
avoid, avoiding, fade, not for me, not touching it, i'm out";
/// The most words of such a refusal.
const MOST_REFUSING: usize = 4;
/// Words of talk about lines.
const LINE_TALK: &str = "line movement, line move, line moved, line moves, opened, opens at, moved to, moved from, \
moves to, reverse line, steam, steamed, of the bets, of bets, of the money, of tickets, of the tickets, handle, line \
watch, closed, clv, shop around, draftkings has, fanduel has, dk has, fd has, mgm has, caesars has, books have, every \
book, most bet, most popular, most backed, public is, public loves, everyone on, everybody on, someone bet, somebody \
bet, someone put, somebody put, someone just, bettor, is now, are now, opening line, closed at, closing line, line has, \
line down, line up, injury, injury update";
/// Words of advertising.
const PROMOTION: &str = "promo, promo code, use code, bonus bets, bonus bet, sign up, signup, deposit, link in bio, vip, subscribe, \
giveaway, free trial, discord, telegram, whop, dubclub, members, giving away, rt to, retweet to";
/// Words about bets that are not made.
const NOT_MADE: &str = "no thanks, no bet, no play, no plays, not touching, not betting, not playing, not taking, not \
on, staying away, stay away, pass on, passing on, passed on, avoid, avoiding, fading, fade the, i'd wait, waiting for, \
wait for, waiting on, if it gets, if it hits, if you can, might, thinking about, considering, would have, wouldn't, \
should have, should've, shoulda, wish, almost took, leaning, hate, trap, a trap, don't like, don't love, don't trust, \
don't bet, don't take, don't touch, don't play, don't see, don't want, dont like, dont love, dont trust, dont bet, dont \
take, dont touch, dont play, can't bet, can't take, can't touch, can't play, can't back, can't trust, can't lay, can't \
do, can't get, can't see, cant bet, cant take, cant touch, cant play, cant back, cant trust";
/// Words that commit the author to a bet.
const COMMITTED: &str = "lock, potd, play, plays, bet, bets, pick, picks, hammer, hammering, bankroll, wager, best bet, tailing, \
riding, max, free play, lotd";
/// Phrases in which "fade" is an offer to the reader and not a refusal.
const OFFERED: [&str; 4] = [" tail or fade ", " fade or tail ", " fade me ", " fade or follow "];

/// The topic of a clause without a bet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// The results of bets.
    Results,
    /// Advertising.
    Advertising,
    /// Lines, and bets that are not made.
    Lines,
    /// A question.
    Question,
    /// Anything else.
    Anything,
}

/// The topic of a clause without a bet.
pub(crate) fn about(clause: &Clause) -> Topic {
    let back = clause.says(RESULTS) || clause.says(RECAP) || clause.says(LOOKING_BACK);
    let over = clause.mark == ResultMark::Graded || back || has_hit(clause);
    match () {
        () if over || scored(clause) => Topic::Results,
        () if clause.says(PROMOTION) => Topic::Advertising,
        () if clause.says(LINE_TALK) || clause.says(NOT_MADE) || clause.moved => Topic::Lines,
        () if clause.question => Topic::Question,
        () => Topic::Anything,
    }
}

/// Whether a post is looking back at past bets at some clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LookBack {
    /// It is not, or not any more.
    Over,
    /// It told a result: a new bet after that needs a price or a stake.
    Told,
    /// It lists past bets with their prices and stakes.
    Listed,
}

/// Whether each clause may have a recommended bet.
pub(crate) fn live(clauses: &[Clause]) -> Vec<bool> {
    // A list with crosses, or with a record of as many bets as it has ticks, is a list of results.
    let marked = clauses.iter().filter(|c| c.mark == ResultMark::Checked).count();
    let of_this_list = |word: &str| bets_of_record(word) == Some(marked);
    let results = clauses.iter().any(|c| c.mark == ResultMark::Graded || c.words.split(' ').any(of_this_list));
    let mut past = LookBack::Over;
    let staked_after = |at: usize| clauses.get(at + 1).is_some_and(|next| price::stake(&next.terms).is_some());
    let refused = |at: usize| clauses.get(at + 1).is_some_and(refuses);
    clauses
        .iter()
        .enumerate()
        .map(|(at, clause)| {
            let (priced, staked) = (!price::all(&clause.terms).is_empty(), price::stake(&clause.terms).is_some());
            let again = clause.says(BACK_AGAIN) && priced && staked;
            past = past_after(past, clause, again, priced || staked);
            let doubtful = clause.question && priced && staked_after(at);
            let ended = results && clause.mark == ResultMark::Checked;
            let stands = staked || !refused(at);
            // "They won 4 straight. 2u": the stake belongs to the bet before.
            let value_alone = past == LookBack::Told && clause.words.trim().is_empty() && (priced || staked);
            (past == LookBack::Over || value_alone) && !ended && stands && (again || recommends(clause, doubtful))
        })
        .collect()
}

fn past_after(past: LookBack, clause: &Clause, again: bool, valued: bool) -> LookBack {
    let bare = |phrase: &str| clause.words.trim() == phrase;
    match () {
        () if again || clause.words.starts_with(" but ") => LookBack::Over,
        () if clause.says(TODAY) => LookBack::Over,
        () if clause.says(RECAP) || LOOKING_BACK.split(", ").any(bare) => LookBack::Listed,
        () if clause.says(LOOKING_BACK) => past.max(LookBack::Told),
        () if clause.says(LOOKING_AHEAD) => LookBack::Over,
        () if valued && past == LookBack::Told && is_bet(clause) => LookBack::Over,
        () if clause.says(RESULTS) && !is_bet(clause) => past.max(LookBack::Told),
        () => past,
    }
}

/// Whether a clause turns from past bets to new ones.
pub(crate) fn looks_ahead(clause: &Clause) -> bool {
    clause.says(TODAY)
        || clause.says(LOOKING_AHEAD)
        || clause.says("keep it rolling, keep it going, stay hot, new day, another day")
}

/// Whether a clause has a line or a market.
fn is_bet(clause: &Clause) -> bool {
    clause.terms.iter().any(|term| match term {
        Term::Number { value, signed: true, .. } => value.abs() < 100.0,
        term => matches!(term, Term::Side(_) | Term::Win { .. } | Term::PickEm | Term::DrawNoBet | Term::Stat(_)),
    })
}

/// Whether a clause only refuses the bet before it.
fn refuses(clause: &Clause) -> bool {
    clause.words.split_whitespace().count() <= MOST_REFUSING && clause.says(REFUSED) && !is_bet(clause)
}

/// The number of bets in a record such as `3-1` or `4-2-1`.
fn bets_of_record(word: &str) -> Option<usize> {
    let counts = word.contains('-').then(|| word.split('-').map(|n| n.parse::<u8>().map(usize::from)));
    counts?.sum::<Result<usize, _>>().ok()
}

/// Whether a clause recommends its bet. `answered` says that the next clause stakes on what this one asks.
fn recommends(clause: &Clause, answered: bool) -> bool {
    let staked = clause.terms.iter().any(|t| matches!(t, Term::Units(_)));
    let mut words = clause.words.clone();
    for offer in OFFERED {
        words = words.replace(offer, " ");
    }
    let offered = Clause { words, ..Clause::default() };
    let over = clause.mark == ResultMark::Graded || clause.says(RESULTS) || has_hit(clause);
    let talk =
        (clause.says(LINE_TALK) || offered.says(NOT_MADE) || clause.question || clause.moved) && !staked && !answered;
    !(over || talk || clause.says(PROMOTION) || scored(clause))
}

/// The highest line of a bet on hits.
const MOST_HITS: f64 = 12.0;

/// Whether the clause has "hit" or "hits" as a result, not as a statistic or a wish.
fn has_hit(clause: &Clause) -> bool {
    let counted = clause.terms.iter().any(|t| matches!(t, Term::Side(_) | Term::Number { plus: true, .. }));
    let wished = clause.says("to hit, will hit, gonna hit, should hit, lets hit, let's hit, a hit");
    let bare = clause.says("hit, hits") && !counted && !wished;
    // A number this high is not a count of hits: "over 110 hit" means that the over won.
    let beyond = |pair: &[Term]| matches!(pair, [Term::Number { value, .. }, Term::Stat(_)] if *value > MOST_HITS);
    let reached = clause.says("hit") && clause.terms.windows(2).any(beyond);
    // "Hit the under 8.5 (-110)" recommends the bet.
    let asked = clause.words.starts_with(" hit the ") && counted && !price::all(&clause.terms).is_empty();
    let hit = clause.says("hit the, hits the") && !asked;
    bare || reached || hit || clause.says("parlay hit, parlay hits, it hit, we hit, easy hit, both hit, all hit")
}

/// Whether the clause has a score such as 110-102, which only a finished game has.
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

/// Whether the author commits to the bet, so that even words of fan talk count as a bet.
pub(crate) fn committed(clause: &Clause) -> bool {
    clause.says(COMMITTED)
}

/// Whether the clause is about a parlay that is bet, and not about parlays in general.
pub(crate) fn parlay(clause: &Clause) -> bool {
    clause.terms.contains(&Term::Parlay)
        && !clause.says("no parlay, no parlays, not a parlay, singles only, don't parlay, never parlay, parlay later")
        && !clause.says("parlay coming, parlay soon, parlay tomorrow, parlay drops, parlay dropping, parlay killer")
}
