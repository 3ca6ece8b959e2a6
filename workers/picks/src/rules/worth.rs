use perch_jobs::ExtractedBets;

use super::{
    clause::{Clause, clauses},
    lex,
    markets::{drafts, has_role},
    names::Role,
    price, read,
    recommended::{self, Topic},
    term::Term,
};

/// Whether a post is worth a model call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostWorth {
    /// Whether it is worth a call.
    pub worth: bool,
    /// Why, as one of a few fixed texts.
    pub reason: &'static str,
}

/// Whether a post may recommend a bet. It prefers too many calls to missed picks: odds, a line, a stake, or a market with a name are
/// worth a call, and so is a picture that may show a bet. Results, advertising and talk are not.
pub fn worth(text: &str, has_pictures: bool) -> PostWorth {
    let yes = |reason| PostWorth { worth: true, reason };
    let no = |reason| PostWorth { worth: false, reason };
    if read(text).likely != ExtractedBets::Nothing(()) {
        return yes("the rules read a bet in it");
    }
    let clauses = clauses(&lex::tokens(&lex::normalise(text)));
    let live = recommended::live(&clauses);
    if clauses.iter().zip(live).any(|(clause, live)| speaks_of_a_bet(clause, live)) {
        return yes("it speaks of odds, a line or a stake");
    }
    if clauses.is_empty() {
        return if has_pictures { yes("it is a picture") } else { no("there is nothing to read") };
    }
    let speaks_of = |about: Topic| clauses.iter().any(|clause| recommended::about(clause) == about);
    match () {
        () if speaks_of(Topic::Results) => no("it looks back"),
        () if speaks_of(Topic::Advertising) => no("it advertises"),
        () if has_pictures => yes("its picture may show a bet"),
        () if speaks_of(Topic::Lines) => no("it speaks of lines, not bets"),
        () if speaks_of(Topic::Question) => no("it asks"),
        () => no("it names no bet"),
    }
}

/// Whether a clause has odds, a stake, or a name with a line or a market. A clause that does not recommend needs odds or a stake, and a
/// name.
fn speaks_of_a_bet(clause: &Clause, live: bool) -> bool {
    let terms = &clause.terms;
    let priced = !price::all(terms).is_empty() || price::stake(terms).is_some();
    let named = terms
        .iter()
        .any(|term| matches!(term, Term::Name(name) if has_role(name, Role::Side) || has_role(name, Role::Player)));
    let market =
        terms.iter().any(|term| matches!(term, Term::Win { strong: true } | Term::PickEm | Term::Parlay | Term::Draw));
    let lined = terms.windows(2).any(|pair| {
        let side =
            matches!(pair, [Term::Side(_), Term::Number { .. }] | [Term::Number { .. }, Term::Side(_) | Term::Stat(_)]);
        side || matches!(pair[1], Term::Number { signed: true, .. })
    });
    if live {
        return priced || (named && (market || lined)) || !drafts(clause).is_empty();
    }
    priced && named && !matches!(recommended::about(clause), Topic::Results | Topic::Advertising)
}
