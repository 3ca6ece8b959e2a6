//! Prints a job as text.

use chrono::{DateTime, Utc};
use perch_core::job_list::JobSummary;
use perch_jobs::JobState;
use perch_queue::{Envelope, JobView};
use perch_store::{AttemptOutcome, AttemptRecord};
use serde_json::Value;

use super::details::JobDetails;
use crate::{
    error::CommandError,
    format::{
        line::{Line, Tone},
        table::{Listing, cell, cut, key, number, whole},
        time::{exact, from_now, from_now_or_dash, took},
    },
    output::Output,
};

/// Indentation of error texts.
const INDENT: usize = 6;

pub fn show(out: &Output, known: &JobDetails, now: DateTime<Utc>) -> Result<(), CommandError> {
    out.line(format_args!("{}  {}  in {}", known.job.id(), known.job.kind(), known.job.queue()))?;
    for (name, value) in facts(known, now) {
        out.fact(name, value)?;
    }
    if let Some(error) = &known.postgres_error {
        out.blank()?;
        out.styled(
            &Tone::Warn.line(
                "Postgres is away; this is what Redis knows. Finished attempts, children and effects are missing.",
            ),
        )?;
        out.text(2, error)?;
    }
    if let Some(reason) = &known.unreadable {
        out.blank()?;
        out.styled(
            &Tone::Warn.line("The row that Postgres has of this job cannot be read; this is what else is known."),
        )?;
        out.text(2, reason)?;
    }
    if let Some(payload) = known.envelope.as_ref().map(|envelope| envelope.get("payload").unwrap_or(envelope)) {
        section(out, "payload")?;
        out.text(2, &pretty(payload))?;
    }
    if !known.attempt_history.is_empty() {
        section(out, "attempts")?;
        known.attempt_history.iter().try_for_each(|attempt| one_attempt(out, attempt, now))?;
    }
    if let Some(result) = known.postgres.as_ref().and_then(|job| job.result.as_ref()).filter(|r| !r.is_null()) {
        section(out, "result")?;
        out.text(2, &pretty(result))?;
    }
    operators(out, known, now)?;
    children(out, &known.children, now)?;
    effects(out, known)
}

fn section(out: &Output, title: &str) -> Result<(), CommandError> {
    out.blank()?;
    out.line(title)
}

fn facts(known: &JobDetails, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let view = known.redis.as_ref();
    let job = known.postgres.as_ref();
    let envelope = view.and_then(JobView::salvaged);
    let mut facts = vec![("state", state(known, now)), ("enqueued", exact(known.job.id().created_at(), now))];
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    add("waits for", view.and_then(|view| unknown_kind(view, now)));
    if let Some(view) = view.filter(|view| view.decoded().is_none()) {
        let error = Envelope::decode(view.envelope.as_bytes()).err();
        add("damaged", error.map(|error| error.to_string()));
    }
    if let Some(Envelope { priority, max_attempts, replays, group, parent, unique, traceparent, deadline, .. }) =
        envelope
    {
        add("priority", (!priority.is_normal()).then(|| priority.as_str().to_owned()));
        add("attempts", Some(format!("{} of {max_attempts}", view.map_or(0, |v| v.attempts))));
        add("replays", (replays > 0).then(|| replays.to_string()));
        add("group", group);
        add("parent", parent.map(|id| id.to_string()));
        add("unique", unique.map(|u| u.key));
        add("deadline", deadline.map(|at| exact(at, now)));
        add("trace", traceparent);
    } else if let Some(job) = job {
        add("priority", (!job.priority.is_normal()).then(|| job.priority.as_str().to_owned()));
        let max = job.max_attempts.map_or_else(|| "?".to_owned(), |n| n.to_string());
        add("attempts", Some(format!("{} of {max}", job.attempts)));
        add("replays", (job.replays > 0).then(|| job.replays.to_string()));
        add("group", job.group.clone());
        add("parent", job.parent.map(|id| id.to_string()));
        add("trace", job.traceparent.clone());
    }
    facts
}

fn unknown_kind(view: &JobView, now: DateTime<Utc>) -> Option<String> {
    let since = view.unknown_kind_since?;
    Some(format!(
        "a worker that knows its kind: one without it tried it first {}; deploy a release that has it",
        from_now(since, now)
    ))
}

fn state(known: &JobDetails, now: DateTime<Utc>) -> String {
    let mut said = known.job.state().to_string();
    if let Some(view) = &known.redis {
        if let Some(due) = view.due {
            said = format!("{said}, runs {}", exact(due, now));
        }
        if let Some(worker) = &view.worker {
            said = format!("{said}, {worker} has it, lease ends {}", from_now_or_dash(view.lease_ends, now));
        }
        if view.cancelling {
            said.push_str(", was asked to stop");
        }
        return said;
    }
    let Some(job) = &known.postgres else { return said };
    if let Some(at) = job.finished_at.filter(|_| known.job.state() != JobState::Unknown) {
        return format!("{said} {}", exact(at, now));
    }
    let why = if known.is_whole {
        "Redis has lost it, and nothing tells how it ended; `perch recover` brings it back"
    } else {
        "what came of it is not known yet, since Postgres is far behind (sync_to_store brings it there)"
    };
    format!("not known: it was {} {}; {why}", job.state.as_str(), exact(job.changed_at, now))
}

fn one_attempt(out: &Output, attempt: &AttemptRecord, now: DateTime<Utc>) -> Result<(), CommandError> {
    let tone = match attempt.outcome {
        AttemptOutcome::Succeeded => Tone::Good,
        AttemptOutcome::Dead | AttemptOutcome::Lost | AttemptOutcome::Failed => Tone::Bad,
        AttemptOutcome::Running => Tone::Plain,
        _ => Tone::Warn,
    };
    let mut line = Line::new(format_args!("  #{:<3}", attempt.attempt))
        .toned(tone, format_args!("{:<10}", attempt.outcome.as_str()));
    if let Some(ms) = attempt.duration_ms {
        line = line.then(format_args!(" {:>7}", took(ms)));
    }
    if let Some(at) = attempt.finished_at.or(attempt.started_at) {
        line = line.then(format_args!("  {}", exact(at, now)));
    }
    out.styled(&line)?;
    if let Some(error) = &attempt.error {
        out.text(INDENT, error)?;
    }
    let worker = attempt.worker.as_ref().map(|worker| format!("worker {worker}"));
    let trace = attempt.trace.as_ref().map(|trace| format!("trace {trace}"));
    for detail in [worker, trace].into_iter().flatten() {
        out.styled(&Tone::Faint.line(format_args!("{:INDENT$}{detail}", "")))?;
    }
    Ok(())
}

/// What operators did to the job.
fn operators(out: &Output, known: &JobDetails, now: DateTime<Utc>) -> Result<(), CommandError> {
    let of_people: Vec<_> =
        known.events.iter().filter(|event| event.actor.is_some() || event.event == "replayed").collect();
    if !of_people.is_empty() {
        section(out, "operators")?;
    }
    for event in of_people {
        let by = event.actor.as_deref().map(|actor| format!(" by {actor}")).unwrap_or_default();
        out.line(format_args!("  {:<10}{}{by}", event.event, exact(event.at, now)))?;
    }
    Ok(())
}

fn children(out: &Output, children: &[JobSummary], now: DateTime<Utc>) -> Result<(), CommandError> {
    if children.is_empty() {
        return Ok(());
    }
    section(out, "what followed")?;
    let mut listing = Listing::new([whole("ID"), cut("KIND"), whole("STATE"), number("TRY"), whole("ENQUEUED")]);
    for job in children {
        listing.row([
            cell(job.id),
            cell(job.kind.as_deref().unwrap_or("?")),
            cell(job.state).tone_if(job.state == JobState::Unknown, Tone::Warn),
            cell(job.attempts),
            cell(from_now(job.created_at, now)),
        ]);
    }
    out.table(&listing)
}

fn effects(out: &Output, known: &JobDetails) -> Result<(), CommandError> {
    if known.effects.is_empty() {
        return Ok(());
    }
    section(out, "effects outside")?;
    let mut listing = Listing::new([key("KEY"), whole("KIND"), whole("STATE"), key("EXTERNAL ID")]);
    for effect in &known.effects {
        listing.row([
            cell(&effect.key),
            cell(&effect.kind),
            cell(effect.state.as_str()),
            cell(effect.external_id.as_deref().unwrap_or("-")),
        ]);
    }
    out.table(&listing)
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
