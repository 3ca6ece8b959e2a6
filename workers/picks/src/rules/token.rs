//! The tokens of a post.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lexeme {
    /// A number. `plus` marks a trailing plus, as in `25+`.
    Number {
        /// The value with its sign.
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
        /// The stake that wins it.
        stake: u32,
    },
    /// `7-2`: wins and losses, or a score.
    Record,
    /// Letters, possibly with digits among them.
    Word,
    /// Punctuation or a symbol.
    Sign(char),
    /// The end of a line.
    Line,
}

/// A token and its position in the normalised text, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// What it is.
    pub lexeme: Lexeme,
    /// The text as written.
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
