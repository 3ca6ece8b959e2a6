use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use perch_jobs::JobTypes;
use perch_queue::{DeadLetter, JobRequest, Queue};
use serde_json::{Value, json};

use super::{filter::DeadLetterFilter, pages::DeadLetterPages, show::as_json};
use crate::{
    app::{App, chosen, known_kind, now},
    error::CommandError,
    format::text::{count, escaped_json},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub filter: DeadLetterFilter,
    /// Write to this file instead of standard output; it must not be there yet
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (_, all) = app.queues()?;
    let queues = chosen(&all, &args.filter.of.queue)?;
    let failed = |source: io::Error| match &args.output {
        Some(path) => CommandError::File { path: path.clone(), source },
        None => CommandError::Output(source),
    };
    let mut to: BufWriter<Box<dyn Write>> = BufWriter::new(match &args.output {
        Some(path) => Box::new(File::create_new(path).map_err(failed)?),
        None => Box::new(app.out.verbatim()),
    });
    let began = now(all.redis()).await?;
    let mut written = 0u64;
    for queue in &queues {
        let mut pages = DeadLetterPages::new(queue, &args.filter, began);
        while let Some(page) = pages.next().await? {
            for letter in &page {
                let line = line(queue, letter, all.types()).map_err(|error| CommandError::Output(error.into()))?;
                writeln!(to, "{}", escaped_json(line)).map_err(failed)?;
            }
            written += page.len() as u64;
        }
    }
    to.flush().map_err(failed)?;
    known_kind(&all, args.filter.of.kind.as_ref(), written)?;
    if let Some(path) = &args.output {
        app.out.note(format_args!("{} written to {}", count(written, "dead letter"), path.display()));
    }
    Ok(())
}

/// A letter as a line for `perch enqueue`, or for the HTTP API unless it has fields that only Perch may set: the job as it was
/// enqueued, and the letter under `died`. A letter whose job cannot run has only `died`.
fn line(queue: &Queue, letter: &DeadLetter, types: &JobTypes) -> Result<String, serde_json::Error> {
    let mut died = as_json(queue, letter);
    let envelope = letter.decoded().filter(|_| !letter.needs_repair());
    let Some(envelope) = envelope else { return Ok(json!({ "died": died }).to_string()) };
    // The job in the line has the payload already.
    let without_payload = |part: &mut Value| part.as_object_mut().and_then(|fields| fields.remove("payload"));
    without_payload(&mut died);
    died.get_mut("envelope").and_then(without_payload);
    // Inserted as text, so that the payload keeps its numbers and field order. Control characters occur only between its tokens, and
    // would end the line.
    let mut line = serde_json::to_string(&JobRequest::again(&envelope, types.get(envelope.kind.as_str())))?;
    line.truncate(line.len() - 1);
    line.retain(|c| c >= ' ');
    Ok(format!("{line},\"died\":{died}}}"))
}
