use chrono::{DateTime, Utc};
use perch_core::dead_causes::{Causes, DeadCause};

use super::{filter::DeadLetterFilter, pages::DeadLetterPages};
use crate::{
    app::{App, chosen, known_kind, now},
    error::CommandError,
    format::{
        table::{Listing, Tone, cell, cut, number, whole},
        text::count,
        time::from_now,
    },
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub filter: DeadLetterFilter,
    /// At most so many causes; 20 as a table, all of them as JSON when it is left out
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (_, queues) = app.queues()?;
    let now = now(queues.redis()).await?;
    let mut causes = Causes::default();
    for queue in chosen(&queues, &args.filter.of.queue)? {
        let mut pages = DeadLetterPages::new(&queue, &args.filter, now);
        while let Some(page) = pages.next().await? {
            for letter in &page {
                causes.add(queue.name(), letter);
            }
        }
    }
    let mut stats = causes.stats(true);
    known_kind(&queues, args.filter.of.kind.as_ref(), stats.letters)?;
    let (all, limit) = (stats.causes.len(), args.limit.unwrap_or(if app.out.is_json() { usize::MAX } else { SHOWN }));
    stats.causes.truncate(limit);
    if app.out.is_json() {
        return app.out.json(&stats);
    }
    if all == 0 {
        return app.out.line("there is no such dead letter");
    }
    app.out.table(&listing(&stats.causes, now))?;
    let more = match all - stats.causes.len() {
        0 => String::new(),
        n => format!("; {} not shown (--limit)", count(n, "cause")),
    };
    app.out.note(format_args!("{} of {}{more}", count(stats.letters, "dead letter"), count(all as u64, "cause")));
    Ok(())
}

/// Causes shown by default.
const SHOWN: usize = 20;
/// Most lines of a cause on a terminal.
const LINES: usize = 3;

/// A row for each cause, with the cause below it: it is too long for a column.
fn listing(causes: &[DeadCause], now: DateTime<Utc>) -> Listing {
    let mut listing = Listing::new([number("COUNT"), whole("QUEUE"), cut("KINDS"), whole("OLDEST"), whole("NEWEST")]);
    for cause in causes {
        listing.row([
            cell(cause.count).tone(Tone::Bad),
            cell(&cause.queue),
            cell(cause.kinds.iter().cloned().collect::<Vec<_>>().join(",")),
            cell(from_now(cause.oldest, now)),
            cell(from_now(cause.newest, now)),
        ]);
        listing.below(cause.cause.as_str(), LINES);
    }
    listing
}
