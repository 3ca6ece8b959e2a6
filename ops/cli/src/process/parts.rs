//! The parts of a process, such as API and scheduler: when one fails, the others stop too.

use std::future::Future;

use tokio::task::JoinSet;

use super::stop::Stop;
use crate::error::{CommandError, chain};

/// The parts that run in a process.
pub struct Parts {
    stop: Stop,
    running: JoinSet<(&'static str, Result<(), CommandError>)>,
}

impl Parts {
    /// No parts yet; `stop` ends them.
    pub fn new(stop: &Stop) -> Self {
        Self { stop: stop.clone(), running: JoinSet::new() }
    }

    /// Starts a part. It must end when the process is asked to stop.
    pub fn add(&mut self, name: &'static str, part: impl Future<Output = Result<(), CommandError>> + Send + 'static) {
        self.running.spawn(async move { (name, part.await) });
    }

    /// Waits until all parts have ended. The first that fails, or ends before it was asked to, stops the others; its error is returned.
    pub async fn ended(mut self) -> Result<(), CommandError> {
        let mut outcome = Ok(());
        while let Some(ended) = self.running.join_next().await {
            let failure = match ended {
                Ok((_, Ok(()))) if self.stop.is_asked() => continue,
                Ok((name, Ok(()))) => {
                    CommandError::Part { part: name, reason: "it ended by itself; start it again".into() }
                }
                Ok((_, Err(error))) => error,
                Err(error) => {
                    CommandError::Part { part: "a part of the process", reason: format!("it broke off: {error}") }
                }
            };
            tracing::error!(error = chain(&failure), "stopping, because a part of the process failed");
            self.stop.ask();
            if outcome.is_ok() {
                outcome = Err(failure);
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_fails_ends_the_others_and_is_the_answer() {
        let stop = Stop::default();
        let mut parts = Parts::new(&stop);
        let token = stop.token();
        parts.add("patient", async move {
            token.cancelled().await;
            Ok(())
        });
        parts.add("broken", async { Err(CommandError::Refused("no".into())) });
        let error = parts.ended().await.expect_err("one part failed");
        assert_eq!(error.to_string(), "no");
        assert!(stop.is_asked());
    }

    #[tokio::test]
    async fn parts_that_were_asked_to_end_end_well() {
        let stop = Stop::default();
        let mut parts = Parts::new(&stop);
        let token = stop.token();
        parts.add("patient", async move {
            token.cancelled().await;
            Ok(())
        });
        stop.ask();
        assert!(parts.ended().await.is_ok());
    }

    #[tokio::test]
    async fn a_part_that_ends_unasked_is_a_failure() {
        let mut parts = Parts::new(&Stop::default());
        parts.add("hasty", async { Ok(()) });
        assert!(parts.ended().await.expect_err("it ended unasked").to_string().contains("hasty"));
    }
}
