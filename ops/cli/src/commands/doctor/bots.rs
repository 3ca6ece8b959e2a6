//! Checks the accounts of the bots and the models, and runs the checks of the bots.

use perch_base::Settings;
use perch_bot::Platform;
use perch_clients::XError;
use perch_core::Clients;
use perch_jobs::AccountId;
use perch_queue::Client;

use super::{check::Check, models};
use crate::{
    app::{bots, platform, queues, store},
    error::{CommandError, chain},
};

const OWNERS: &str = "X accounts";

/// Asks X whose the tokens of the posting accounts are, asks each model once, and runs the checks
/// of the bots.
pub async fn checks(settings: &Settings) -> Vec<Check> {
    match set_up(settings) {
        Ok(platform) => {
            let clients = &platform.clients;
            let (mut owners, models) = tokio::join!(owners(settings, clients), models::checks(settings, clients));
            owners.extend(models);
            owners.extend(bots().checks(&platform).await);
            owners
        }
        Err(error) => vec![Check::fail(OWNERS, chain(&error)).mend("correct what is named")],
    }
}

/// Asks X whose tokens each account has. With the tokens of another account, the bot would read somebody else's mentions.
async fn owners(settings: &Settings, clients: &Clients) -> Vec<Check> {
    if settings.secrets.x_consumer.is_none() || settings.secrets.x_accounts.is_empty() {
        return Vec::new();
    }
    let mut checks = Vec::new();
    for account in settings.secrets.x_accounts.keys() {
        let username = settings.x.accounts.get(account).map_or("", |account| account.username.as_str());
        checks.push(judge_owner(account, username, clients.owner_of(account).await.map(|user| user.username)));
    }
    checks
}

/// The platform of the bots, or an error when a part of it cannot be set up.
fn set_up(settings: &Settings) -> Result<Platform, CommandError> {
    let (queues, store) = (queues(settings)?, store(settings)?);
    let client = Client::new(queues);
    let platform = platform(settings, &client, &store)?;
    bots().deps(&platform).map_err(|error| CommandError::Part { part: "bots", reason: chain(&error) })?;
    Ok(platform)
}

fn judge_owner(account: &AccountId, username: &str, owner: Result<String, XError>) -> Check {
    let variables = account.as_str().to_ascii_uppercase();
    match owner {
        Ok(owner) if username.is_empty() || owner.eq_ignore_ascii_case(username) => {
            Check::ok(OWNERS, format!("the tokens of {account} belong to @{owner}"))
        }
        Ok(owner) => Check::fail(
            OWNERS,
            format!("the tokens of {account} belong to @{owner}, and x.accounts.{account}.username is {username:?}"),
        )
        .mend(format!(
            "set X_{variables}_USERNAME={owner}, or the tokens of @{username}; until then the mentions of @{username} are read"
        )),
        Err(error @ XError::Unauthorized { .. }) => {
            Check::fail(OWNERS, chain(&error))
                .mend(format!("make X_{variables}_ACCESS_TOKEN and X_{variables}_ACCESS_SECRET again, see docs/bots.md"))
        }
        Err(error) => Check::warn(OWNERS, chain(&error)).mend("ask again later; whose the tokens are is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::Level, *};

    #[test]
    fn tokens_of_another_account_are_a_failure_that_names_both() {
        let main: AccountId = "main".parse().expect("a name");
        assert_eq!(judge_owner(&main, "My_Bot", Ok("my_bot".into())).level, Level::Ok);
        assert_eq!(judge_owner(&main, "", Ok("my_bot".into())).level, Level::Ok, "X says it");
        let other = judge_owner(&main, "perch_bot", Ok("my_bot".into()));
        assert!(other.level == Level::Fail && other.found.contains("@my_bot"), "{other:?}");
        assert!(other.mend.is_some_and(|mend| mend.contains("X_MAIN_USERNAME=my_bot")));
    }
}
