//! Checks how far Postgres is behind Redis.

use std::time::Duration;

use perch_base::Settings;
use perch_store::{StreamLag, Syncer};

use super::check::Check;
use crate::{
    app::{queues, store},
    error::{CommandError, chain},
    format::time::short,
};

const NAME: &str = "sync";
/// A lag above this means that the sync does not run.
const LATE: Duration = Duration::from_secs(300);

/// Reads the age of the oldest entry that is not in Postgres yet.
pub async fn check(settings: &Settings) -> Check {
    match lag(settings).await {
        Ok(lags) => judge(&lags),
        Err(error) => Check::warn(NAME, chain(&error)).mend("mend the connection first"),
    }
}

async fn lag(settings: &Settings) -> Result<Vec<StreamLag>, CommandError> {
    let (queues, store) = (queues(settings)?, store(settings)?);
    let redis = queues.redis().clone();
    Ok(Syncer::new(redis, store, settings.env, &queues.names(), settings.sync.batch).lag().await?)
}

fn judge(lags: &[StreamLag]) -> Check {
    match lags.iter().max_by_key(|stream| stream.lag) {
        Some(worst) if worst.lag > LATE => {
            Check::warn(NAME, format!("Postgres is {} behind with {}", short(worst.lag), worst.name)).mend(
                "see that a scheduler and a worker of sync_to_store run, and look for its jobs in `perch dead stats`",
            )
        }
        Some(worst) if worst.lag >= Duration::from_secs(1) => {
            Check::ok(NAME, format!("Postgres is at most {} behind", short(worst.lag)))
        }
        _ => Check::ok(NAME, "Postgres has everything"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::Level, *};

    #[test]
    fn a_sync_that_does_not_run_is_a_warning_with_the_stream_that_waits_longest() {
        let stream =
            |name: &str, seconds| StreamLag { name: name.to_owned(), lag: Duration::from_secs(seconds), entries: 1 };
        assert_eq!(judge(&[stream("hot", 2), stream("events:extraction", 0)]).level, Level::Ok);
        let late = judge(&[stream("hot", 2), stream("events:extraction", 7_200)]);
        assert_eq!(late.level, Level::Warn);
        assert!(late.found.contains("2h behind with events:extraction"), "{late:?}");
    }
}
