use std::{fmt, ops::Range};

use serde::{Deserialize, Serialize};

/// What a guard says of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardVerdict {
    /// Nothing is against it.
    Pass,
    /// A person should look at it.
    Review(Vec<Reason>),
    /// It may not be.
    Refuse(Vec<Reason>),
}

impl GuardVerdict {
    /// What is against it.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Pass => &[],
            Self::Review(reasons) | Self::Refuse(reasons) => reasons,
        }
    }

    /// Whether a reason of this kind is among them.
    pub fn says(&self, code: Code) -> bool {
        self.reasons().iter().any(|reason| reason.code == code)
    }
}

/// What kind of thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Somebody who may harm themselves, or has lost hold of their gambling.
    Crisis,
    /// A threat, or the wish that somebody comes to harm.
    Threat,
    /// A word that degrades people for what they are.
    Slur,
    /// A swear word.
    Profanity,
    /// A coarse word, or one that also has a harmless meaning.
    Coarse,
    /// A topic that the configuration bans.
    BannedTopic,
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// The number of a bank account.
    Iban,
    /// The number of a payment card.
    Card,
    /// The number of a person with the state.
    NationalId,
    /// An address of a machine.
    IpAddress,
    /// Where somebody lives.
    StreetAddress,
    /// The address of a wallet for digital money.
    Wallet,
    /// A promise that money is won.
    Promise,
    /// A hashtag.
    Hashtag,
    /// A cashtag.
    Cashtag,
    /// Characters that nobody sees.
    Hidden,
    /// A link to a host that is not allowed.
    Link,
    /// The handle of an account that is not the one answered.
    Mention,
    /// More than fits into a post.
    TooLong,
    /// Nothing.
    Empty,
    /// So full of doubtful signs that it cannot be read, or shown in another order than it is written in.
    Unreadable,
    /// The same text was published lately.
    Repeated,
    /// It repeats what the model was told.
    Recited,
    /// The model declined to write a text.
    Declined,
    /// There is more in the model's answer than the text that was asked for.
    Unclear,
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Flag,
    Stop,
}

impl Code {
    /// As it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crisis => "crisis",
            Self::Threat => "threat",
            Self::Slur => "slur",
            Self::Profanity => "profanity",
            Self::Coarse => "coarse",
            Self::BannedTopic => "banned_topic",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Iban => "iban",
            Self::Card => "card",
            Self::NationalId => "national_id",
            Self::IpAddress => "ip_address",
            Self::StreetAddress => "street_address",
            Self::Wallet => "wallet",
            Self::Promise => "promise",
            Self::Hashtag => "hashtag",
            Self::Cashtag => "cashtag",
            Self::Hidden => "hidden",
            Self::Link => "link",
            Self::Mention => "mention",
            Self::TooLong => "too_long",
            Self::Empty => "empty",
            Self::Unreadable => "unreadable",
            Self::Repeated => "repeated",
            Self::Recited => "recited",
            Self::Declined => "declined",
            Self::Unclear => "unclear",
        }
    }

    /// In words, as a person or a model is told.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Crisis => "it speaks of self-harm or of gambling out of control",
            Self::Threat => "it threatens somebody",
            Self::Slur => "it degrades people",
            Self::Profanity => "it swears",
            Self::Coarse => "it is coarse, or can be read so",
            Self::BannedTopic => "it touches a banned topic",
            Self::Email => "it holds an e-mail address",
            Self::Phone => "it holds a phone number",
            Self::Iban => "it holds the number of a bank account",
            Self::Card => "it holds the number of a payment card",
            Self::NationalId => "it holds the number of a person",
            Self::IpAddress => "it holds the address of a machine",
            Self::StreetAddress => "it holds a street address",
            Self::Wallet => "it holds the address of a wallet",
            Self::Promise => "it promises winnings",
            Self::Hashtag => "it has a hashtag",
            Self::Cashtag => "it has a cashtag",
            Self::Hidden => "it holds characters that nobody sees",
            Self::Link => "it links to a host that is not allowed",
            Self::Mention => "it names another account",
            Self::TooLong => "it is longer than a post may be",
            Self::Empty => "it is empty",
            Self::Unreadable => "it cannot be read",
            Self::Repeated => "it was published lately",
            Self::Recited => "it repeats what the model was told",
            Self::Declined => "the model declined",
            Self::Unclear => "there is more in it than the reply, or something around it",
        }
    }

    /// In a text of one's own. A topic may be banned for the model and still be written of by a person, and a person may
    /// name what troubles another; neither goes out by itself.
    pub(crate) const fn in_own_text(self) -> Severity {
        match self {
            Self::Crisis
            | Self::Coarse
            | Self::BannedTopic
            | Self::Unreadable
            | Self::Repeated
            | Self::Recited
            | Self::Declined
            | Self::Unclear => Severity::Flag,
            _ => Severity::Stop,
        }
    }

    pub(crate) const fn in_mention(self) -> Option<Severity> {
        match self {
            Self::Crisis
            | Self::Threat
            | Self::BannedTopic
            | Self::Unreadable
            | Self::Email
            | Self::Phone
            | Self::Iban
            | Self::Card
            | Self::NationalId
            | Self::IpAddress
            | Self::StreetAddress => Some(Severity::Flag),
            Self::Slur => Some(Severity::Stop),
            _ => None,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where in a text, in characters from 0; the end is the one after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSpan {
    /// The first character.
    pub start: usize,
    /// The one after the last.
    pub end: usize,
}

impl TextSpan {
    /// Where there is none.
    pub(crate) const NONE: Self = Self { start: 0, end: 0 };
}

/// Something that was found in a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it is.
    pub code: Code,
    /// Where it stands.
    pub at: TextSpan,
    /// What stands there, at most 60 characters of it.
    pub found: String,
}

const SHOWN: usize = 60;

impl Reason {
    pub(crate) fn new(code: Code, text: &str, at: &Range<usize>) -> Self {
        let count = |end: usize| text.get(..end).map_or(0, |before| before.chars().count());
        let found = text.get(at.clone()).unwrap_or_default().chars().take(SHOWN).collect();
        Self { code, at: TextSpan { start: count(at.start), end: count(at.end) }, found }
    }

    /// A reason that lies in no place of the text.
    pub fn whole(code: Code) -> Self {
        Self { code, at: TextSpan::NONE, found: String::new() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Code::TooLong
            | Code::Hidden
            | Code::Empty
            | Code::Unreadable
            | Code::Repeated
            | Code::Recited
            | Code::Declined
            | Code::Unclear => f.write_str(self.code.words()),
            code => write!(f, "{} ({:?})", code.words(), self.found),
        }
    }
}
