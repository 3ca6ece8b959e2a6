//! The brakes of a deployment: that of everything, one for each account, and one for each bot.

use perch_base::Settings;
use perch_store::{Brake, BrakeOutcome, BrakeScope, Brakes, Store, StoreError};
use serde_json::json;

use crate::{Bots, Platform};

/// A name that no account or no bot of the deployment has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {field} {name}; {}", known_names(.known))]
pub struct UnknownBrake {
    /// `account` or `bot`.
    pub field: &'static str,
    /// The name.
    pub name: String,
    /// The names that there are.
    pub known: Vec<String>,
}

fn known_names(known: &[String]) -> String {
    if known.is_empty() { "none is configured".to_owned() } else { format!("there are {}", known.join(", ")) }
}

/// What stops a bot, or an account, when the bot itself pulls the brake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnBrake<'a> {
    /// Everything that the bot publishes.
    Bot,
    /// Everything that is published as this account, by whatever bot.
    Account(&'a perch_jobs::AccountId),
}

impl Bots {
    /// The brakes of this deployment: that of everything, those of the accounts in `[x.accounts]`, and those of the bots.
    pub fn brakes(&self, settings: &Settings, redis: &perch_queue::Redis, store: &Store) -> Brakes {
        Brakes::with(redis, store, self.brake_scopes(settings))
    }

    /// The scopes of these brakes but that of everything.
    pub fn brake_scopes(&self, settings: &Settings) -> Vec<BrakeScope> {
        let accounts = settings.x.accounts.keys().cloned().map(BrakeScope::Account);
        accounts.chain(self.iter().map(|bot| BrakeScope::Bot(bot.name().to_owned()))).collect()
    }
}

/// Refuses a scope that is not among the known ones.
///
/// # Errors
///
/// It is the scope of an account or a bot that is unknown.
pub fn require_known(scope: &BrakeScope, known: &[BrakeScope]) -> Result<(), UnknownBrake> {
    if scope.is_everything() || known.contains(scope) {
        return Ok(());
    }
    let names = |of: fn(&BrakeScope) -> Option<String>| known.iter().filter_map(of).collect();
    Err(match scope {
        BrakeScope::Bot(name) => UnknownBrake { field: "bot", name: name.clone(), known: names(bot_of) },
        other => {
            UnknownBrake { field: "account", name: account_of(other).unwrap_or_default(), known: names(account_of) }
        }
    })
}

fn account_of(scope: &BrakeScope) -> Option<String> {
    if let BrakeScope::Account(account) = scope { Some(account.to_string()) } else { None }
}

fn bot_of(scope: &BrakeScope) -> Option<String> {
    if let BrakeScope::Bot(bot) = scope { Some(bot.clone()) } else { None }
}

impl Platform {
    /// Lets a bot stop itself, or an account that it publishes as, because it sees a reason to. The audit log names the bot as who did it.
    /// Nothing lifts the brake but a person. It may be called again while the brake is on, which adds no line to the log.
    ///
    /// # Errors
    ///
    /// Redis does not answer, as with [`Brake::pull`].
    pub async fn pull_brake(
        &self,
        bot: &'static str,
        what: OwnBrake<'_>,
        reason: &str,
    ) -> Result<BrakeOutcome, StoreError> {
        let scope = match what {
            OwnBrake::Bot => BrakeScope::Bot(bot.to_owned()),
            OwnBrake::Account(account) => BrakeScope::Account(account.clone()),
        };
        let brake = Brake::of(self.client.queues().redis().clone(), self.store.clone(), scope);
        let pulled = brake.pull_once(bot, reason, json!({ "over": "bot" })).await?;
        if let Some(error) = &pulled.unlogged {
            tracing::error!(bot, scope = %brake.scope(), %error, "a bot pulled a brake, and the audit log could not be written");
        } else if pulled.changed {
            tracing::error!(bot, scope = %brake.scope(), reason, "a bot pulled a brake; `perch brake off` lifts it");
        }
        Ok(pulled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_has_is_refused_with_those_there_are() {
        let known = ["account:main", "account:other", "bot:picks"].map(|scope| scope.parse().expect("a scope"));
        let refused = |scope: &str| require_known(&scope.parse().expect("a scope"), &known).map_err(|e| e.to_string());
        for scope in ["everything", "account:main", "bot:picks"] {
            assert_eq!(refused(scope), Ok(()), "{scope}");
        }
        assert_eq!(refused("account:nobody"), Err("there is no account nobody; there are main, other".to_owned()));
        assert_eq!(refused("bot:main"), Err("there is no bot main; there are picks".to_owned()));
        let none = require_known(&"bot:picks".parse().expect("a scope"), &[]).expect_err("there is none");
        assert_eq!(none.to_string(), "there is no bot picks; none is configured");
    }
}
