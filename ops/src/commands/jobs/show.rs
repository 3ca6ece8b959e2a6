use chrono::{DateTime, Utc};
use perch_base::Settings;
use perch_jobs::JobId;
use perch_queue::{Envelope, JobView};
use perch_store::{AttemptRecord, EventRecord, JobRecord, Store, StoreError, StoredEffect};
use serde::Serialize;
use serde_json::Value;

use super::{
    find,
    trail::{Attempt, attempts},
};
use crate::{
    app::{App, store},
    error::{OpsError, chain},
    format::{
        table::{Listing, Tone, cell, cut, number, whole},
        text::printable,
        time::{exact, from_now_or_dash, took},
    },
    output::Output,
    parse::job_id,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The job
    #[arg(value_parser = job_id)]
    pub id: JobId,
}

/// Everything that is known of a job.
#[derive(Debug, Serialize)]
struct Known {
    id: JobId,
    queue: Option<String>,
    kind: Option<String>,
    state: String,
    created_at: DateTime<Utc>,
    attempts: Vec<Attempt>,
    /// As Redis has it; null when it is finished.
    redis: Option<JobView>,
    /// As the history has it; null when nothing was synced yet or Postgres is away.
    postgres: Option<JobRecord>,
    /// Why Postgres could not be asked.
    postgres_error: Option<String>,
    /// What is wrong with the row that Postgres has.
    unreadable: Option<String>,
    envelope: Option<Value>,
    events: Vec<EventRecord>,
    children: Vec<JobRecord>,
    effects: Vec<StoredEffect>,
}

#[derive(Default)]
struct Recorded {
    job: Option<JobRecord>,
    /// Why there is no job although Postgres has a row of it.
    unreadable: Option<String>,
    attempts: Vec<AttemptRecord>,
    events: Vec<EventRecord>,
    children: Vec<JobRecord>,
    effects: Vec<StoredEffect>,
}

pub async fn run(app: &App, args: &Args) -> Result<(), OpsError> {
    let (settings, queues) = app.queues()?;
    let id = args.id;
    let (found, recorded) = tokio::join!(find(&queues, id), history(&settings, id));
    let (recorded, postgres_error) = match recorded {
        Ok(recorded) => (recorded, None),
        Err(error) => (Recorded::default(), Some(chain(&error))),
    };
    let view = match found {
        Ok(found) => found.map(|(_, view)| view),
        Err(error) if recorded.job.is_some() || recorded.unreadable.is_some() => {
            app.out.note(format_args!("warning: {}; this is what Postgres knows", chain(&error)));
            None
        }
        Err(error) => return Err(error.into()),
    };
    if view.is_none() && recorded.job.is_none() && recorded.unreadable.is_none() {
        return Err(OpsError::Refused(unknown(id, postgres_error.as_deref())));
    }
    let known = known(id, view, recorded, postgres_error);
    if app.out.is_json() { app.out.json(&known) } else { text(&app.out, &known) }
}

fn unknown(id: JobId, postgres_error: Option<&str>) -> String {
    match postgres_error {
        Some(error) => {
            format!("Redis does not know job {id}, and finished jobs are in Postgres, which is away: {error}")
        }
        None => format!("no job has the id {id}: neither Redis nor Postgres knows it"),
    }
}

async fn history(settings: &Settings, id: JobId) -> Result<Recorded, OpsError> {
    let store = store(settings)?;
    Ok(recorded(&store, id).await?)
}

async fn recorded(store: &Store, id: JobId) -> Result<Recorded, StoreError> {
    let history = store.history();
    // One after the other: when Postgres is away, the first says so.
    let (job, unreadable) = match history.job(id).await {
        Ok(job) => (job, None),
        Err(error @ StoreError::Unreadable { .. }) => (None, Some(chain(&error))),
        Err(error) => return Err(error),
    };
    let (attempts, events, children, effects) =
        tokio::try_join!(history.attempts(id), history.events(id), history.children(id), history.effects_of(id))?;
    Ok(Recorded { job, unreadable, attempts, events, children, effects })
}

fn known(id: JobId, view: Option<JobView>, recorded: Recorded, postgres_error: Option<String>) -> Known {
    let Recorded { job, unreadable, attempts: history, events, children, effects } = recorded;
    let envelope = match (&view, &job) {
        (Some(view), _) => {
            Some(serde_json::from_str(&view.envelope).unwrap_or_else(|_| Value::String(view.envelope.clone())))
        }
        (None, Some(job)) => job.envelope.clone().map(|mut envelope| {
            if let (Some(fields), Some(payload)) = (envelope.as_object_mut(), &job.payload) {
                fields.insert("payload".into(), payload.clone());
            }
            envelope
        }),
        (None, None) => None,
    };
    let state = match (&view, &job) {
        (Some(view), _) => view.state.as_str().to_owned(),
        (None, Some(job)) if job.state.is_final() => job.state.as_str().to_owned(),
        (None, None) if unreadable.is_some() => "not known".to_owned(),
        _ => "finished".to_owned(),
    };
    Known {
        id,
        queue: view.as_ref().map(|v| v.queue.to_string()).or_else(|| job.as_ref().map(|j| j.queue.to_string())),
        kind: envelope
            .as_ref()
            .and_then(|e| e["kind"].as_str().map(str::to_owned))
            .or_else(|| job.as_ref().and_then(|j| j.kind.clone())),
        state,
        created_at: id.created_at(),
        attempts: attempts(&history, view.as_ref()),
        redis: view,
        postgres: job,
        postgres_error,
        unreadable,
        envelope,
        events,
        children,
        effects,
    }
}

fn text(out: &Output, known: &Known) -> Result<(), OpsError> {
    let now = Utc::now();
    let kind = known.kind.as_deref().unwrap_or("of an unreadable kind");
    out.line(format_args!("{}  {kind}  in {}", known.id, known.queue.as_deref().unwrap_or("no known queue")))?;
    for (name, value) in facts(known, now) {
        out.line(format_args!("{name:<10} {}", printable(&value)))?;
    }
    if let Some(error) = &known.postgres_error {
        out.line(out.paint(
            Tone::Warn,
            "\nPostgres is away; this is what Redis knows. Finished attempts, children and effects are missing.",
        ))?;
        out.line(format_args!("  {}", printable(error)))?;
    }
    if let Some(reason) = &known.unreadable {
        out.line(
            out.paint(
                Tone::Warn,
                "\nThe row that Postgres has of this job cannot be read; this is what else is known.",
            ),
        )?;
        out.line(format_args!("  {}", printable(reason)))?;
    }
    if let Some(payload) = known.envelope.as_ref().map(|envelope| envelope.get("payload").unwrap_or(envelope)) {
        out.line(format_args!("\npayload\n{}", indented(&pretty(payload))))?;
    }
    if !known.attempts.is_empty() {
        out.line("\nattempts")?;
        for attempt in &known.attempts {
            one_attempt(out, attempt, now)?;
        }
    }
    if let Some(result) = known.postgres.as_ref().and_then(|job| job.result.as_ref()).filter(|r| !r.is_null()) {
        out.line(format_args!("\nresult\n{}", indented(&pretty(result))))?;
    }
    operators(out, known, now)?;
    children(out, known, now)?;
    effects(out, known)
}

fn facts(known: &Known, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let view = known.redis.as_ref();
    let job = known.postgres.as_ref();
    let envelope = view.and_then(JobView::decoded);
    let mut facts = vec![("state", state(known, now)), ("enqueued", exact(known.created_at, now))];
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
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
        add("priority", (job.priority != "normal").then(|| job.priority.clone()));
        let max = job.max_attempts.map_or_else(|| "?".to_owned(), |n| n.to_string());
        add("attempts", Some(format!("{} of {max}", job.attempts)));
        add("replays", (job.replays > 0).then(|| job.replays.to_string()));
        add("group", job.group.clone());
        add("parent", job.parent.map(|id| id.to_string()));
        add("trace", job.traceparent.clone());
    }
    facts
}

fn state(known: &Known, now: DateTime<Utc>) -> String {
    let mut said = known.state.clone();
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
    } else if let Some(job) = &known.postgres {
        match job.finished_at {
            Some(at) if job.state.is_final() => said = format!("{said} {}", exact(at, now)),
            _ => said.push_str("; what came of it is not in Postgres yet (sync_to_store brings it there)"),
        }
    }
    said
}

fn one_attempt(out: &Output, attempt: &Attempt, now: DateTime<Utc>) -> Result<(), OpsError> {
    let tone = match attempt.outcome.as_str() {
        "succeeded" => Tone::Good,
        "dead" | "lost" | "failed" => Tone::Bad,
        "running" => Tone::Plain,
        _ => Tone::Warn,
    };
    let mut line = format!("  #{:<3}{}", attempt.attempt, out.paint(tone, &format!("{:<10}", attempt.outcome)));
    if let Some(ms) = attempt.duration_ms {
        line = format!("{line} {:>7}", took(ms));
    }
    if let Some(at) = attempt.finished_at.or(attempt.started_at) {
        line = format!("{line}  {}", exact(at, now));
    }
    out.line(line)?;
    if let Some(error) = &attempt.error {
        out.line(indented(&indented(&indented(&printable(error)))))?;
    }
    let worker = attempt.worker.as_ref().map(|worker| format!("worker {worker}"));
    let trace = attempt.trace.as_ref().map(|trace| format!("trace {trace}"));
    for detail in [worker, trace].into_iter().flatten() {
        out.line(out.paint(Tone::Faint, &format!("      {}", printable(&detail))))?;
    }
    Ok(())
}

/// What people did to the job, which is not an attempt.
fn operators(out: &Output, known: &Known, now: DateTime<Utc>) -> Result<(), OpsError> {
    let mut is_first = true;
    for event in known.events.iter().filter(|event| event.actor.is_some() || event.kind == "replayed") {
        if std::mem::take(&mut is_first) {
            out.line("\noperators")?;
        }
        let by = event.actor.as_deref().map(|actor| format!(" by {actor}")).unwrap_or_default();
        out.line(format_args!("  {:<10}{}{}", event.kind, exact(event.at, now), printable(&by)))?;
    }
    Ok(())
}

fn children(out: &Output, known: &Known, now: DateTime<Utc>) -> Result<(), OpsError> {
    if known.children.is_empty() {
        return Ok(());
    }
    out.line("\nwhat followed")?;
    let mut listing = Listing::new([whole("ID"), cut("KIND"), whole("STATE"), number("TRY"), whole("CHANGED")]);
    for child in &known.children {
        listing.row([
            cell(child.id),
            cell(child.kind.as_deref().unwrap_or("?")),
            cell(child.state.as_str()),
            cell(child.attempts),
            cell(from_now_or_dash(Some(child.changed_at), now)),
        ]);
    }
    out.table(&listing)
}

fn effects(out: &Output, known: &Known) -> Result<(), OpsError> {
    if known.effects.is_empty() {
        return Ok(());
    }
    out.line("\neffects outside")?;
    let mut listing = Listing::new([cut("KEY"), whole("KIND"), whole("STATE"), cut("EXTERNAL ID")]);
    for effect in &known.effects {
        let state = serde_json::to_value(effect.state).unwrap_or_default();
        listing.row([
            cell(&effect.key),
            cell(&effect.kind),
            cell(state.as_str().unwrap_or("?")),
            cell(effect.external_id.as_deref().unwrap_or("-")),
        ]);
    }
    out.table(&listing)
}

fn pretty(value: &Value) -> String {
    printable(&serde_json::to_string_pretty(value).unwrap_or_default())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
