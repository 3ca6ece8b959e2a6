use std::{fmt, ops::Range};

use serde::{Deserialize, Serialize};

/// The decision of a guard on a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardVerdict {
    /// There are no findings.
    Pass,
    /// A person should look at it.
    Review(Vec<Reason>),
    /// It is not allowed.
    Refuse(Vec<Reason>),
}

impl GuardVerdict {
    /// The findings.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Pass => &[],
            Self::Review(reasons) | Self::Refuse(reasons) => reasons,
        }
    }

    /// What was found, in one line for the record, each kind once.
    pub fn words(&self) -> String {
        let mut words: Vec<&str> = self.reasons().iter().map(|reason| reason.code.words()).collect();
        words.dedup();
        words.join(", ")
    }

    /// Whether one of the reasons has this code.
    pub fn says(&self, code: Code) -> bool {
        self.reasons().iter().any(|reason| reason.code == code)
    }

    /// The same with a further finding about the whole text if `is_so`. A text that passed is then flagged.
    #[must_use]
    pub fn also(self, code: Code, is_so: bool) -> Self {
        let reason = Reason::whole(code);
        match self {
            verdict if !is_so => verdict,
            Self::Pass => Self::Review(vec![reason]),
            Self::Review(mut reasons) => {
                reasons.push(reason);
                Self::Review(reasons)
            }
            Self::Refuse(mut reasons) => {
                reasons.push(reason);
                Self::Refuse(reasons)
            }
        }
    }
}

/// The kind of a finding.
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
    /// A national identification number.
    NationalId,
    /// An IP address.
    IpAddress,
    /// Where somebody lives.
    StreetAddress,
    /// The address of a cryptocurrency wallet.
    Wallet,
    /// A promise that money is won.
    Promise,
    /// A hashtag.
    Hashtag,
    /// A cashtag.
    Cashtag,
    /// Invisible characters.
    Hidden,
    /// A link to a host that is not allowed.
    Link,
    /// The handle of an account that is not the one answered.
    Mention,
    /// The text is too long for a post.
    TooLong,
    /// The text is empty.
    Empty,
    /// So ambiguous that it cannot be checked, or displayed in another order than it is written.
    Unreadable,
    /// The same text was published recently.
    Repeated,
    /// It repeats the model's instructions.
    Recited,
    /// The model declined to write a text.
    Declined,
    /// The model's answer contains more than the requested text.
    Unclear,
}

/// The severity of a finding.
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

    /// A sentence for a person or a model.
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

    /// The severity in a text to be published. Banned topics and crises are only flagged, because a person may have reason to write
    /// about them.
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

/// A span of a text, in characters from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSpan {
    /// The first character.
    pub start: usize,
    /// The one after the last.
    pub end: usize,
}

impl TextSpan {
    /// The span of a reason about the whole text.
    pub(crate) const NONE: Self = Self { start: 0, end: 0 };
}

/// A finding in a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it is.
    pub code: Code,
    /// Where it is.
    pub at: TextSpan,
    /// The text found there, at most 60 characters.
    pub found: String,
}

const SHOWN: usize = 60;

impl Reason {
    pub(crate) fn new(code: Code, text: &str, at: &Range<usize>) -> Self {
        let count = |end: usize| text.get(..end).map_or(0, |before| before.chars().count());
        let found = text.get(at.clone()).unwrap_or_default().chars().take(SHOWN).collect();
        Self { code, at: TextSpan { start: count(at.start), end: count(at.end) }, found }
    }

    /// A reason about the whole text.
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
