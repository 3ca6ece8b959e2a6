use perch_queue::{DeadLetter, Queue};
use serde_json::{Value, json};

use super::{filter::Letters, pages::Pages};
use crate::{
    app::{App, chosen, known_kind, now},
    error::CommandError,
    format::{
        table::{Listing, Tone, cell, cut, number, whole},
        time::from_now,
    },
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub filter: Letters,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (_, queues) = app.queues()?;
    let limit = args.limit as usize;
    let now = now(queues.redis()).await?;
    let mut letters: Vec<(Queue, DeadLetter)> = Vec::new();
    for queue in chosen(&queues, &args.filter.of.queue)? {
        let mut pages = Pages::new(&queue, &args.filter, now);
        let mut found = 0;
        while let Some(page) = pages.next().await? {
            found += page.len();
            letters.extend(page.into_iter().map(|letter| (queue.clone(), letter)));
            if found >= limit {
                break;
            }
        }
    }
    known_kind(&queues, args.filter.of.kind.as_ref(), letters.len() as u64)?;
    letters.sort_by_key(|(_, letter)| std::cmp::Reverse(letter.died_at));
    let is_more = letters.len() > limit;
    letters.truncate(limit);
    if app.out.is_json() {
        return app.out.json(&letters.iter().map(|(queue, letter)| as_json(queue, letter)).collect::<Vec<_>>());
    }
    if letters.is_empty() {
        return app.out.line("there is no such dead letter");
    }
    let mut listing = Listing::new([whole("ID"), cut("KIND"), number("TRIES"), whole("DIED"), cut("ERROR")]);
    for (_, letter) in &letters {
        listing.row([
            cell(letter.id),
            cell(kind_of(letter)),
            cell(letter.attempts),
            cell(from_now(letter.died_at, now)),
            cell(letter.last_error()).tone(Tone::Bad),
        ]);
    }
    app.out.table(&listing)?;
    if is_more {
        app.out.note(format_args!("there are more; these are the latest {limit} (--limit)"));
    }
    Ok(())
}

/// The kind of a letter, as far as its envelope can be read.
pub fn kind_of(letter: &DeadLetter) -> String {
    letter.salvaged().map_or_else(|| "unreadable".to_owned(), |envelope| envelope.kind.to_string())
}

/// A dead letter as JSON: its envelope parsed where that is possible.
pub fn as_json(queue: &Queue, letter: &DeadLetter) -> Value {
    let envelope: Value = match &letter.envelope {
        Some(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
        None => Value::Null,
    };
    let told = serde_json::to_value(letter).unwrap_or_default();
    json!({
        "id": letter.id,
        "queue": queue.name(),
        "kind": envelope.get("kind"),
        "died_at": letter.died_at,
        "attempts": letter.attempts,
        "error": letter.last_error(),
        "cause": letter.cause(),
        "group": envelope.get("group"),
        "errors": told["errors"],
        "envelope": envelope,
    })
}
