//! `perch brake`: the emergency brake, which stops everything that publishes, in all processes.

use chrono::Utc;
use perch_base::Settings;
use perch_queue::Queues;
use perch_store::{Brake, BrakeState, StoreError};
use serde_json::json;

use crate::{
    app::{App, operator, store},
    error::{CommandError, chain},
    format::{table::Tone, time::from_now_or_dash},
};

#[derive(Debug, clap::Subcommand)]
pub enum BrakeCommand {
    /// Stop everything that publishes, in all processes; jobs wait
    On(Reason),
    /// Let jobs publish again
    Off(Reason),
    /// Whether it is on, since when, and why
    Status,
}

#[derive(Debug, clap::Args)]
pub struct Reason {
    /// Why, as the audit log and every job that is stopped show it
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

/// Most characters of a reason.
const LONGEST: usize = 500;

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST {
        return Err(format!("say in 1 to {LONGEST} characters why"));
    }
    Ok(text.to_owned())
}

pub async fn run(app: &App, command: &BrakeCommand) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    let brake = Brake::new(queues.redis().clone(), store(&settings)?);
    match command {
        BrakeCommand::On(Reason { reason }) => {
            let pulled = brake.pull(&operator(), reason, json!({})).await.map_err(not_pulled)?;
            if let Some(error) = &pulled.unlogged {
                app.out.note(format_args!(
                    "warning: it is on, but the audit log does not say so, and a Redis that is lost would forget it; pull \
                     it again when Postgres is back: {}",
                    chain(error)
                ));
            }
            if !pulled.state.on {
                return Err(CommandError::Refused(format!(
                    "somebody lifted it at the same moment: {}; talk to them, or pull it again",
                    pulled.state.describe()
                )));
            }
            let said = if pulled.changed { "nothing is published from now on" } else { "it was on already" };
            let value =
                json!({ "on": pulled.state.on, "changed": pulled.changed, "logged": pulled.unlogged.is_none() });
            app.out.answer(&value, format_args!("brake on: {said}"))
        }
        BrakeCommand::Off(Reason { reason }) => {
            let lifted = brake.lift(&operator(), reason, json!({})).await?;
            if lifted.state.on {
                return Err(CommandError::Refused(format!(
                    "somebody pulled it at the same moment: {}; talk to them, or lift it again",
                    lifted.state.describe()
                )));
            }
            let said = if lifted.changed { "the jobs that wait go on" } else { "it was off already" };
            let value = json!({ "on": lifted.state.on, "changed": lifted.changed, "logged": true });
            app.out.answer(&value, format_args!("brake off: {said}"))
        }
        BrakeCommand::Status => {
            let state = brake.state().await?;
            if app.out.is_json() {
                return app.out.json(&state);
            }
            match line(&state) {
                Some(line) => app.out.styled(&Tone::Bad.line(line)),
                None => app.out.line(state.describe()),
            }
        }
    }
}

fn not_pulled(error: StoreError) -> CommandError {
    if !error.is_unavailable() {
        return error.into();
    }
    CommandError::Refused(format!(
        "Redis does not hold the brake, so processes that reach Redis may go on publishing until they ask Postgres; try \
         again, or stop the workers: {}",
        chain(&error)
    ))
}

/// The brake in one line, when it is on.
pub fn line(state: &BrakeState) -> Option<String> {
    let since = from_now_or_dash(state.since, Utc::now());
    let (by, reason) =
        (state.by.as_deref().unwrap_or("somebody"), state.reason.as_deref().unwrap_or("no reason given"));
    state.on.then(|| format!("BRAKE ON  {since}, by {by}: {reason}"))
}

/// The brake line for commands that also show other things. Reads Redis alone if there is no Postgres; `None` when the state is unknown.
pub async fn glance(settings: &Settings, queues: &Queues) -> Option<String> {
    let brake = Brake::new(queues.redis().clone(), store(settings).ok()?);
    line(&brake.glance().await.ok()??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brake_that_is_on_is_one_line_and_one_that_is_off_is_none() {
        let on = BrakeState {
            on: true,
            by: Some("ann".into()),
            reason: Some("wrong odds".into()),
            since: Some(Utc::now()),
            line: 3,
        };
        assert!(line(&on).is_some_and(|line| line.starts_with("BRAKE ON") && line.ends_with("by ann: wrong odds")));
        assert_eq!(line(&BrakeState { on: false, ..on }), None);
    }

    #[test]
    fn a_brake_is_not_touched_without_a_reason() {
        assert_eq!(reason(" wrong odds "), Ok("wrong odds".to_owned()));
        assert!(reason("  ").is_err() && reason(&"x".repeat(501)).is_err());
    }
}
