use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use perch_queue::{DeadLetter, JobRequest, Queue};
use serde_json::json;

use super::{filter::Letters, list::as_json, pages::Pages};
use crate::{
    app::{App, chosen, known_kind, now},
    error::CommandError,
    format::text::{count, escaped_json},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub filter: Letters,
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
        let mut pages = Pages::new(queue, &args.filter, began);
        while let Some(page) = pages.next().await? {
            for letter in &page {
                let line = line(queue, letter).map_err(|error| CommandError::Output(error.into()))?;
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

/// A letter as a line that `perch enqueue` and the HTTP API take: the job as it was asked for, and how it died under `died`. One
/// whose envelope cannot be read has that alone, with the envelope in it.
fn line(queue: &Queue, letter: &DeadLetter) -> Result<String, serde_json::Error> {
    let mut died = as_json(queue, letter);
    let Some(envelope) = letter.decoded() else { return Ok(json!({ "died": died }).to_string()) };
    if let Some(died) = died.as_object_mut() {
        died.remove("envelope");
    }
    // Put in by hand, so that the payload stays byte for byte what it is.
    let mut line = serde_json::to_string(&JobRequest::again(&envelope))?;
    line.truncate(line.len() - 1);
    Ok(format!("{line},\"died\":{died}}}"))
}
