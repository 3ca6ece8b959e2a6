use chrono::{DateTime, Utc};
use perch_core::dead_list::DeadSummary;
use perch_jobs::JobId;
use perch_queue::{DeadLetter, Envelope, Queue};
use serde_json::{Value, json};

use crate::{
    app::{App, now},
    error::CommandError,
    format::{text::count, time::exact},
    output::Output,
    parse::job_id,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The job
    #[arg(value_parser = job_id)]
    pub id: JobId,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (_, queues) = app.queues()?;
    for queue in queues.iter() {
        let Some(letter) = queue.dead_letter(args.id).await? else { continue };
        if app.out.is_json() {
            return app.out.json(&as_json(queue, &letter));
        }
        return text(&app.out, queue, &letter, now(queues.redis()).await?);
    }
    Err(CommandError::Refused(format!("job {0} is not in the dead letters; see `perch jobs show {0}`", args.id)))
}

fn text(out: &Output, queue: &Queue, letter: &DeadLetter, now: DateTime<Utc>) -> Result<(), CommandError> {
    let envelope = letter.salvaged();
    let kind = envelope.as_ref().map_or("of an unreadable kind", |envelope| envelope.kind.as_str());
    out.line(format_args!("{}  {kind}  in {}", letter.id, queue.name()))?;
    out.fact("died", format!("{}, after {}", exact(letter.died_at, now), count(letter.attempts, "attempt")))?;
    out.fact("enqueued", exact(letter.id.created_at(), now))?;
    for error in &letter.errors {
        let attempt = error.attempt.map_or_else(String::new, |n| format!("#{n} "));
        out.fact("error", format!("{attempt}{}", error.error.as_deref().unwrap_or("unknown")))?;
    }
    if let Some(Envelope { group, unique, deadline, replays, .. }) = &envelope {
        let of = [
            ("group", group.clone()),
            ("unique", unique.as_ref().map(|unique| unique.key.clone())),
            ("deadline", deadline.map(|at| exact(at, now))),
            ("replays", (*replays > 0).then(|| replays.to_string())),
        ];
        for (name, value) in of.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            out.fact(name, value)?;
        }
    }
    out.blank()?;
    if let Some(envelope) = &envelope {
        out.line("payload")?;
        out.text(2, &pretty(envelope.payload.get()))?;
    } else {
        out.line("envelope, which cannot be read")?;
        out.text(2, letter.envelope.as_deref().unwrap_or("none"))?;
    }
    out.blank()?;
    out.line(what_to_do(letter, envelope.is_some()))
}

fn what_to_do(letter: &DeadLetter, is_readable: bool) -> String {
    let id = letter.id;
    match (letter.needs_repair(), is_readable) {
        (false, _) => format!("bring it back with `perch dead replay --id {id}`"),
        (true, true) => {
            format!(
                "repair its payload with `perch dead replay --id {id} --editor`, or --edit; '--edit .' takes it as it is"
            )
        }
        (true, false) => format!("it cannot be repaired; remove it with `perch dead discard --id {id}`"),
    }
}

/// Everything about a dead letter as JSON: its envelope parsed where that is possible.
pub fn as_json(queue: &Queue, letter: &DeadLetter) -> Value {
    let envelope: Option<Value> =
        letter.envelope.as_ref().map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text)));
    let mut told = json!(DeadSummary::of(queue.name(), letter));
    told["errors"] = json!(letter)["errors"].take();
    told["envelope"] = json!(envelope);
    told
}

fn pretty(json: &str) -> String {
    let value: Option<Value> = serde_json::from_str(json).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| json.to_owned())
}
