//! `perch limits`: shows what outside services, accounts and pools have left.

use chrono::{DateTime, Utc};
use perch_jobs::AccountId;
use perch_publishing::limits::{AccountPosting, ApiWindow, LimitsReport, QueueProcessing, Rate, limits};

use crate::{
    app::App,
    commands::brake,
    error::CommandError,
    format::{
        table::{Cell, Listing, Tone, cell, cut, number, whole},
        time::from_now,
    },
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this account of [x.accounts], and the application
    #[arg(long)]
    pub account: Option<AccountId>,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    if let Some(account) = args.account.as_ref().filter(|account| !settings.x.accounts.contains_key(*account)) {
        let known: Vec<&str> = settings.x.accounts.keys().map(AccountId::as_str).collect();
        return Err(CommandError::Refused(format!(
            "there is no account {account}; configured are {}",
            known.join(", ")
        )));
    }
    let report = limits(&settings, &queues, args.account.as_ref()).await?;
    if app.out.is_json() {
        return app.out.json(&report);
    }
    let brakes = brake::glance(&settings, &queues).await;
    for line in &brakes {
        app.out.styled(&Tone::Bad.line(line))?;
    }
    if !brakes.is_empty() {
        app.out.blank()?;
    }
    let LimitsReport { api, posting, processing } = &report;
    let now = Utc::now();
    if api.is_empty() {
        app.out.line("no answer of an outside service has told a limit that still runs")?;
    } else {
        app.out.table(&windows(api, now))?;
    }
    app.out.blank()?;
    app.out.table(&accounts(posting, now))?;
    app.out.blank()?;
    app.out.table(&pools(processing, now))
}

fn windows(api: &[ApiWindow], now: DateTime<Utc>) -> Listing {
    let mut listing =
        Listing::new([whole("SERVICE"), whole("CALLER"), cut("ENDPOINT"), number("LEFT"), whole("RESETS")]);
    for window in api {
        listing.row([
            cell(&window.service),
            cell(&window.caller),
            cell(&window.endpoint),
            cell(format_args!("{}/{}", window.remaining, window.limit))
                .tone_if(window.remaining == 0, Tone::Bad)
                .tone_if(window.remaining > 0 && window.remaining * 10 < window.limit, Tone::Warn),
            cell(from_now(window.resets_at, now)),
        ]);
    }
    listing
}

fn accounts(posting: &[AccountPosting], now: DateTime<Utc>) -> Listing {
    let mut listing = Listing::new([
        whole("ACCOUNT"),
        number("TODAY"),
        number("REPLIES"),
        number("RETWEETS"),
        number("3 HOURS"),
        whole("DAY ENDS"),
        whole("SPACED"),
        whole("NEXT"),
        cut("QUIET"),
    ]);
    for account in posting {
        let next = account.next_allowed.map_or_else(|| "now".to_owned(), |next| from_now(next, now));
        let quiet = account.quiet_hours.as_deref().unwrap_or("-");
        listing.row([
            cell(&account.account),
            used(account.posts + account.replies + account.retweets, account.per_day),
            used(account.replies, account.replies_per_day),
            used(account.retweets, account.retweets_per_day),
            used(account.last_three_hours, account.per_three_hours),
            cell(from_now(account.day_ends, now)),
            cell(spaced(account.min_interval_ms)),
            cell(next).tone_if(account.next_allowed.is_some(), Tone::Warn),
            if account.quiet { cell(format_args!("now, {quiet}")).tone(Tone::Warn) } else { cell(quiet) },
        ]);
    }
    listing
}

/// `n/most`, or `n` alone without a limit.
fn used(n: u64, most: u32) -> Cell {
    if most == 0 { cell(n) } else { cell(format_args!("{n}/{most}")).tone_if(n >= u64::from(most), Tone::Bad) }
}

fn spaced(ms: u64) -> String {
    let time = std::time::Duration::from_millis(ms);
    if time.is_zero() { "-".to_owned() } else { humantime::format_duration(time).to_string() }
}

fn pools(processing: &[QueueProcessing], now: DateTime<Utc>) -> Listing {
    let mut listing = Listing::new([
        whole("QUEUE"),
        cut("GROUP"),
        number("RUN"),
        number("MOST"),
        whole("RATE"),
        number("LEFT"),
        whole("NEXT"),
        number("WAIT"),
    ]);
    for queue in processing {
        let most = match queue.global_concurrency {
            0 => format!("{} each", queue.concurrency),
            most => most.to_string(),
        };
        let [rate, left, next] = rated(queue.rate.as_ref(), now);
        let (running, ready) = (cell(queue.running), cell(queue.ready));
        listing.row([cell(&queue.queue), cell("-"), running, cell(most), rate, left, next, ready]);
        for group in &queue.groups {
            let most = if queue.group_concurrency == 0 { "-".to_owned() } else { queue.group_concurrency.to_string() };
            let [rate, left, next] = rated(group.rate.as_ref(), now);
            let (running, parked) = (cell(group.running), cell(group.parked));
            listing.row([cell(""), cell(&group.group), running, cell(most), rate, left, next, parked]);
        }
    }
    listing
}

fn rated(rate: Option<&Rate>, now: DateTime<Utc>) -> [Cell; 3] {
    let Some(rate) = rate else { return ["-"; 3].map(cell) };
    let next = rate.next.map_or_else(|| "now".to_owned(), |next| from_now(next, now));
    [
        cell(format_args!("{} in {}", rate.count, spaced(rate.per_ms))),
        cell(rate.left).tone_if(rate.left == 0, Tone::Warn),
        cell(next).tone_if(rate.next.is_some(), Tone::Warn),
    ]
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use perch_publishing::limits::GroupProcessing;

    use super::*;

    #[test]
    fn each_level_fits_a_terminal_and_says_what_is_left_and_when_it_goes_on() {
        let now = Utc::now();
        let api = [ApiWindow {
            service: "x".into(),
            caller: "main".into(),
            endpoint: "posts_create".into(),
            limit: 100,
            remaining: 0,
            resets_at: now + TimeDelta::minutes(12),
        }];
        let posting = [AccountPosting {
            account: AccountId::from_static("main"),
            posts: 12,
            replies: 7,
            retweets: 1,
            per_day: 20,
            replies_per_day: 8,
            retweets_per_day: 0,
            last_three_hours: 9,
            per_three_hours: 300,
            min_interval_ms: 90_000,
            day_ends: now + TimeDelta::hours(5),
            quiet_hours: Some("23:00 to 07:00 Europe/Berlin".into()),
            quiet: false,
            next_allowed: Some(now + TimeDelta::hours(5)),
        }];
        let rate = Rate { count: 90, per_ms: 900_000, left: 0, next: Some(now + TimeDelta::seconds(9)) };
        let group = GroupProcessing { group: "account:main".into(), running: 1, parked: 2, rate: Some(rate) };
        let processing = [QueueProcessing {
            queue: "pending_posts".into(),
            running: 1,
            ready: 4,
            concurrency: 2,
            global_concurrency: 0,
            group_concurrency: 1,
            rate: None,
            groups: vec![group],
        }];
        let text = [windows(&api, now), accounts(&posting, now), pools(&processing, now)]
            .map(|listing| listing.render(80, false))
            .join("\n");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for part in ["posts_create", "0/100", "20/20", "7/8", "1m 30s", "in 5h", "account:main", "90 in 15m", "2 each"]
        {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
    }
}
