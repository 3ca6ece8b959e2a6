use std::{fs, path::PathBuf};

use perch_bot::cli::{
    CommandError, Invocation,
    format::{
        table::{Listing, cell, key, number, whole},
        text::{count, one_line},
    },
};
use perch_odds::settle::Grade;
use serde_json::json;

use super::{failed, find, units};
use crate::{
    store::{SettleSource, SettledBy},
    tracking::{
        self, ContradictedPick, EnteredOutcome, Entry, Imported, LeftOpenPick, NamedGames, SettledPick, read_csv,
    },
};

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "a flag for each way in which a bet ends")]
#[command(
    group(clap::ArgGroup::new("end").args(["won", "lost", "push", "void", "half_won", "half_lost", "open", "score", "counted"])),
    group(clap::ArgGroup::new("what").required(true).args(["key", "csv"])),
    after_help = "The first line of a CSV file names its columns. Results of games have sport, date (or finished_at), event as \
                  \"A vs B\" (or first and second), score_first and score_second, and may have winner, called_off and game \
                  (1 or 2 where both sides play twice on that day). \
                  Outcomes of picks have pick_key (a number or a key) and outcome, and may have leg, closing and note. Every \
                  bad line is named, and then nothing is imported."
)]
pub struct Args {
    /// Its number, its key, or the beginning of its key
    pub key: Option<String>,
    /// It won
    #[arg(long)]
    pub won: bool,
    /// It lost
    #[arg(long)]
    pub lost: bool,
    /// The result fell on the line; the stake came back
    #[arg(long)]
    pub push: bool,
    /// It never counted; the stake came back
    #[arg(long)]
    pub void: bool,
    /// Half of it won
    #[arg(long)]
    pub half_won: bool,
    /// Half of it was lost
    #[arg(long)]
    pub half_lost: bool,
    /// Reopens it; results do not settle it again until somebody settles it by hand
    #[arg(long)]
    pub open: bool,
    /// The scores of both sides: in the order of the pick's event, or with the backed side first
    #[arg(long, value_parser = score, value_name = "A-B")]
    pub score: Option<(f64, f64)>,
    /// The value of the statistic for the player of a prop
    #[arg(long, value_name = "NUMBER")]
    pub counted: Option<f64>,
    /// The leg of a parlay that this is about, from 1
    #[arg(long, requires = "end", value_name = "NUMBER")]
    pub leg: Option<usize>,
    /// The odds when the game began, such as -120 or 1.83
    #[arg(long, allow_hyphen_values = true, value_name = "ODDS")]
    pub closing: Option<String>,
    /// A note about it
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Enters results from a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["end", "closing", "note", "leg"])]
    pub csv: Option<PathBuf>,
    /// Shows what the file would settle, and changes nothing
    #[arg(long, requires = "csv")]
    pub dry_run: bool,
}

/// Two numbers with a hyphen or a colon between them.
fn score(text: &str) -> Result<(f64, f64), String> {
    let parts = text.split_once(['-', ':', '–']);
    let number = |part: &str| part.trim().parse::<f64>().ok().filter(|n| (0.0..=100_000.0).contains(n));
    parts
        .and_then(|(first, second)| number(first).zip(number(second)))
        .ok_or_else(|| format!("{text:?} is no score; write both sides, such as 112-104"))
}

pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    match (&args.csv, &args.key) {
        (Some(path), _) => import(at, path, args.dry_run).await,
        (None, Some(key)) => one(at, key, args).await,
        (None, None) => Err(CommandError::Usage("name a pick, or a file with --csv".into())),
    }
}

fn outcome(args: &Args) -> Option<EnteredOutcome> {
    let stated = [
        (args.won, Grade::Won),
        (args.lost, Grade::Lost),
        (args.push, Grade::Push),
        (args.void, Grade::Void),
        (args.half_won, Grade::HalfWon),
        (args.half_lost, Grade::HalfLost),
    ];
    let stated = stated.into_iter().find(|(is, _)| *is).map(|(_, grade)| EnteredOutcome::Stated(grade));
    let score = args.score.map(|(first, second)| EnteredOutcome::Score(first, second));
    stated.or(score).or(args.counted.map(EnteredOutcome::Counted)).or(args.open.then_some(EnteredOutcome::Reopened))
}

async fn one(at: &Invocation<'_>, key: &str, args: &Args) -> Result<(), CommandError> {
    let entry = Entry { outcome: outcome(args), leg: args.leg, closing: args.closing.clone(), note: args.note.clone() };
    let (settings, store) = &at.store()?;
    let pick = find(store, key).await?;
    let settled =
        tracking::settle(store, &*settings.sections.get()?, pick, &entry, &at.operator).await.map_err(failed)?;
    at.audit("pick.settle", &settled.key, &json!(settled)).await;
    let came_to = match settled.units {
        Some(came_to) => {
            let accounts = count(settled.accounts, "account");
            format!(", {} units, in the record of {accounts}", units(Some(came_to)))
        }
        None => String::new(),
    };
    at.out.answer(&settled, format_args!("{} is {}{came_to}; it was {}", settled.number, settled.state, settled.before))
}

async fn import(at: &Invocation<'_>, path: &PathBuf, dry_run: bool) -> Result<(), CommandError> {
    let text = fs::read_to_string(path).map_err(|source| CommandError::File { path: path.clone(), source })?;
    let import = match read_csv(&text) {
        Ok(import) => import,
        Err(bad) => {
            for line in &bad {
                at.out.note(one_line(&line.to_string()));
            }
            let lines = count(bad.len(), "line");
            return Err(CommandError::Refused(format!("nothing was imported: {lines} cannot be used")));
        }
    };
    let (settings, store) = &at.store()?;
    let by = SettledBy { actor: at.operator.clone(), source: SettleSource::Import };
    let imported = tracking::import(store, &*settings.sections.get()?, &import, &by, dry_run).await.map_err(failed)?;
    if !dry_run {
        let (settled, corrected) = (imported.settled.len(), imported.corrected.len());
        let details = json!({ "games": imported.games, "settled": settled, "corrected": corrected });
        at.audit("results.import", &path.display().to_string(), &details).await;
    }
    if at.out.is_json() { at.out.json(&imported) } else { text_of(at, &imported) }
}

fn text_of(at: &Invocation<'_>, imported: &Imported) -> Result<(), CommandError> {
    if !imported.settled.is_empty() {
        at.out.table(&listing(&imported.settled))?;
    }
    report_exceptions(at, imported)?;
    let (picks, open) = (count(imported.settled.len(), "pick"), imported.open);
    let games = match imported.games {
        0 => String::new(),
        games => format!(" by the results of {}", count(games, "game")),
    };
    let open = if open == 1 { "1 stays open".to_owned() } else { format!("{open} stay open") };
    if imported.dry_run {
        return at.out.line(format_args!("{picks} would be settled{games}, {open}; nothing was changed"));
    }
    at.out.line(format_args!("{picks} settled{games}, {open}"))
}

/// Reports corrections, contradictions, picks that a result does not decide, and results without a pick.
fn report_exceptions(at: &Invocation<'_>, imported: &Imported) -> Result<(), CommandError> {
    if !imported.corrected.is_empty() {
        at.out.line("settled again, because the results changed:")?;
        at.out.table(&listing(&imported.corrected))?;
        let change: f64 = imported.corrected.iter().map(|one| one.change).sum();
        at.out.line(format_args!("the records change by {} units", units(Some(change))))?;
    }
    for ContradictedPick { number, state, settled_by, results, .. } in &imported.contradicted {
        let by = settled_by.as_deref().unwrap_or("somebody");
        at.out.line(format_args!("{number} stays {state}, as {by} settled it; by the results it is {results}"))?;
    }
    for LeftOpenPick { number, why, .. } in &imported.left_open {
        at.out.line(format_args!("{number} stays open: {why}"))?;
    }
    games(at, &imported.unclear, "may be of either of two games of its day and was not kept; give `game`")?;
    games(at, &imported.unmatched, "is about no pick")
}

fn games(at: &Invocation<'_>, some: &NamedGames, what: &str) -> Result<(), CommandError> {
    for name in &some.names {
        at.out.line(format_args!("{name} {what}"))?;
    }
    let more = some.games - some.names.len();
    if more == 0 { Ok(()) } else { at.out.line(format_args!("and {more} more")) }
}

fn listing(settled: &[SettledPick]) -> Listing {
    let mut listing =
        Listing::new([number("NO"), key("KEY"), whole("WAS"), whole("IS"), number("UNITS"), number("CHANGE")]);
    for one in settled {
        let (came_to, change) = (units(one.units), units(Some(one.change)));
        let row = [cell(one.number), cell(&one.key), cell(&one.before), cell(&one.state), cell(came_to), cell(change)];
        listing.row(row);
    }
    listing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_has_two_sides() {
        assert_eq!(score("112-104"), Ok((112.0, 104.0)));
        assert_eq!(score(" 2:1 "), Ok((2.0, 1.0)));
        for bad in ["112", "112-", "-3-4", "a-b", "1-2-3", ""] {
            assert!(score(bad).is_err(), "{bad}");
        }
    }
}
