use perch_jobs::ExtractedBets;

use super::{
    clause::{Clause, clauses},
    lex,
    markets::{drafts, has_role},
    names::Role,
    price, read,
    term::Term,
    verdict::{self, About},
};

/// Whether a post is worth the call of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// It is.
    pub worth: bool,
    /// Why, in words for a log or a metric; one of a few.
    pub reason: &'static str,
}

/// Whether a post may recommend a bet. It would rather let a post too many through than leave a pick out: whatever speaks
/// of odds, a line, a stake or a market with a name is worth a call, and so is a picture that may show a bet. Results,
/// advertising and talk are not.
pub fn worth(text: &str, has_pictures: bool) -> Verdict {
    let yes = |reason| Verdict { worth: true, reason };
    let no = |reason| Verdict { worth: false, reason };
    if read(text).likely != ExtractedBets::Nothing(()) {
        return yes("the rules read a bet in it");
    }
    let clauses = clauses(&lex::tokens(&lex::normalise(text)));
    let live = verdict::live(&clauses);
    if clauses.iter().zip(live).any(|(clause, live)| speaks_of_a_bet(clause, live)) {
        return yes("it speaks of odds, a line or a stake");
    }
    if clauses.is_empty() {
        return if has_pictures { yes("it is a picture") } else { no("there is nothing to read") };
    }
    let speaks_of = |about: About| clauses.iter().any(|clause| verdict::about(clause) == about);
    match () {
        () if speaks_of(About::Results) => no("it looks back"),
        () if speaks_of(About::Advertising) => no("it advertises"),
        () if has_pictures => yes("its picture may show a bet"),
        () if speaks_of(About::Lines) => no("it speaks of lines, not bets"),
        () if speaks_of(About::Question) => no("it asks"),
        () => no("it names no bet"),
    }
}

/// Odds, a stake, or a name with a line or a market. Where the clause does not recommend, it takes odds and a name.
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
    priced && named && !matches!(verdict::about(clause), About::Results | About::Advertising)
}
