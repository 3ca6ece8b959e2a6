use chrono::{DateTime, Utc};
use perch_base::Settings;
use perch_queue::JobView;
use perch_store::{EffectEvent, EffectState, JobRecord, Store, StoreError, StoredEffect};
use serde::Serialize;
use serde_json::Value;

use super::{not_there, tone};
use crate::{
    app::{App, queues},
    error::{CommandError, chain},
    format::{line::Line, text::one_line, time::exact},
    output::Output,
};

/// Most events shown.
const EVENTS: u32 = 200;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The key of the effect
    pub key: String,
}

/// Everything known about an effect.
#[derive(Debug, Serialize)]
struct EffectDetails {
    effect: StoredEffect,
    /// What happened to it, oldest first.
    history: Vec<EffectEvent>,
    job: EffectJob,
}

/// The job that was last permitted to act.
#[derive(Debug, Serialize)]
struct EffectJob {
    /// The job in Redis; null when it is finished, or Redis is away.
    redis: Option<JobView>,
    /// The job in the history; null when nothing was synced yet.
    postgres: Option<JobRecord>,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, store) = app.store()?;
    let effect = store.effects().get(&args.key).await?.ok_or_else(|| not_there(&args.key))?;
    let history = store.effects().history(&args.key, EVENTS).await?;
    let job = job(app, &settings, &store, &effect).await?;
    let known = EffectDetails { effect, history, job };
    if app.out.is_json() {
        return app.out.json(&known);
    }
    // Times of effects follow the clock of Postgres.
    text(&app.out, &known, store.server().await?.clock)
}

async fn job(app: &App, settings: &Settings, store: &Store, effect: &StoredEffect) -> Result<EffectJob, CommandError> {
    let postgres = match store.history().job(effect.job_id).await {
        Err(error @ StoreError::Unreadable { .. }) => {
            app.out.note(format_args!("warning: {}; the job is shown without it", chain(&error)));
            None
        }
        job => job?,
    };
    let mut redis = None;
    for queue in queues(settings)?.iter() {
        match queue.job(effect.job_id).await {
            Ok(Some(view)) => redis = Some(view),
            Ok(None) => {}
            Err(error) => {
                app.out.note(format_args!("warning: {}; the job is shown as Postgres knows it", chain(&error)));
                break;
            }
        }
    }
    Ok(EffectJob { redis, postgres })
}

fn text(out: &Output, known: &EffectDetails, now: DateTime<Utc>) -> Result<(), CommandError> {
    let EffectDetails { effect, history, job } = known;
    out.line(format_args!("{}  {} as {}", effect.key, effect.kind, effect.account))?;
    out.fact("state", tone(effect.state).line(effect.state.as_str()))?;
    out.fact("claimed", exact(effect.created_at, now))?;
    let (given, attempt) = (exact(effect.intended_at, now), effect.attempt);
    out.fact("permit", format!("{}, given {given} to attempt {attempt} of {}", effect.fence, effect.holder))?;
    if let Some(at) = effect.settled_at {
        out.fact("settled", exact(at, now))?;
    }
    let external = effect.external_id.as_deref().map(|id| ("id", id.to_owned()));
    let answer = effect.response.as_ref().map(|response| ("answer", response.to_string()));
    let error = effect.error.as_ref().map(|error| ("error", error.clone()));
    for (name, value) in [external, answer, error].into_iter().flatten() {
        out.fact(name, value)?;
    }
    out.fact("job", Line::new(effect.job_id).then("  ").then(state_of(job)))?;
    if !history.is_empty() {
        out.blank()?;
        out.line("history")?;
        for event in history {
            one_event(out, event, now)?;
        }
    }
    advice(out, effect, job)
}

fn state_of(job: &EffectJob) -> String {
    let state = match (&job.redis, &job.postgres) {
        (Some(view), _) => view.state.as_str(),
        (None, Some(record)) => record.state.as_str(),
        (None, None) => return "of which nothing is known".to_owned(),
    };
    let kind = job.postgres.as_ref().and_then(|record| record.kind.as_deref()).unwrap_or("job");
    format!("{kind} {state}")
}

fn one_event(out: &Output, event: &EffectEvent, now: DateTime<Utc>) -> Result<(), CommandError> {
    let by = match (&event.actor, &event.holder, event.attempt) {
        (Some(actor), _, _) => format!("by {actor}"),
        (None, Some(holder), Some(attempt)) => format!("by attempt {attempt} of {holder}"),
        _ => String::new(),
    };
    out.line(format_args!("  {:<10} {}  {by}", event.event.as_str(), exact(event.at, now)))?;
    let details = said(&event.details);
    if details.is_empty() { Ok(()) } else { out.hanging(&Line::new(format_args!("{:13}", "")), 13, details) }
}

/// The details of an event as names and values, without empty ones.
fn said(details: &Value) -> String {
    let fields = details.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let words: Vec<String> = fields
        .map(|(name, value)| match value.as_str() {
            Some(text) => format!("{name}: {text}"),
            None => format!("{name}: {value}"),
        })
        .collect();
    words.join("; ")
}

/// What a person can do about it.
fn advice(out: &Output, effect: &StoredEffect, job: &EffectJob) -> Result<(), CommandError> {
    let is_open = matches!(effect.state, EffectState::Intended | EffectState::Unknown);
    let runs_again = job.redis.as_ref().is_some_and(|view| view.state != perch_queue::JobState::Dead);
    match (is_open, runs_again) {
        (false, _) => Ok(()),
        (true, true) => {
            out.blank()?;
            out.line("its job runs again and asks first; there is nothing to do")
        }
        (true, false) => {
            let key = quoted(&effect.key);
            out.blank()?;
            out.line("look outside whether it happened, then settle it:")?;
            out.line(format_args!("  perch effects resolve {key} --confirmed --id ID --reason TEXT"))?;
            out.line(format_args!("  perch effects resolve {key} --not-done --reason TEXT"))
        }
    }
}

/// A key quoted for a shell.
fn quoted(key: &str) -> String {
    let is_plain = key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/".contains(c));
    if is_plain { key.to_owned() } else { format!("'{}'", one_line(key).replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_details_of_an_event_read_as_names_and_values() {
        let details = json!({ "answer": "not_found", "looked_at": 3, "external_id": null });
        assert_eq!(said(&details), "answer: not_found; looked_at: 3");
        assert_eq!(said(&json!({})), "");
    }

    #[test]
    fn a_key_is_quoted_where_a_shell_would_take_it_apart() {
        assert_eq!(quoted("retweet:main:1849"), "retweet:main:1849");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
    }
}
