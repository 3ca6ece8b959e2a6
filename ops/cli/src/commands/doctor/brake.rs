//! Checks whether a brake stops publishing.

use perch_base::Settings;
use perch_store::{BrakeScope, BrakeState, Brakes};

use super::check::Check;
use crate::{
    app::{bots, queues, store},
    error::{CommandError, chain},
};

const NAME: &str = "emergency brake";

/// Reads the brakes from Redis and the audit log.
pub async fn check(settings: &Settings) -> Check {
    match states(settings).await {
        Ok(states) => judge(&states),
        Err(error) => {
            Check::warn(NAME, chain(&error)).mend("mend the connection first; nothing is published until then")
        }
    }
}

async fn states(settings: &Settings) -> Result<Vec<BrakeState>, CommandError> {
    let (queues, store) = (queues(settings)?, store(settings)?);
    Ok(Brakes::with_pulled(queues.redis(), &store, bots().brake_scopes(settings)).await.states().await?)
}

fn judge(states: &[BrakeState]) -> Check {
    let on: Vec<&BrakeState> = states.iter().filter(|state| state.on).collect();
    let Some(first) = on.first() else { return Check::ok(NAME, "off") };
    let found: Vec<String> = on.iter().map(|state| found(state)).collect();
    Check::warn(NAME, found.join("; ")).mend(format!(
        "`perch brake off{} --reason TEXT` lifts it, once what it was pulled for is mended",
        option(&first.scope)
    ))
}

fn found(state: &BrakeState) -> String {
    let described = state.describe();
    match &state.scope {
        BrakeScope::Everything => format!("nothing is published: {described}"),
        BrakeScope::Account(account) => format!("nothing is published as {account}: {described}"),
        BrakeScope::Bot(bot) => format!("nothing of {bot} is published: {described}"),
    }
}

/// The option of `perch brake` for a scope.
fn option(scope: &BrakeScope) -> String {
    match scope {
        BrakeScope::Everything => String::new(),
        BrakeScope::Account(account) => format!(" --account {account}"),
        BrakeScope::Bot(bot) => format!(" --bot {bot}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::Level, *};

    #[test]
    fn a_brake_that_is_on_is_a_warning_that_says_why_and_how_to_lift_it() {
        let on = BrakeState { on: true, reason: Some("wrong odds".into()), ..BrakeState::default() };
        let check = judge(std::slice::from_ref(&on));
        assert!(check.level == Level::Warn && check.found.contains("wrong odds") && check.mend.is_some(), "{check:?}");
        assert_eq!(judge(&[BrakeState::default()]).level, Level::Ok);
        let of_bot = BrakeState { scope: BrakeScope::Bot("picks".into()), ..on };
        let check = judge(&[BrakeState::default(), of_bot]);
        assert!(check.found.starts_with("nothing of picks is published"), "{check:?}");
        assert!(check.mend.is_some_and(|mend| mend.contains("perch brake off --bot picks")));
    }
}
