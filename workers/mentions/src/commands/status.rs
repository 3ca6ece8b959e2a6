use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use perch_bot::{
    Platform,
    cli::{
        CommandError, Invocation, Output,
        format::{
            line::{Line, Tone},
            text::{count, one_line},
            time::{from_now, from_now_or_dash, took},
        },
    },
};
use perch_store::RateWindows;

use super::{OfAccount, control, one, own};
use crate::{MentionStatus, mention_status};

pub async fn run(at: &Invocation<'_>, args: &OfAccount) -> Result<(), CommandError> {
    let Platform { settings, store, client, .. } = at.platform()?;
    let accounts = match &args.account {
        None => own(settings)?.accounts.clone(),
        some => vec![one(settings, some.as_ref())?],
    };
    let control = control(at.platform()?);
    let windows = RateWindows::new(client.queues().redis().clone(), settings.env);
    let mut all = Vec::new();
    for account in &accounts {
        all.push(mention_status(&*own(settings)?, store, &control, &windows, account).await?);
    }
    if at.out.is_json() {
        return at.out.json(&all);
    }
    if all.is_empty() {
        return at.out.line("no account answers mentions; name some in mentions.accounts");
    }
    let now = Utc::now();
    all.iter().try_for_each(|status| text(&at.out, status, now))
}

fn text(out: &Output, status: &MentionStatus, now: DateTime<Utc>) -> Result<(), CommandError> {
    let switch = |runs: bool, off| if runs { Tone::Good.line("running") } else { Tone::Warn.line(off) };
    let fact = |name: &str, value: Line| out.styled(&Line::new(format_args!("  {name:<10} ")).join(value));
    out.line(&status.account)?;
    let interval = humantime::format_duration(Duration::from_millis(status.interval_ms));
    fact("reading", switch(status.polling, "stopped").then(format_args!(", every {interval}")))?;
    fact("replying", switch(status.replying, "paused"))?;
    if let (Some(by), Some(at)) = (&status.changed_by, status.changed_at) {
        fact("changed", Line::new(format_args!("{} by {by}", from_now(at, now))))?;
    }
    let poll = &status.poll;
    let (last, next) = (from_now_or_dash(poll.last, now), from_now_or_dash(poll.next, now));
    let (read, polls) = (count(poll.read, "mention"), count(poll.polls, "poll"));
    fact("last poll", Line::new(format_args!("{last}, next {next}; {read} in {polls}")))?;
    fact("last seen", Line::new(poll.last_seen_id.as_deref().unwrap_or("-")))?;
    if let (Some(error), Some(at)) = (&poll.last_error, poll.failed_at) {
        fact("failed", Line::new(format_args!("{}: {error}", from_now(at, now))))?;
    }
    let day = &status.last_day;
    fact("last day", Line::new(numbers(&day.states)))?;
    for (name, map) in [("left out", &day.left_out), ("errors", &day.errors), ("polls", &poll.errors)] {
        if !map.is_empty() {
            fact(name, Line::new(numbers(map)))?;
        }
    }
    if let (Some(half), Some(most)) = (day.latency_p50_ms, day.latency_p95_ms) {
        fact("latency", Line::new(format_args!("{} half of them, {} at most 19 of 20", took(half), took(most))))?;
    }
    if day.open_reviews > 0 {
        let waiting = Tone::Warn.line(count(day.open_reviews, "reply"));
        fact("review", waiting.then(" for a person; `perch review list`"))?;
    }
    for limit in &status.rate_limits {
        let reset = from_now(limit.reset, now);
        let left = format_args!("{} of {} left for {}, reset {reset}", limit.remaining, limit.limit, limit.of);
        fact("limit", Line::new(left))?;
    }
    Ok(())
}

fn numbers(map: &BTreeMap<String, u64>) -> String {
    if map.is_empty() {
        return "none".to_owned();
    }
    map.iter().map(|(name, n)| format!("{n} {}", one_line(name).replace('_', " "))).collect::<Vec<_>>().join(", ")
}
