use chrono::{DateTime, TimeDelta, Utc};
use perch_bot::cli::{
    CommandError, Invocation, Output,
    format::{
        line::{Line, Tone},
        table::{Listing, cell, cut, number, whole},
        text::count,
        time::{exact, from_now},
    },
};
use serde::Serialize;
use serde_json::Value;

use super::{list::schedule, not_watched, refused};
use crate::{
    store::{PicksStore as _, PollJob, PollOutcome, PollTotals},
    watch_list::{self, AccountSource, WatchList, WatchedAccount},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its handle, with or without @
    pub handle: String,
    /// How many of its latest polls to show
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub polls: u32,
    /// Over how many days to add up its polls
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_660))]
    pub days: u32,
}

/// An account with its polls.
#[derive(Debug, Serialize)]
struct AccountReport {
    #[serde(flatten)]
    account: WatchedAccount,
    /// Its latest polls, newest first.
    polls: Vec<PollJob>,
    totals: PollTotals,
}

pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    let handle = watch_list::handle(&args.handle).map_err(refused)?;
    let known = WatchList::new(settings)?.one(store, handle).await?;
    let account = known.ok_or_else(|| not_watched(&args.handle))?;
    let now = Utc::now();
    let accounts = store.accounts();
    let report = AccountReport {
        polls: accounts.polls(&account.username, args.polls).await?,
        totals: accounts.totals(&account.username, now - TimeDelta::days(i64::from(args.days))).await?,
        account,
    };
    if at.out.is_json() { at.out.json(&report) } else { text(&at.out, &report, args.days, now) }
}

fn text(out: &Output, report: &AccountReport, days: u32, now: DateTime<Utc>) -> Result<(), CommandError> {
    let AccountReport { account, polls, totals } = report;
    let from = match account.source {
        AccountSource::Config => "named by the configuration",
        AccountSource::Operator => "added by an operator",
    };
    out.line(format_args!("{}  {from}", account.handle))?;
    out.fact("state", state(account, now))?;
    if let (Some(by), Some(at)) = (&account.added_by, account.added_at) {
        out.fact("added", format!("{} by {by}", exact(at, now)))?;
    }
    if let Some(note) = &account.note {
        out.fact("note", note.as_str())?;
    }
    out.fact("schedule", schedule(account))?;
    let age = humantime::format_duration(std::time::Duration::from_millis(account.max_age_ms));
    let (posts, pages) = (account.posts_per_poll, account.pages);
    let (posts, pages) = (count(posts, "post"), count(pages, "page"));
    out.fact("reads", format!("{posts} a page, up to {pages}, none older than {age}"))?;
    out.fact("next poll", account.next_poll.map_or_else(|| "-".to_owned(), |at| exact(at, now)))?;
    let last = account.last_poll.map_or_else(|| "never".to_owned(), |at| exact(at, now));
    out.fact("last poll", last)?;
    if let (Some(outcome), Some(error)) = (account.last_outcome, &account.last_error) {
        let times = count(account.failures, "time");
        out.fact("", format!("{} {times} in a row: {error}", outcome.as_str()))?;
    }
    out.fact("since_id", account.since_id.as_ref().map_or("-", |id| id.as_str()))?;
    out.fact("user id", account.user_id.as_deref().unwrap_or("-"))?;
    out.blank()?;
    out.line(format_args!("last {}, as far as the history goes back", count(days, "day")))?;
    out.fact("polls", totals.polls.to_string())?;
    let taken = [(totals.read, "read"), (totals.taken, "taken")].map(|(posts, word)| format!("{posts} {word}"));
    let skipped = totals.skipped.iter().map(|(reason, posts)| format!("{posts} {reason}"));
    out.fact("posts", taken.into_iter().chain(skipped).collect::<Vec<_>>().join(", "))?;
    out.fact("picks", format!("{} named, {} of them first", totals.picks, totals.picks_first))?;
    if polls.is_empty() {
        return Ok(());
    }
    out.blank()?;
    out.table(&listing(polls, now))
}

fn state(account: &WatchedAccount, now: DateTime<Utc>) -> Line {
    if let Some(at) = account.removed_at {
        let by = account.removed_by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
        return Tone::Faint.line(format_args!("removed {}{by}", exact(at, now)));
    }
    if !account.watched {
        return Tone::Warn.line("disabled");
    }
    match account.last_outcome {
        Some(PollOutcome::Polled) | None => Tone::Good.line("watched"),
        Some(outcome) => {
            let over = match account.passes_over {
                0 => "tried again at the next tick".to_owned(),
                ticks => format!("passed over for {}", count(ticks, "tick")),
            };
            Tone::Warn.line(format_args!("watched, but {}; {over}", outcome.as_str()))
        }
    }
}

fn listing(polls: &[PollJob], now: DateTime<Utc>) -> Listing {
    let mut listing =
        Listing::new([whole("POLL"), whole("WHEN"), whole("STATE"), number("READ"), number("TAKEN"), cut("LEFT OUT")]);
    for poll in polls {
        let result = poll.result.as_ref();
        let count = |name: &str| result.and_then(|result| result[name].as_u64()).unwrap_or(0);
        let unreadable = result.and_then(|result| result["unreadable"]["state"].as_str());
        let left_out = match (unreadable, &poll.error) {
            (Some(state), _) => cell(state).tone(Tone::Warn),
            (None, Some(error)) => cell(error).tone(Tone::Bad),
            (None, None) => cell(skipped(result)),
        };
        listing.row([
            cell(poll.job),
            cell(from_now(poll.at, now)),
            cell(poll.state.as_str()),
            cell(count("read")),
            cell(count("taken")),
            left_out,
        ]);
    }
    listing
}

fn skipped(result: Option<&Value>) -> String {
    let skipped = result.and_then(|result| result["skipped"].as_object()).into_iter().flatten();
    let mut words: Vec<String> = skipped.map(|(reason, posts)| format!("{posts} {reason}")).collect();
    if result.is_some_and(|result| result["more"] == true) {
        words.push("more were beyond the last page".into());
    }
    words.join(", ")
}
