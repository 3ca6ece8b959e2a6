//! Turns the tokens of a post into clauses of terms: names, markets, numbers and the words between them.

use std::ops::Range;

use perch_odds::fold;

use super::{
    asides::without_asides,
    leg_count,
    names::{Candidate, LONGEST, NAMES, Role, key},
    phrases::{LEAGUE_SIGNS, NOT_NAMES, PHRASES, PROPOSING},
    quarters,
    term::{Name, Term},
    token::{Lexeme, Token},
    vocabulary::is_common,
};

/// Words after a name that make it the name of another team.
const REMAINDERS: [&str; 9] = ["women", "womens", "women's", "ladies", "tech", "u19", "u20", "u21", "u23"];

/// The mark of a result in a clause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ResultMark {
    /// No mark.
    #[default]
    Nothing,
    /// The mark of a won bet before all words; in a list of bets it may be a bullet.
    Checked,
    /// The mark of a lost bet, or a mark of any result after a word.
    Graded,
}

/// A sentence or line, or a part of one.
#[derive(Debug, Default)]
pub(crate) struct Clause {
    pub tokens: Vec<Token>,
    pub terms: Vec<Term>,
    /// Which tokens each term is made of.
    pub spans: Vec<Range<usize>>,
    /// Its folded words, separated by single spaces, with a space at each end.
    pub words: String,
    pub question: bool,
    pub mark: ResultMark,
    /// It says how a line moved.
    pub moved: bool,
    /// It has words beyond the bet and the usual words that propose one.
    pub tells: bool,
    /// How many legs it says its parlay has.
    pub legs: Option<usize>,
    /// Leagues named by words or emoji.
    pub leagues: Vec<&'static str>,
}

impl Clause {
    /// The tokens of a term.
    pub fn tokens_of(&self, term: usize) -> &[Token] {
        &self.tokens[self.spans[term].clone()]
    }

    /// Whether the clause has any of the phrases, which are given as a list with commas.
    pub fn says(&self, phrases: &str) -> bool {
        phrases.split(", ").any(|phrase| self.words.contains(&format!(" {phrase} ")))
    }
}

/// The clauses of a post.
pub(crate) fn clauses(tokens: &[Token]) -> Vec<Clause> {
    let tokens = &quarters::joined(&without_asides(tokens));
    let mut out = Vec::new();
    let mut from = 0;
    for at in 0..=tokens.len() {
        let turns = at > from && turns_to_a_bet(tokens, at);
        let ends = tokens.get(at).is_none_or(|t| ends_clause(t, tokens.get(at + 1))) && !is_move(tokens, at);
        if turns {
            out.extend(Some(&tokens[from..at]).filter(|part| !part.is_empty()).map(clause));
            from = at;
            continue;
        }
        if !ends {
            continue;
        }
        let question = tokens.get(at).is_some_and(|t| t.lexeme == Lexeme::Sign('?'));
        let part = without_bullet(&tokens[from..at]);
        let begins_line = from == 0 || tokens[from - 1].lexeme == Lexeme::Line;
        if begins_line && is_item_number(part) && tokens.get(at).is_some_and(|t| t.lexeme == Lexeme::Sign('.')) {
            // "1." before the first item of a list.
        } else if !part.is_empty() {
            out.push(Clause { question, ..clause(part) });
        } else if question && let Some(last) = out.last_mut() {
            last.question = true;
        }
        from = at + 1;
    }
    out
}

fn ends_clause(token: &Token, next: Option<&Token>) -> bool {
    match token.lexeme {
        Lexeme::Line | Lexeme::Sign('!' | '?' | ';' | '|' | '•' | '▪' | '►' | '➡' | '→') => true,
        Lexeme::Sign('.') => next.is_none_or(|t| !t.glued),
        _ => false,
    }
}

/// Whether a new bet begins here: "…, but Jets +3".
fn turns_to_a_bet(tokens: &[Token], at: usize) -> bool {
    let says_line = |pair: &[Token]| match (&pair[0], &pair[1]) {
        (_, Token { lexeme: Lexeme::Number { signed: true, .. }, .. }) => true,
        (side, Token { lexeme: Lexeme::Number { .. }, .. }) => {
            matches!(side.folded.as_str(), "o" | "u" | "over" | "under")
        }
        (_, second) => second.folded == "ml",
    };
    tokens.get(at).is_some_and(|t| t.lexeme == Lexeme::Word && t.folded == "but")
        && tokens[at..].split(|t| t.lexeme == Lexeme::Line).next().is_some_and(|line| line.windows(2).any(says_line))
}

/// An arrow between two numbers says how a line moved; elsewhere it is a bullet.
fn is_move(tokens: &[Token], at: usize) -> bool {
    let number = |t: Option<&Token>| t.is_some_and(|t| matches!(t.lexeme, Lexeme::Number { .. }));
    tokens.get(at).is_some_and(is_arrow) && at > 0 && number(tokens.get(at - 1)) && number(tokens.get(at + 1))
}

fn is_arrow(token: &Token) -> bool {
    matches!(token.lexeme, Lexeme::Sign('→' | '➡' | '►'))
}

fn is_item_number(part: &[Token]) -> bool {
    matches!(part, [Token { lexeme: Lexeme::Number { signed: false, decimals: 0, plus: false, .. }, .. }])
}

/// Removes the bullet or number of a list item: `1)`, `2.`, `-`, `*`.
fn without_bullet(part: &[Token]) -> &[Token] {
    match part {
        [number, sign, rest @ ..]
            if matches!(number.lexeme, Lexeme::Number { signed: false, decimals: 0, .. })
                && matches!(sign.lexeme, Lexeme::Sign(')' | ':' | '.' | '\u{20e3}'))
                && sign.glued =>
        {
            rest
        }
        [sign, rest @ ..] if matches!(sign.lexeme, Lexeme::Sign('-' | '*' | '·' | '>' | '+')) => rest,
        _ => part,
    }
}

fn clause(tokens: &[Token]) -> Clause {
    let words: Vec<&str> = tokens
        .iter()
        .filter(|t| matches!(t.lexeme, Lexeme::Word | Lexeme::Record | Lexeme::Profit))
        .map(|t| t.folded.as_str())
        .collect();
    let words = format!(" {} ", words.join(" "));
    let mut clause = Clause { tokens: tokens.to_vec(), words, ..Clause::default() };
    marks(tokens, &mut clause);
    let from_to = |link: &Token| is_arrow(link) || link.folded == "to";
    clause.moved = tokens.windows(3).any(|three| is_line(&three[0]) && from_to(&three[1]) && is_line(&three[2]));
    let mut at = 0;
    while at < tokens.len() {
        let (term, taken) = term(tokens, at);
        match term {
            Term::League(league) => clause.leagues.push(league),
            Term::Other => clause.tells |= tells(&tokens[at]),
            _ => {}
        }
        clause.terms.push(term);
        clause.spans.push(at..at + taken);
        at += taken;
    }
    if clause.terms.contains(&Term::Parlay) {
        clause.legs = leg_count::stated(tokens);
    }
    clause
}

/// Whether a word belongs neither to a bet nor to the usual words that propose one.
fn tells(token: &Token) -> bool {
    let letters = token.text.starts_with(char::is_alphabetic);
    let record = matches!(token.lexeme, Lexeme::Record | Lexeme::Profit) || token.text.ends_with('%');
    (letters && !PROPOSING.contains(&format!(" {} ", token.folded))) || record
}

fn is_line(token: &Token) -> bool {
    matches!(token.lexeme, Lexeme::Number { value, signed: true, .. } if value.abs() < 100.0)
}

fn marks(tokens: &[Token], clause: &mut Clause) {
    for (at, token) in tokens.iter().enumerate() {
        let leading = tokens[..at].iter().all(|t| matches!(t.lexeme, Lexeme::Sign(_)));
        match token.lexeme {
            Lexeme::Sign('✅' | '☑' | '✔' | '🟢' | '🟩') if leading => {
                clause.mark = clause.mark.max(ResultMark::Checked);
            }
            Lexeme::Sign('✅' | '☑' | '✔' | '🟢' | '🟩' | '❌' | '✖' | '❎' | '🔴' | '🟥') => {
                clause.mark = ResultMark::Graded;
            }
            Lexeme::Sign(sign) => {
                clause.leagues.extend(LEAGUE_SIGNS.iter().filter(|(c, _)| *c == sign).map(|(_, l)| *l));
            }
            Lexeme::Word if matches!(token.text.as_str(), "W" | "L") && at > 0 => clause.mark = ResultMark::Graded,
            _ => {}
        }
    }
}

fn term(tokens: &[Token], at: usize) -> (Term, usize) {
    let token = &tokens[at];
    match token.lexeme {
        Lexeme::Units(units) => return (Term::Units(units), 1),
        Lexeme::Profit | Lexeme::Record | Lexeme::Line => return (Term::Other, 1),
        Lexeme::Sign(',' | '+') => return (Term::Comma, 1),
        Lexeme::Fraction { won, stake } => return (Term::Fraction { won, stake }, 1),
        _ => {}
    }
    let after_number = at > 0 && matches!(tokens[at - 1].lexeme, Lexeme::Number { .. });
    // After a number a statistic goes before a name: "TB" is total bases there.
    if after_number && let Some(found) = stat(tokens, at) {
        return found;
    }
    if let Some(found) = known_name(tokens, at) {
        return found;
    }
    if let Some(found) = phrase(tokens, at) {
        return found;
    }
    if let Lexeme::Number { value, signed, decimals, plus } = token.lexeme {
        return (Term::Number { value, signed, decimals, plus }, 1);
    }
    if let Some(found) = stat(tokens, at) {
        return found;
    }
    unknown_name(tokens, at).unwrap_or((Term::Other, 1))
}

fn stat(tokens: &[Token], at: usize) -> Option<(Term, usize)> {
    windows(tokens, at).find_map(|(key, len)| NAMES.stat(&key).map(|found| (Term::Stat(found), len)))
}

fn phrase(tokens: &[Token], at: usize) -> Option<(Term, usize)> {
    if is_handle(tokens, at) {
        return Some((Term::Filler, 2));
    }
    if tokens[at].lexeme == Lexeme::Sign('-') {
        return Some((Term::Joint, 1));
    }
    let found = windows(tokens, at).find_map(|(key, len)| PHRASES.get(key.as_str()).map(|t| (t.clone(), len)))?;
    // A statistic may be longer than a phrase with the same beginning: "to score a TD".
    match stat(tokens, at) {
        Some(longer) if longer.1 > found.1 => Some(longer),
        _ => Some(found),
    }
}

/// Whether a handle begins here: "@betsbook", but not "@Celtics".
fn is_handle(tokens: &[Token], at: usize) -> bool {
    let [sign, word, ..] = &tokens[at..] else { return false };
    let apart = sign.lexeme == Lexeme::Sign('@') && !sign.glued;
    apart && word.glued && word.lexeme == Lexeme::Word && known_name(tokens, at + 1).is_none()
}

/// Every key that begins at a token, the longest first.
fn windows(tokens: &[Token], at: usize) -> impl Iterator<Item = (String, usize)> + '_ {
    let longest = LONGEST.min(tokens.len() - at);
    (1..=longest).rev().map(move |len| (key(&tokens[at..at + len]), len))
}

fn known_name(tokens: &[Token], at: usize) -> Option<(Term, usize)> {
    if tokens[at].lexeme != Lexeme::Word {
        return None;
    }
    windows(tokens, at).find_map(|(key, len)| {
        let last = &tokens[at + len - 1];
        let candidates = NAMES.find(key.strip_suffix("'s").filter(|_| NAMES.find(&key).is_empty()).unwrap_or(&key));
        if candidates.is_empty() || last.lexeme == Lexeme::Sign('-') {
            return None;
        }
        if let Some(written) = of_another(tokens, at, len) {
            return Some((Term::Name(Name { written, candidates: Vec::new() }), len + 1));
        }
        let capitals = !tokens[at..at + len].iter().any(|t| t.text.chars().any(char::is_lowercase));
        let begins_capital = tokens[at].text.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit());
        let in_a_bet = beside_a_market(tokens, at, at + len);
        let part_of_longer =
            begins_capital && (capitalised(tokens, at + len) || (at > 0 && is_unknown(tokens, at - 1)));
        let kept: Vec<Candidate> = candidates
            .iter()
            .filter(|c| if c.capitals { capitals } else { begins_capital || (in_a_bet && !c.weak) })
            .filter(|c| !(c.weak && part_of_longer && NAMES.entities[c.entity].role == Role::Player))
            .copied()
            .collect();
        let written = tokens[at..at + len].iter().map(|t| t.text.as_str()).collect::<Vec<_>>().join(" ");
        (!kept.is_empty()).then_some((Term::Name(Name { written, candidates: kept }), len))
    })
}

/// The longer name, if a word after a known name makes it another team: "Georgia St", "Arsenal Women".
fn of_another(tokens: &[Token], at: usize, len: usize) -> Option<String> {
    let rest = tokens.get(at + len).filter(|t| t.text.starts_with(char::is_uppercase) && !t.glued)?;
    let rest = match rest.folded.as_str() {
        "st" | "state" => "State",
        folded if REMAINDERS.contains(&folded) => rest.text.as_str(),
        _ => return None,
    };
    let name = tokens[at..at + len].iter().map(|t| t.text.as_str()).chain([rest]).collect::<Vec<_>>();
    Some(name.join(" "))
}

/// Whether a name is only the last part of one, such as "St" or "Women".
pub(crate) fn is_remainder(written: &str) -> bool {
    let folded = fold(written);
    matches!(folded.as_str(), "st" | "state") || REMAINDERS.contains(&folded.as_str())
}

/// The first candidate for a name of the tables that begins here, with its length in tokens.
pub fn name_at(tokens: &[Token], at: usize) -> Option<(usize, usize)> {
    match known_name(tokens, at)? {
        (Term::Name(name), len) => Some((name.candidates.first()?.entity, len)),
        _ => None,
    }
}

/// Whether a name stands beside a market. A name in lower case counts only there: "magic -3", not "a magic night".
fn beside_a_market(tokens: &[Token], from: usize, to: usize) -> bool {
    let next = tokens.get(to).is_some_and(|t| {
        matches!(t.lexeme, Lexeme::Number { signed: true, .. } | Lexeme::Sign('/' | '@'))
            || matches!(t.folded.as_str(), "ml" | "moneyline" | "pk" | "pick'em" | "pickem" | "vs" | "v" | "by")
            || matches!(t.folded.as_str(), "o" | "u" | "over" | "under" | "dnb" | "money" | "@")
            || (t.folded == "to" && tokens.get(to + 1).is_some_and(|n| matches!(n.folded.as_str(), "win" | "beat")))
    });
    let before = from.checked_sub(1).is_some_and(|at| matches!(tokens[at].folded.as_str(), "vs" | "v" | "/" | "@"));
    next || before
}

fn capitalised(tokens: &[Token], at: usize) -> bool {
    tokens.get(at).is_some_and(|t| {
        let mut chars = t.text.chars();
        t.lexeme == Lexeme::Word
            && chars.next().is_some_and(char::is_uppercase)
            && chars.any(char::is_lowercase)
            && !NOT_NAMES.contains(&format!(" {} ", t.folded))
            && !is_common(&t.folded)
            && !PHRASES.contains_key(t.folded.as_str())
            && NAMES.stat(&t.folded).is_none()
    })
}

fn is_unknown(tokens: &[Token], at: usize) -> bool {
    capitalised(tokens, at) && NAMES.find(&tokens[at].folded).is_empty()
}

/// Whether an unambiguous name begins here: "Heat", not "Jackson".
fn is_certain(tokens: &[Token], at: usize) -> bool {
    match known_name(tokens, at) {
        Some((Term::Name(name), _)) => name.candidates.iter().any(|c| !c.weak),
        _ => false,
    }
}

/// A run of capitalised words that no table knows.
fn unknown_name(tokens: &[Token], at: usize) -> Option<(Term, usize)> {
    if !capitalised(tokens, at) {
        return None;
    }
    let mut to = at + 1;
    loop {
        let joined = tokens.get(to).is_some_and(|t| t.lexeme == Lexeme::Sign('-') && t.glued);
        let particle = tokens.get(to).is_some_and(|t| matches!(t.folded.as_str(), "de" | "van" | "der" | "la" | "da"));
        if capitalised(tokens, to) && !is_certain(tokens, to) {
            to += 1;
        } else if (joined && tokens.get(to + 1).is_some_and(|t| t.glued) || particle) && capitalised(tokens, to + 1) {
            to += 2;
        } else {
            break;
        }
    }
    let mut written = String::new();
    for token in &tokens[at..to] {
        if !written.is_empty() && !token.glued {
            written.push(' ');
        }
        written.push_str(&token.text);
    }
    if let Some(place) = written.strip_suffix(" St").or_else(|| written.strip_suffix(" St.")) {
        written = format!("{place} State");
    }
    Some((Term::Name(Name { written, candidates: Vec::new() }), to - at))
}
