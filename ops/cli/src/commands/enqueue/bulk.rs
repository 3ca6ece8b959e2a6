//! Enqueues many jobs, line by line.

use std::io::BufRead;

use chrono::Utc;
use perch_base::Settings;
use perch_queue::{Acceptance, Client, EnqueueError, NewJob};
use serde::Serialize;

use super::{
    Args,
    record::{BadLine, Common, read},
};
use crate::{
    app::{App, now},
    error::{CommandError, chain},
    format::text::{count, one_line},
    parse::lines::{Line, Lines},
};

/// Jobs in one step.
const STEP: usize = 1_000;
/// Most refused lines named in the JSON output.
const NAMED: usize = 1_000;
/// Bytes of a line beyond its payload.
const AROUND: usize = 64 * 1024;

/// The results of the lines.
#[derive(Debug, Default, Serialize)]
struct Summary {
    lines: u64,
    accepted: u64,
    duplicate: u64,
    kept: u64,
    replaced: u64,
    deferred: u64,
    refused: u64,
    /// From this line on, jobs may not have been enqueued; `--from-line` continues there.
    stopped_at: Option<u64>,
    errors: Vec<Refusal>,
}

#[derive(Debug, Serialize)]
struct Refusal {
    line: u64,
    /// The JSON path.
    path: Option<String>,
    error: String,
}

pub async fn run(
    app: &App,
    client: &Client,
    settings: &Settings,
    args: &Args,
    input: impl BufRead,
) -> Result<(), CommandError> {
    let queues = client.queues();
    // Delays follow the clock of Redis once it is known. While Redis is away, ledger queues still accept jobs.
    let _ = now(queues.redis()).await;
    let common = Common {
        kind: args.kind.as_ref(),
        options: args.options.resolve(Utc::now()),
        max_attempts: args.options.max_attempts,
        types: queues.types(),
        now: &|| queues.now(),
        most_ahead: settings.engine.max_schedule_ahead,
    };
    let bar = app.out.spinner("jobs");
    let mut summary = Summary::default();
    let mut step: Vec<(u64, NewJob)> = Vec::with_capacity(STEP);
    let longest = 2 * settings.engine.max_payload_bytes + AROUND;
    for line in Lines::new(input, longest) {
        let line = line.map_err(|source| CommandError::File {
            path: args.file.clone().unwrap_or_else(|| "standard input".into()),
            source,
        })?;
        if line.number < args.from_line {
            continue;
        }
        summary.lines += 1;
        match job_of(&line, longest, &common) {
            Ok(job) => step.push((line.number, job)),
            Err(BadLine { path, error }) => refuse(app, &bar, &mut summary, Refusal { line: line.number, path, error }),
        }
        if step.len() >= STEP {
            hand_over(app, client, &bar, &mut summary, std::mem::take(&mut step)).await;
            if summary.stopped_at.is_some() {
                break;
            }
        }
    }
    if summary.stopped_at.is_none() {
        hand_over(app, client, &bar, &mut summary, step).await;
    }
    bar.finish_and_clear();
    conclude(app, &summary)
}

fn job_of(line: &Line, longest: usize, common: &Common<'_>) -> Result<NewJob, BadLine> {
    let bytes = line.bytes.as_deref().ok_or_else(|| format!("the line is longer than {longest} bytes"))?;
    read(bytes, common)
}

async fn hand_over(
    app: &App,
    client: &Client,
    bar: &indicatif::ProgressBar,
    summary: &mut Summary,
    step: Vec<(u64, NewJob)>,
) {
    let (numbers, jobs): (Vec<u64>, Vec<NewJob>) = step.into_iter().unzip();
    for (line, answer) in numbers.into_iter().zip(client.submit_all(jobs).await) {
        match answer {
            Ok(enqueued) => {
                bar.inc(1);
                *match enqueued.acceptance {
                    Acceptance::Accepted => &mut summary.accepted,
                    Acceptance::Duplicate => &mut summary.duplicate,
                    Acceptance::Kept => &mut summary.kept,
                    Acceptance::Replaced => &mut summary.replaced,
                    Acceptance::Deferred => &mut summary.deferred,
                } += 1;
            }
            Err(EnqueueError::Queue(error)) if error.is_unavailable() => {
                if summary.stopped_at.is_none() {
                    summary.stopped_at = Some(line);
                    refuse(app, bar, summary, Refusal { line, path: None, error: chain(&error) });
                }
            }
            Err(error) => {
                let path = match &error {
                    EnqueueError::Payload(payload) => Some(payload.path.clone()),
                    _ => None,
                };
                refuse(app, bar, summary, Refusal { line, path, error: chain(&error) });
            }
        }
    }
}

fn refuse(app: &App, bar: &indicatif::ProgressBar, summary: &mut Summary, refusal: Refusal) {
    summary.refused += 1;
    if !app.out.is_json() {
        bar.suspend(|| app.out.note(format_args!("line {}: {}", refusal.line, one_line(&refusal.error))));
    }
    if summary.errors.len() < NAMED {
        summary.errors.push(refusal);
    }
}

fn conclude(app: &App, summary: &Summary) -> Result<(), CommandError> {
    if app.out.is_json() {
        app.out.json(summary)?;
    } else {
        app.out.line(said(summary))?;
    }
    if let Some(line) = summary.stopped_at
        && !app.out.is_json()
    {
        app.out.note(format_args!("stopped at line {line}; go on with --from-line {line} once Redis is back"));
    }
    if summary.refused > 0 { Err(CommandError::Reported) } else { Ok(()) }
}

fn said(summary: &Summary) -> String {
    let mut said = format!("{} accepted", count(summary.accepted + summary.replaced, "job"));
    for (n, word) in [
        (summary.replaced, "in place of another"),
        (summary.duplicate, "there already"),
        (summary.kept, "kept out by a unique key"),
        (summary.refused, "refused"),
    ] {
        if n > 0 {
            said = format!("{said}, {n} {word}");
        }
    }
    said
}
