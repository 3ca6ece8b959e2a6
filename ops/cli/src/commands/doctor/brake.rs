//! Checks whether the emergency brake stops publishing.

use perch_base::Settings;
use perch_store::{Brake, BrakeState};

use super::check::Check;
use crate::{
    app::{queues, store},
    error::{CommandError, chain},
};

const NAME: &str = "emergency brake";

/// Reads the brake from Redis and the audit log.
pub async fn check(settings: &Settings) -> Check {
    match state(settings).await {
        Ok(state) => judge(&state),
        Err(error) => {
            Check::warn(NAME, chain(&error)).mend("mend the connection first; nothing is published until then")
        }
    }
}

async fn state(settings: &Settings) -> Result<BrakeState, CommandError> {
    Ok(Brake::new(queues(settings)?.redis().clone(), store(settings)?).state().await?)
}

fn judge(state: &BrakeState) -> Check {
    if state.on {
        Check::warn(NAME, format!("nothing is published: {}", state.describe()))
            .mend("`perch brake off --reason TEXT` lifts it, once what it was pulled for is mended")
    } else {
        Check::ok(NAME, "off")
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::Level, *};

    #[test]
    fn a_brake_that_is_on_is_a_warning_that_says_why_and_how_to_lift_it() {
        let on = BrakeState { on: true, reason: Some("wrong odds".into()), ..BrakeState::default() };
        let check = judge(&on);
        assert!(check.level == Level::Warn && check.found.contains("wrong odds") && check.mend.is_some(), "{check:?}");
        assert_eq!(judge(&BrakeState::default()).level, Level::Ok);
    }
}
