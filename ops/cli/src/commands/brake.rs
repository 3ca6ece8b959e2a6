//! `perch brake`: the emergency brake, which stops everything that publishes, in all processes, and those of accounts and bots.

use chrono::Utc;
use perch_base::Settings;
use perch_bot::require_known;
use perch_jobs::AccountId;
use perch_queue::Queues;
use perch_store::{Brake, BrakeScope, BrakeState, Brakes, StoreError};
use serde_json::{Value, json};

use crate::{
    app::{App, bots, operator, store},
    error::{CommandError, chain},
    format::{table::Tone, time::from_now_or_dash},
};

#[derive(Debug, clap::Subcommand)]
pub enum BrakeCommand {
    /// Stop everything that publishes, or one account or bot, in all processes; jobs wait
    On(Change),
    /// Let jobs publish again
    Off(Change),
    /// Whether it is on, since when, and why; with those of accounts and bots that are on
    Status(Scope),
}

#[derive(Debug, clap::Args)]
pub struct Change {
    #[command(flatten)]
    pub scope: Scope,
    /// Why, as the audit log and every job that is stopped show it
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

/// What the brake stops; everything when nothing is given.
#[derive(Debug, clap::Args)]
pub struct Scope {
    /// Only what is published as this account
    #[arg(long, conflicts_with = "bot")]
    pub account: Option<AccountId>,
    /// Only what this bot publishes, as whatever account
    #[arg(long, value_name = "NAME")]
    pub bot: Option<String>,
}

impl Scope {
    /// The scope, if it is among the known ones.
    fn known(&self, known: &[BrakeScope]) -> Result<BrakeScope, CommandError> {
        let scope = match (&self.account, &self.bot) {
            (Some(account), _) => BrakeScope::Account(account.clone()),
            (None, Some(bot)) => BrakeScope::Bot(bot.clone()),
            (None, None) => BrakeScope::Everything,
        };
        require_known(&scope, known).map_err(|unknown| CommandError::Refused(unknown.to_string()))?;
        Ok(scope)
    }
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
    let (redis, store) = (queues.redis(), store(&settings)?);
    let configured = bots().brake_scopes(&settings);
    let brake = |scope| Brake::of(redis.clone(), store.clone(), scope);
    match command {
        BrakeCommand::On(Change { scope, reason }) => on(app, &brake(scope.known(&configured)?), reason).await,
        BrakeCommand::Off(Change { scope, reason }) => {
            let all = Brakes::with_pulled(redis, &store, configured).await;
            off(app, &brake(scope.known(&all.scopes().cloned().collect::<Vec<_>>())?), reason).await
        }
        BrakeCommand::Status(scope) => {
            let all = Brakes::with_pulled(redis, &store, configured).await;
            let scope = scope.known(&all.scopes().cloned().collect::<Vec<_>>())?;
            if scope.is_everything() {
                return status(app, &all.states().await?);
            }
            let state = brake(scope).state().await?;
            if app.out.is_json() { app.out.json(&state) } else { show(app, &state) }
        }
    }
}

async fn on(app: &App, brake: &Brake, reason: &str) -> Result<(), CommandError> {
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
    let said = match brake.scope() {
        _ if !pulled.changed => "it was on already".to_owned(),
        BrakeScope::Everything => "nothing is published from now on".to_owned(),
        BrakeScope::Account(account) => format!("nothing is published as {account} from now on"),
        BrakeScope::Bot(bot) => format!("nothing of {bot} is published from now on"),
    };
    let value = answer(&pulled.state, pulled.changed, pulled.unlogged.is_none());
    app.out.answer(&value, format_args!("brake on: {said}"))
}

async fn off(app: &App, brake: &Brake, reason: &str) -> Result<(), CommandError> {
    let lifted = brake.lift(&operator(), reason, json!({})).await?;
    if lifted.state.on {
        return Err(CommandError::Refused(format!(
            "somebody pulled it at the same moment: {}; talk to them, or lift it again",
            lifted.state.describe()
        )));
    }
    let said = if lifted.changed { "the jobs that wait go on" } else { "it was off already" };
    app.out.answer(&answer(&lifted.state, lifted.changed, true), format_args!("brake off: {said}"))
}

fn answer(state: &BrakeState, changed: bool, logged: bool) -> Value {
    json!({ "scope": state.scope, "on": state.on, "changed": changed, "logged": logged })
}

/// Shows the brake of everything, and the others that are on.
fn status(app: &App, states: &[BrakeState]) -> Result<(), CommandError> {
    let (everything, scoped): (Vec<_>, Vec<_>) = states.iter().partition(|state| state.scope.is_everything());
    let scoped: Vec<&BrakeState> = scoped.into_iter().filter(|state| state.on).collect();
    if app.out.is_json() {
        let mut value = json!(everything.first());
        value["scoped"] = json!(scoped);
        return app.out.json(&value);
    }
    everything.into_iter().chain(scoped).try_for_each(|state| show(app, state))
}

fn show(app: &App, state: &BrakeState) -> Result<(), CommandError> {
    match line(state) {
        Some(line) => app.out.styled(&Tone::Bad.line(line)),
        None => app.out.line(state.describe()),
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

/// A brake in one line, when it is on.
pub fn line(state: &BrakeState) -> Option<String> {
    let since = from_now_or_dash(state.since, Utc::now());
    let (by, reason) =
        (state.by.as_deref().unwrap_or("somebody"), state.reason.as_deref().unwrap_or("no reason given"));
    let scope = if state.scope.is_everything() { String::new() } else { format!("  {}", state.scope) };
    state.on.then(|| format!("BRAKE ON{scope}  {since}, by {by}: {reason}"))
}

/// The lines of the brakes that are on, for commands that also show other things. Reads Redis alone if there is no Postgres; none when
/// the states are unknown.
pub async fn glance(settings: &Settings, queues: &Queues) -> Vec<String> {
    let Ok(store) = store(settings) else { return Vec::new() };
    let states = bots().brakes(settings, queues.redis(), &store).glance().await.unwrap_or_default();
    states.iter().filter_map(line).collect()
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
            ..BrakeState::default()
        };
        assert!(line(&on).is_some_and(|line| line.starts_with("BRAKE ON") && line.ends_with("by ann: wrong odds")));
        let of_account = BrakeState { scope: BrakeScope::Account(AccountId::from_static("main")), ..on.clone() };
        assert!(line(&of_account).is_some_and(|line| line.starts_with("BRAKE ON  account:main  ")));
        assert_eq!(line(&BrakeState { on: false, ..on }), None);
    }

    #[test]
    fn a_brake_is_not_touched_without_a_reason() {
        assert_eq!(reason(" wrong odds "), Ok("wrong odds".to_owned()));
        assert!(reason("  ").is_err() && reason(&"x".repeat(501)).is_err());
    }
}
