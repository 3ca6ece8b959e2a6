use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, QueueName};
use perch_queue::DeadLetter;
use serde::Serialize;

use super::{filter::Letters, list::kind_of, pages::Pages};
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
    pub filter: Letters,
    /// At most so many causes; 20 as a table, all of them as JSON when it is left out
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// The dead letters of one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the JSON")]
pub struct Cause {
    pub queue: QueueName,
    pub cause: String,
    pub count: u64,
    pub kinds: BTreeSet<String>,
    pub first: DateTime<Utc>,
    pub last: DateTime<Utc>,
    /// The latest of them.
    pub example: JobId,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (_, queues) = app.queues()?;
    let now = now(queues.redis()).await?;
    let mut grouped = Grouped::default();
    for queue in chosen(&queues, &args.filter.of.queue)? {
        let mut pages = Pages::new(&queue, &args.filter, now);
        while let Some(page) = pages.next().await? {
            grouped.add_all(page.iter().map(|letter| (queue.name(), letter)));
        }
    }
    let causes = grouped.sorted();
    known_kind(&queues, args.filter.of.kind.as_ref(), causes.len() as u64)?;
    let limit = args.limit.unwrap_or(if app.out.is_json() { usize::MAX } else { SHOWN });
    let shown = &causes[..causes.len().min(limit)];
    if app.out.is_json() {
        return app.out.json(shown);
    }
    if causes.is_empty() {
        return app.out.line("there is no such dead letter");
    }
    app.out.table(&listing(shown, now))?;
    let total: u64 = causes.iter().map(|cause| cause.count).sum();
    let more = match causes.len() - shown.len() {
        0 => String::new(),
        n => format!("; {} not shown (--limit)", count(n, "cause")),
    };
    app.out.note(format_args!("{} of {}{more}", count(total, "dead letter"), count(causes.len() as u64, "cause")));
    Ok(())
}

/// Causes that are shown unless more are asked for.
const SHOWN: usize = 20;
/// Lines of a cause on a terminal.
const LINES: usize = 3;

/// A row for each cause, and under it the cause itself, which says too much for a column.
fn listing(causes: &[Cause], now: DateTime<Utc>) -> Listing {
    let mut listing = Listing::new([number("COUNT"), whole("QUEUE"), cut("KINDS"), whole("FIRST"), whole("LAST")]);
    for cause in causes {
        listing.row([
            cell(cause.count).tone(Tone::Bad),
            cell(&cause.queue),
            cell(cause.kinds.iter().cloned().collect::<Vec<_>>().join(",")),
            cell(from_now(cause.first, now)),
            cell(from_now(cause.last, now)),
        ]);
        listing.below(cause.cause.as_str(), LINES);
    }
    listing
}

/// The causes of some dead letters, the most frequent first.
pub fn causes<'a>(letters: impl IntoIterator<Item = (&'a QueueName, &'a DeadLetter)>) -> Vec<Cause> {
    let mut grouped = Grouped::default();
    grouped.add_all(letters);
    grouped.sorted()
}

#[derive(Debug, Default)]
struct Grouped(BTreeMap<(QueueName, String), Cause>);

impl Grouped {
    fn add_all<'a>(&mut self, letters: impl IntoIterator<Item = (&'a QueueName, &'a DeadLetter)>) {
        for (queue, letter) in letters {
            self.add(queue, letter);
        }
    }

    fn add(&mut self, queue: &QueueName, letter: &DeadLetter) {
        let cause = letter.cause();
        let group = self.0.entry((queue.clone(), cause.clone())).or_insert_with(|| Cause {
            queue: queue.clone(),
            cause,
            count: 0,
            kinds: BTreeSet::new(),
            first: letter.died_at,
            last: letter.died_at,
            example: letter.id,
        });
        group.count += 1;
        group.first = group.first.min(letter.died_at);
        if letter.died_at > group.last {
            (group.last, group.example) = (letter.died_at, letter.id);
        }
        group.kinds.insert(kind_of(letter));
    }

    fn sorted(self) -> Vec<Cause> {
        let mut causes: Vec<Cause> = self.0.into_values().collect();
        causes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| b.last.cmp(&a.last)));
        causes
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use perch_queue::EventData;

    use super::*;

    #[test]
    fn letters_of_one_cause_are_counted_together_with_their_first_and_last() {
        let now = Utc::now();
        let letter = |kind: &str, error: &str, minutes: i64| DeadLetter {
            id: JobId::at(now),
            died_at: now - TimeDelta::minutes(minutes),
            envelope: Some(format!(r#"{{"kind":"{kind}","max":1,"payload":{{}}}}"#)),
            attempts: 1,
            errors: vec![EventData { error: Some(error.to_owned()), ..EventData::default() }],
        };
        let queue = QueueName::from_static("pending_posts");
        let letters = [
            letter("publish_post", "post 1849212345678901234: 503", 30),
            letter("publish_post", "post 1849299999999999999: 503", 10),
            letter("publish_post", "refused: 403", 20),
        ];
        let causes = causes(letters.iter().map(|letter| (&queue, letter)));
        assert_eq!(causes.iter().map(|cause| cause.count).collect::<Vec<_>>(), [2, 1]);
        assert_eq!((causes[0].first, causes[0].last), (letters[0].died_at, letters[1].died_at));
        assert_eq!(causes[0].example, letters[1].id);
    }
}
