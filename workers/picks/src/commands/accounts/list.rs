use chrono::{DateTime, Utc};
use perch_bot::cli::{
    CommandError, Invocation, Paging,
    format::{
        table::{Cell, Listing, Tone, cell, cut, number, whole},
        time::{from_now, from_now_or_dash},
    },
};

use crate::{
    store::PollOutcome,
    watch_list::{AccountSource, WatchList, WatchedAccount},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Includes accounts that are not watched any more
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    let page = WatchList::new(settings)?.page(store, args.all, &args.paging.or(20)).await?;
    let none = "no account is watched; add one with `perch accounts add HANDLE`";
    at.out.page(&page, none, |accounts| listing(accounts, Utc::now()))
}

fn listing(accounts: &[WatchedAccount], now: DateTime<Utc>) -> Listing {
    let mut listing = Listing::new([
        whole("HANDLE"),
        whole("FROM"),
        cut("SCHEDULE"),
        number("READS"),
        whole("LAST POLL"),
        whole("NEXT"),
        cut("NOTE"),
    ]);
    for account in accounts {
        let from = match account.source {
            AccountSource::Config => "config",
            AccountSource::Operator => "operator",
        };
        let reads = u32::from(account.posts_per_poll) * u32::from(account.pages);
        listing.row([
            cell(&account.handle),
            cell(from),
            cell(schedule(account)),
            cell(reads),
            last_poll(account, now),
            next_poll(account, now),
            cell(account.note.as_deref().unwrap_or_default()).tone(Tone::Faint),
        ]);
    }
    listing
}

/// Its own schedule, with the time zone if it is not UTC.
pub(super) fn schedule(account: &WatchedAccount) -> String {
    let zone = account.timezone.as_deref().filter(|zone| *zone != "UTC");
    match (&account.schedule, zone) {
        (None, _) => "common".to_owned(),
        (Some(schedule), None) => schedule.clone(),
        (Some(schedule), Some(zone)) => format!("{schedule} {zone}"),
    }
}

fn last_poll(account: &WatchedAccount, now: DateTime<Utc>) -> Cell {
    let Some(at) = account.last_poll else { return cell("never").tone(Tone::Faint) };
    match account.last_outcome {
        Some(PollOutcome::Polled) | None => cell(from_now(at, now)),
        Some(other) => cell(format_args!("{} {}", other.as_str(), from_now(at, now))).tone(Tone::Warn),
    }
}

fn next_poll(account: &WatchedAccount, now: DateTime<Utc>) -> Cell {
    if account.removed_at.is_some() {
        cell("removed").tone(Tone::Faint)
    } else if !account.watched {
        cell("disabled").tone(Tone::Warn)
    } else {
        cell(from_now_or_dash(account.next_poll, now))
    }
}
