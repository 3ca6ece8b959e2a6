//! `perch picks`: the picks, their outcomes, and the record.

mod confirm;
mod list;
mod record;
mod settle;
mod show;

use perch_bot::cli::{
    CommandError, Invocation,
    format::{table::Tone, text::one_line},
};
use perch_jobs::{Pick, PickKind, Side};
use perch_odds::settle::Grade;
use perch_store::Store;

use crate::{
    store::{PickBody, PickLookup, PicksStore as _, TrackedPick},
    tracking::TrackError,
};

#[derive(Debug, clap::Subcommand)]
pub enum Picks {
    /// Lists picks and their states, newest first
    List(list::Args),
    /// Shows a pick: what it is, who named it, how it ended
    Show(show::Args),
    /// Confirms a pick that only the rules have read, so that it is published
    Confirm(confirm::Args),
    /// Enters how a pick ended, or imports results from a file
    Settle(settle::Args),
    /// Won and lost, units, return on investment, hit rate, streaks, closing-line value
    Record(record::Args),
}

pub async fn run(at: &Invocation<'_>, command: &Picks) -> Result<(), CommandError> {
    match command {
        Picks::List(args) => list::run(at, args).await,
        Picks::Show(args) => show::run(at, args).await,
        Picks::Confirm(args) => confirm::run(at, args).await,
        Picks::Settle(args) => settle::run(at, args).await,
        Picks::Record(args) => record::run(at, args).await,
    }
}

/// Looks up a pick by number, key or beginning of a key.
async fn find(store: &Store, key: &str) -> Result<TrackedPick, CommandError> {
    let shown = one_line(&key.chars().take(80).collect::<String>());
    match store.tracking().find(key).await? {
        PickLookup::One(pick) => Ok(*pick),
        PickLookup::NotFound => {
            Err(CommandError::Refused(format!("there is no pick {shown:?}; see `perch picks list`")))
        }
        PickLookup::Several(some) => {
            let numbers: Vec<String> = some.iter().map(|pick| pick.number.to_string()).collect();
            let numbers = numbers.join(", ");
            Err(CommandError::Refused(format!(
                "several keys begin with {shown:?}, those of {numbers} among them; give a number"
            )))
        }
    }
}

fn failed(error: TrackError) -> CommandError {
    match error {
        TrackError::Store(error) => error.into(),
        error @ (TrackError::Settle(_) | TrackError::Entry { .. } | TrackError::Meanwhile) => {
            CommandError::Refused(error.to_string())
        }
    }
}

fn tone(grade: Option<Grade>) -> Tone {
    match grade {
        Some(Grade::Won | Grade::HalfWon) => Tone::Good,
        Some(Grade::Lost | Grade::HalfLost) => Tone::Bad,
        Some(Grade::Push | Grade::Void) => Tone::Faint,
        None => Tone::Plain,
    }
}

/// Units with their sign: `+1.82`.
fn units(units: Option<f64>) -> String {
    units.map_or_else(|| "-".to_owned(), |units| format!("{units:+.2}"))
}

/// A share as a percentage with its sign where it has one: `+5.3 %`.
fn percent(share: Option<f64>, signed: bool) -> String {
    match share {
        None => "-".to_owned(),
        Some(share) if signed => format!("{:+.1} %", share * 100.0),
        Some(share) => format!("{:.1} %", share * 100.0),
    }
}

/// A pick as text without its odds and stake: `Boston Celtics -4.5 (first half)`.
fn words(pick: &TrackedPick) -> String {
    let words = match &pick.pick {
        PickBody::Single(pick) => of_single(pick),
        PickBody::Parlay(parlay) => parlay.picks.iter().map(of_single).collect::<Vec<_>>().join(" + "),
    };
    pick.part.as_ref().map_or(words.clone(), |part| format!("{words} ({part})"))
}

fn of_single(pick: &Pick) -> String {
    let side = pick.side.map(|side| if side == Side::Over { "over" } else { "under" }.to_owned());
    let line = pick.line.map(|line| match pick.kind {
        PickKind::Spread => format!("{line:+}"),
        _ => line.to_string(),
    });
    let parts = match pick.kind {
        PickKind::Moneyline => vec![pick.selection.clone(), Some("ML".into())],
        PickKind::Spread => vec![pick.selection.clone(), line],
        PickKind::Total => vec![pick.event.clone().or_else(|| pick.selection.clone()), side, line],
        PickKind::Prop => vec![pick.player.clone(), side, line, pick.stat.clone()],
        PickKind::Future => vec![pick.selection.clone(), pick.event.clone(), Some("future".into())],
    };
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The odds of a pick in its first post.
fn odds(body: &PickBody) -> &str {
    let odds = match body {
        PickBody::Single(pick) => &pick.odds,
        PickBody::Parlay(parlay) => &parlay.odds,
    };
    odds.as_deref().unwrap_or("-")
}
