use std::{fmt, str::FromStr};

use perch_jobs::AccountId;
use serde::{Serialize, Serializer};

/// What a brake stops.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BrakeScope {
    /// Everything that publishes.
    #[default]
    Everything,
    /// What is published as this account.
    Account(AccountId),
    /// What this bot publishes, as whatever account.
    Bot(String),
}

impl BrakeScope {
    /// Whether it stops everything that publishes.
    pub fn is_everything(&self) -> bool {
        *self == Self::Everything
    }

    /// The name of its brake: the key in Redis after the prefix of the environment, and the object of its lines in the audit log.
    pub(super) fn brake(&self) -> String {
        match self {
            Self::Everything => "brake".to_owned(),
            scope => format!("brake:{scope}"),
        }
    }

    /// The scope whose brake has this name.
    pub(super) fn of_brake(name: &str) -> Option<Self> {
        if name == "brake" { Some(Self::Everything) } else { name.strip_prefix("brake:")?.parse().ok() }
    }

    /// Its brake, for sentences.
    pub(super) fn brake_in_words(&self) -> String {
        match self {
            Self::Everything => "the emergency brake".to_owned(),
            Self::Account(account) => format!("the brake of the account {account}"),
            Self::Bot(bot) => format!("the brake of the bot {bot}"),
        }
    }
}

impl fmt::Display for BrakeScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Account(account) => write!(f, "account:{account}"),
            Self::Bot(bot) => write!(f, "bot:{bot}"),
        }
    }
}

/// A text that names no scope of a brake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no scope of a brake: \"everything\", \"account:NAME\" or \"bot:NAME\"")]
pub struct UnknownBrakeScope(String);

impl FromStr for BrakeScope {
    type Err = UnknownBrakeScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let scope = match text.split_once(':') {
            None => (text == "everything").then_some(Self::Everything),
            Some(("account", name)) => name.parse().ok().map(Self::Account),
            Some(("bot", name)) => (!name.is_empty()).then(|| Self::Bot(name.to_owned())),
            Some(_) => None,
        };
        scope.ok_or_else(|| UnknownBrakeScope(text.to_owned()))
    }
}

impl Serialize for BrakeScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_as_it_is_written_and_so_is_the_name_of_its_brake() {
        let account = BrakeScope::Account(AccountId::from_static("main"));
        for (scope, text, brake) in [
            (BrakeScope::Everything, "everything", "brake"),
            (account, "account:main", "brake:account:main"),
            (BrakeScope::Bot("tips".into()), "bot:tips", "brake:bot:tips"),
        ] {
            assert_eq!((scope.to_string(), scope.brake()), (text.to_owned(), brake.to_owned()));
            assert_eq!(text.parse().as_ref(), Ok(&scope));
            assert_eq!(BrakeScope::of_brake(brake), Some(scope));
        }
        for text in ["", "bot:", "account:", "account:Main", "person:main", "bots"] {
            text.parse::<BrakeScope>().expect_err(text);
        }
    }
}
