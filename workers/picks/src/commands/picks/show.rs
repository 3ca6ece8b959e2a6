use chrono::{DateTime, Utc};
use perch_bot::cli::{
    CommandError, Invocation, Output,
    format::{
        line::Line,
        table::{Listing, cell, cut, number, whole},
        time::{exact, from_now},
    },
};
use perch_odds::{Odds, record::closing_line_value};
use perch_store::ActionRecord;
use serde::Serialize;

use super::{find, odds, of_single, percent, tone, units, words};
use crate::{
    store::{BetRow, PickBody, PickSighting, state_word},
    tracking::PickDetails,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its number, its key, or the beginning of its key
    pub key: String,
}

pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let pick = find(store, &args.key).await?;
    let details = PickDetails::of(store, pick).await?;
    if at.out.is_json() { at.out.json(&details) } else { text(&at.out, &details, Utc::now()) }
}

fn text(out: &Output, details: &PickDetails, now: DateTime<Utc>) -> Result<(), CommandError> {
    let PickDetails { pick, named, bets, settlements, actions } = details;
    out.line(format_args!("{}  {}", pick.number, words(pick)))?;
    out.fact("key", pick.key.as_str())?;
    let held = if pick.held { "  held: results leave it alone until it is settled by hand" } else { "" };
    out.fact("state", tone(pick.grade).line(state_word(pick.grade)).then(held))?;
    if let Some(reader) = &pick.read_by {
        let by = pick.confirmed_by.as_deref().map(|by| format!(", confirmed by {by}")).unwrap_or_default();
        out.fact("read by", format!("{reader}{by}"))?;
    }
    if let PickBody::Parlay(parlay) = &pick.pick {
        for (at, leg) in parlay.picks.iter().enumerate() {
            let grade = pick.legs.get(at).copied().flatten();
            let state = Line::new(of_single(leg)).then("  ").toned(tone(grade), state_word(grade));
            out.fact(&format!("leg {}", at + 1), state)?;
        }
    }
    let closing = pick.closing_odds.as_deref().unwrap_or("-");
    out.fact("odds", format!("{}, closing {closing}", odds(&pick.pick)))?;
    out.fact("posted", format!("{} by {} as {}", exact(pick.posted_at, now), pick.author, pick.source_post))?;
    if let Some(begins) = pick.terms.as_ref().and_then(|terms| terms.starts_at) {
        out.fact("begins", exact(begins, now))?;
    }
    if let Some(note) = &pick.note {
        out.fact("note", note.as_str())?;
    }
    out.blank()?;
    out.table(&accounts(named, bets, now))?;
    done_about_it(out, actions, now)?;
    if pick.unconfirmed {
        out.note(format_args!(
            "only the rules have read it, so it is not acted on; `perch picks confirm {}` confirms it",
            pick.number
        ));
    }
    if settlements.is_empty() {
        out.note(format_args!(
            "settle it with `perch picks settle {} --won`, or --lost, --push, --score A-B",
            pick.number
        ));
        return Ok(());
    }
    out.blank()?;
    out.line("settlements")?;
    for one in settlements {
        let (at, by) = (exact(one.settled_at, now), &one.settled_by);
        let note = one.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
        out.line(format_args!("  {:<9}  {at} by {by} ({}){note}", one.state, one.source))?;
    }
    Ok(())
}

fn done_about_it(out: &Output, actions: &[ActionRecord], now: DateTime<Utc>) -> Result<(), CommandError> {
    if !actions.is_empty() {
        out.blank()?;
        out.line("actions")?;
    }
    for action in actions {
        let (kind, state, at) = (word(&action.kind), word(&action.state), exact(action.created_at, now));
        let id = action.external_id.as_deref().map(|id| format!(" as {id}")).unwrap_or_default();
        let because = action.error.as_deref().or(action.why.as_deref());
        let because = because.map(|because| format!(": {because}")).unwrap_or_default();
        out.line(format_args!("  {kind:<9}  {state} {at} by {}{id}{because}", action.account))?;
    }
    Ok(())
}

/// The word for it in JSON.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn accounts(named: &[PickSighting], bets: &[BetRow], now: DateTime<Utc>) -> Listing {
    let mut listing = Listing::new([
        cut("ACCOUNT"),
        whole("POSTED"),
        whole("ODDS"),
        number("STAKE"),
        whole("STATE"),
        number("UNITS"),
        number("CLV"),
    ]);
    for sighting in named {
        let bet = bets.iter().find(|bet| bet.account == sighting.author.to_lowercase());
        // Assumed values are in brackets.
        let odds = match (&sighting.odds, bet.and_then(|bet| Odds::from_decimal(bet.odds?).ok())) {
            (Some(odds), _) => odds.clone(),
            (None, Some(assumed)) => format!("[{}]", assumed.as_american()),
            (None, None) => "-".to_owned(),
        };
        let stake = match (sighting.units, bet) {
            (_, Some(bet)) if bet.stake_assumed => format!("[{}u]", bet.stake),
            (stake, bet) => {
                bet.map(|bet| bet.stake).or(stake).map_or_else(|| "-".to_owned(), |stake| format!("{stake}u"))
            }
        };
        let value = bet.and_then(|bet| {
            let taken = Odds::from_decimal(bet.odds?).ok()?;
            Some(closing_line_value(taken, Odds::from_decimal(bet.closing?).ok()?))
        });
        let grade = bet.map(|bet| bet.grade);
        listing.row([
            cell(&sighting.author),
            cell(from_now(sighting.seen_at, now)),
            cell(odds),
            cell(stake),
            cell(state_word(grade)).tone(tone(grade)),
            cell(units(bet.map(|bet| bet.units))),
            cell(percent(value, true)),
        ]);
    }
    listing
}
