//! What the text of a post is split into.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lexeme {
    /// A number. `plus` marks a trailing plus, as in `25+`.
    Number {
        /// What it says, with its sign.
        value: f64,
        /// A sign stands before it.
        signed: bool,
        /// Digits after the point.
        decimals: u8,
        /// A plus stands after it.
        plus: bool,
    },
    /// A stake.
    Units(f64),
    /// A stake with a sign: what was won or lost.
    Profit,
    /// `11/10`: a price, or a date.
    Fraction {
        /// What is won.
        won: u32,
        /// By which stake.
        stake: u32,
    },
    /// `7-2`: wins and losses, or a score.
    Record,
    /// Letters, also with digits among them.
    Word,
    /// Punctuation or a symbol.
    Sign(char),
    /// The end of a line.
    Line,
}

/// A token and where it stands in the normalised text, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// What it is.
    pub lexeme: Lexeme,
    /// As it is written.
    pub text: String,
    /// Lower case, without accents and dots.
    pub folded: String,
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// No space before it.
    pub glued: bool,
}
