//! Reasons for which the rules are not sure of a bet.

use std::fmt;

/// Something in a post that may change or negate its bets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// A word or sign that the rules do not understand.
    Word(String),
    /// A figure that is neither a line, a price nor a stake: a second price, for example.
    Figure(String),
    /// A name that no bet is about, or that may not be a name.
    Name(String),
    /// A question.
    Question,
    /// A mark of a result before the bet.
    Mark,
    /// A line that no book offers.
    Line(String),
    /// Another bet of the post contradicts it.
    Contradiction,
    /// The post has more bets than a person plausibly makes.
    Many,
    /// The opponents or the side of a bet cannot be determined.
    Unresolved,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "it is unclear what {word:?} means for the bet"),
            Self::Figure(figure) => write!(f, "{figure} is neither the line nor the price nor the stake"),
            Self::Name(name) => write!(f, "it is unclear what {name:?} has to do with the bet"),
            Self::Question => f.write_str("it is a question"),
            Self::Mark => f.write_str("a tick may say that the bet is over"),
            Self::Line(line) => write!(f, "no book offers the line {line}"),
            Self::Contradiction => f.write_str("another bet of the post contradicts it"),
            Self::Many => f.write_str("it has too many bets"),
            Self::Unresolved => f.write_str("it is unclear who the bet is on"),
        }
    }
}
