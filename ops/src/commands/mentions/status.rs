use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use perch_workers::generation::{MentionStatus, mention_status};

use super::{OfAccount, control, one, windows};
use crate::{
    app::{App, store},
    error::OpsError,
    format::{
        table::Tone,
        text::{count, one_line},
        time::{from_now, from_now_or_dash, took},
    },
    output::Output,
};

pub async fn run(app: &App, args: &OfAccount) -> Result<(), OpsError> {
    let settings = app.settings()?;
    let accounts = match &args.account {
        None => settings.mentions.accounts.clone(),
        some => vec![one(&settings, some.as_ref())?],
    };
    let (store, control, windows) = (store(&settings)?, control(&settings)?, windows(&settings)?);
    let mut all = Vec::new();
    for account in &accounts {
        all.push(mention_status(&settings, &store, &control, &windows, account).await?);
    }
    if app.out.is_json() {
        return app.out.json(&all);
    }
    if all.is_empty() {
        return app.out.line("no account answers mentions; name some in mentions.accounts");
    }
    let now = Utc::now();
    all.iter().try_for_each(|status| text(&app.out, status, now))
}

fn text(out: &Output, status: &MentionStatus, now: DateTime<Utc>) -> Result<(), OpsError> {
    let switch = |runs: bool, off: &str| {
        if runs { out.paint(Tone::Good, "running") } else { out.paint(Tone::Warn, off) }
    };
    out.line(format_args!("{}", status.account))?;
    let interval = humantime::format_duration(Duration::from_millis(status.interval_ms));
    out.line(format_args!("  reading    {}, every {interval}", switch(status.polling, "stopped")))?;
    out.line(format_args!("  replying   {}", switch(status.replying, "paused")))?;
    if let (Some(by), Some(at)) = (&status.changed_by, status.changed_at) {
        out.line(format_args!("  changed    {} by {}", from_now(at, now), one_line(by)))?;
    }
    let poll = &status.poll;
    let (last, next) = (from_now_or_dash(poll.last, now), from_now_or_dash(poll.next, now));
    out.line(format_args!(
        "  last poll  {last}, next {next}; {} in {}",
        count(poll.read, "mention"),
        count(poll.polls, "poll")
    ))?;
    out.line(format_args!("  last seen  {}", poll.last_seen_id.as_deref().unwrap_or("-")))?;
    if let (Some(error), Some(at)) = (&poll.last_error, poll.failed_at) {
        out.line(format_args!("  failed     {}: {}", from_now(at, now), one_line(error)))?;
    }
    let day = &status.last_day;
    out.line(format_args!("  last day   {}", numbers(&day.states)))?;
    for (name, map) in [("left out", &day.left_out), ("errors", &day.errors), ("polls", &poll.errors)] {
        if !map.is_empty() {
            out.line(format_args!("  {name:<10} {}", numbers(map)))?;
        }
    }
    if let (Some(half), Some(most)) = (day.latency_p50_ms, day.latency_p95_ms) {
        out.line(format_args!("  latency    {} half of them, {} at most 19 of 20", took(half), took(most)))?;
    }
    if day.open_reviews > 0 {
        let waiting = out.paint(Tone::Warn, &count(day.open_reviews, "reply").replace("replys", "replies"));
        out.line(format_args!("  review     {waiting} for a person; `perch review list`"))?;
    }
    for limit in &status.rate_limits {
        let reset = from_now(limit.reset, now);
        out.line(format_args!(
            "  limit      {} of {} left for {}, reset {reset}",
            limit.remaining, limit.limit, limit.of
        ))?;
    }
    Ok(())
}

fn numbers(map: &BTreeMap<String, u64>) -> String {
    if map.is_empty() {
        return "none".to_owned();
    }
    map.iter().map(|(name, n)| format!("{n} {}", one_line(name).replace('_', " "))).collect::<Vec<_>>().join(", ")
}
