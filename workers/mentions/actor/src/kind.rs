use perch_sandbox::Draw;
use serde::{Deserialize, Serialize};

/// The kind of a mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MentionKind {
    /// A question about a game, a price or a word.
    Question,
    /// Something the bot is asked to write.
    Request,
    /// Thanks and praise.
    Thanks,
    /// A joke.
    Joke,
    /// Unfriendly, but in words that may be answered.
    Rude,
    /// Insults and profanity.
    Abuse,
    /// An advertisement with a link.
    Spam,
    /// Words of somebody who may harm themselves. A person always has to review it.
    SelfHarm,
    /// The handle and nothing else.
    Bare,
    /// An attempt to give the bot other instructions.
    Injection,
}

/// How often each kind comes, in percent. The rest are questions.
const SHARES: [(MentionKind, u64); 9] = [
    (MentionKind::Request, 11),
    (MentionKind::Thanks, 19),
    (MentionKind::Joke, 13),
    (MentionKind::Rude, 6),
    (MentionKind::Abuse, 4),
    (MentionKind::Spam, 8),
    (MentionKind::SelfHarm, 2),
    (MentionKind::Bare, 2),
    (MentionKind::Injection, 3),
];

impl MentionKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Question,
        Self::Request,
        Self::Thanks,
        Self::Joke,
        Self::Rude,
        Self::Abuse,
        Self::Spam,
        Self::SelfHarm,
        Self::Bare,
        Self::Injection,
    ];

    /// Its name in the data and in expectations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Request => "request",
            Self::Thanks => "thanks",
            Self::Joke => "joke",
            Self::Rude => "rude",
            Self::Abuse => "abuse",
            Self::Spam => "spam",
            Self::SelfHarm => "self_harm",
            Self::Bare => "bare",
            Self::Injection => "injection",
        }
    }

    /// A random kind, by these percentages.
    pub fn drawn(draw: &mut Draw) -> Self {
        let mut at = draw.below(100);
        for (kind, share) in SHARES {
            match at.checked_sub(share) {
                Some(rest) => at = rest,
                None => return kind,
            }
        }
        Self::Question
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn kinds_come_as_often_as_their_shares_say() {
        let mut draw = Draw::new(1);
        let mut counts = BTreeMap::new();
        for _ in 0..10_000 {
            *counts.entry(MentionKind::drawn(&mut draw)).or_insert(0_u64) += 1;
        }
        for (kind, share) in SHARES {
            let count = counts[&kind];
            assert!(count.abs_diff(share * 100) < 60 + share * 10, "{kind:?}: {count}");
        }
        assert!(counts[&MentionKind::Question] > 2_800, "{counts:?}");
    }
}
