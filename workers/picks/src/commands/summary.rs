//! `perch summary`: the summary of a day.

use chrono::{NaiveDate, Utc};
use perch_bot::cli::{
    CommandError, Invocation, Output,
    format::{
        table::{Listing, cell, number, whole},
        text::count,
        time::exact,
    },
};

use crate::store::{DailySummary, PicksStore as _};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The day in UTC, such as 2026-01-31; by default today so far
    #[arg(long, conflicts_with = "days")]
    pub date: Option<NaiveDate>,
    /// How many of the latest stored summaries to list
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3_660))]
    pub days: Option<u32>,
}

pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    if let Some(days) = args.days {
        let days = store.summaries().latest(days).await?;
        return if at.out.is_json() { at.out.json(&days) } else { several(at, &days) };
    }
    let today = Utc::now().date_naive();
    let date = args.date.unwrap_or(today);
    if date > today {
        return Err(CommandError::Usage(format!("--date: {date} has not begun")));
    }
    // The job stores the summary of a day that is over. If it is missing or was made before the end of the day, make it now.
    let summary = match store.summaries().get(date).await? {
        Some(summary) if summary.is_whole() => summary,
        _ => store.summaries().make(date).await?,
    };
    if at.out.is_json() { at.out.json(&summary) } else { text(&at.out, &summary) }
}

fn several(at: &Invocation<'_>, days: &[DailySummary]) -> Result<(), CommandError> {
    if days.is_empty() {
        return at.out.line("no day was added up yet; `perch summary` adds up today");
    }
    let mut listing = Listing::new([
        whole("DAY"),
        number("READ"),
        number("TAKEN"),
        number("PICKS"),
        number("AGAIN"),
        number("REPLIES"),
        number("SETTLED"),
        number("UNITS"),
        number("SPENT"),
    ]);
    for day in days {
        listing.row([
            cell(day.date),
            cell(day.posts_read),
            cell(day.posts_taken),
            cell(day.picks_new),
            cell(day.picks_again),
            cell(day.replies),
            cell(day.results.values().sum::<u64>()),
            cell(format_args!("{:+.2}", day.units)),
            cell(dollars(day.spend.values().sum())),
        ]);
    }
    at.out.table(&listing)
}

fn text(out: &Output, day: &DailySummary) -> Result<(), CommandError> {
    let counts = |counts: &std::collections::BTreeMap<String, u64>| {
        counts.iter().map(|(name, n)| format!("{n} {name}")).collect::<Vec<_>>().join(", ")
    };
    out.line(format_args!("{}  as of {}", day.date, exact(day.made_at, Utc::now())))?;
    let left = if day.posts_left.is_empty() { String::new() } else { format!(", {}", counts(&day.posts_left)) };
    out.fact("posts", format!("{} read, {} taken{left}", day.posts_read, day.posts_taken))?;
    out.fact("picks", format!("{} new, {} named again", day.picks_new, day.picks_again))?;
    for (kind, states) in &day.actions {
        out.fact(&format!("{kind}s"), counts(states))?;
    }
    out.fact("replies", format!("{}", day.replies))?;
    let bets: u64 = day.results.values().sum();
    let results = if bets == 0 { String::new() } else { format!(": {}", counts(&day.results)) };
    out.fact("settled", format!("{}{results}", count(bets, "bet")))?;
    out.fact("units", format!("{:+.2} of {:.2} staked", day.units, day.staked))?;
    let paid: Vec<String> = day.spend.iter().map(|(name, micros)| format!("{} {name}", dollars(*micros))).collect();
    out.fact("spent", if paid.is_empty() { "nothing".to_owned() } else { paid.join(", ") })
}

/// Millionths of a dollar in dollars: `$1.234`.
fn dollars(micros: u64) -> String {
    format!("${}.{:03}", micros / 1_000_000, micros % 1_000_000 / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millionths_are_shown_to_the_tenth_of_a_cent() {
        assert_eq!(dollars(0), "$0.000");
        assert_eq!(dollars(1_234_567), "$1.234");
    }
}
