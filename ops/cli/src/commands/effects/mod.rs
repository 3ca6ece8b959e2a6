//! `perch effects`: lists effects, shows them, and lets an operator settle those of unknown outcome.

mod list;
mod resolve;
mod show;

use perch_store::EffectState;

use crate::{app::App, error::CommandError, format::table::Tone};

#[derive(Debug, clap::Subcommand)]
pub enum Effects {
    /// Effects, the latest first
    List(list::Args),
    /// Everything about an effect: its state, what happened to it, on what evidence, and its job
    Show(show::Args),
    /// Settles an effect that no rule can decide
    Resolve(resolve::Args),
}

pub async fn run(app: &App, command: &Effects) -> Result<(), CommandError> {
    match command {
        Effects::List(args) => list::run(app, args).await,
        Effects::Show(args) => show::run(app, args).await,
        Effects::Resolve(args) => resolve::run(app, args).await,
    }
}

fn tone(state: EffectState) -> Tone {
    match state {
        EffectState::Confirmed => Tone::Good,
        EffectState::Intended => Tone::Plain,
        EffectState::Failed => Tone::Bad,
        EffectState::Unknown => Tone::Warn,
    }
}

fn not_there(key: &str) -> CommandError {
    CommandError::Refused(format!("the ledger has no effect {key:?}; see `perch effects list`"))
}
