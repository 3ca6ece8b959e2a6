//! `perch queues`: shows depth and state of every queue.

use chrono::{DateTime, Utc};
use futures::future::join_all;
use perch_core::queue_list::{self, UnreadableQueue};
use perch_jobs::QueueName;
use perch_queue::{Queue, QueueError, QueueStats};

use crate::{
    app::{App, chosen},
    commands::brake,
    error::{CommandError, chain},
    format::{
        table::{Cell, Listing, Tone, cell, compact, number, whole},
        time::from_now_or_dash,
    },
    output::Paging,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these queues
    #[arg(value_name = "QUEUE")]
    pub queues: Vec<QueueName>,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    let chosen = chosen(&queues, &args.queues)?;
    let list = queue_list::queues(&chosen, &args.paging, |_, error| chain(error)).await?;
    if app.out.is_json() {
        return app.out.json(&list);
    }
    for UnreadableQueue { queue, reason } in &list.unreadable {
        app.out.note(format_args!("warning: the queue {queue} cannot be read: {reason}"));
    }
    for line in brake::glance(&settings, &queues).await {
        app.out.styled(&Tone::Bad.line(line))?;
    }
    let all: Vec<QueueStats> = list.page.items.into_iter().map(|queue| queue.stats).collect();
    app.out.table(&listing(&all, queues.now()))?;
    app.out.more(list.page.next.as_ref());
    Ok(())
}

/// The numbers of several queues.
pub struct QueueReadings {
    /// The numbers of the readable queues.
    pub stats: Vec<QueueStats>,
    /// The unreadable queues, and why. One of them does not affect the others.
    pub unreadable: Vec<(QueueName, String)>,
}

/// Reads the numbers of several queues. An error when none can be read, for example while Redis is away.
pub async fn read(queues: &[Queue]) -> Result<QueueReadings, QueueError> {
    let mut read = QueueReadings { stats: Vec::new(), unreadable: Vec::new() };
    let mut first = None;
    for (queue, answer) in queues.iter().zip(join_all(queues.iter().map(Queue::stats)).await) {
        match answer {
            Ok(stats) => read.stats.push(stats),
            Err(error) => {
                read.unreadable.push((queue.name().clone(), chain(&error)));
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(error) if read.stats.is_empty() => Err(error),
        _ => Ok(read),
    }
}

/// The queues as a table.
pub fn listing(all: &[QueueStats], now: DateTime<Utc>) -> Listing {
    let mut listing = Listing::new([
        whole("QUEUE"),
        number("WAIT"),
        number("DELAY"),
        number("RUN"),
        number("DEAD"),
        number("DONE"),
        number("WORKERS"),
        whole("OLDEST"),
        whole("STATE"),
    ]);
    for stats in all {
        listing.row([
            cell(&stats.queue),
            compact(stats.waiting()),
            compact(stats.delayed),
            compact(stats.running),
            compact(stats.dead).tone_if(stats.dead > 0, Tone::Bad),
            compact(stats.succeeded),
            cell(stats.workers).tone_if(stats.workers == 0, Tone::Warn),
            cell(from_now_or_dash(stats.oldest, now)),
            state(stats),
        ]);
    }
    listing
}

/// The state of a queue: whether jobs run, and if not, why.
pub fn state(stats: &QueueStats) -> Cell {
    let (word, tone) = moves(stats);
    cell(word).tone(tone)
}

/// The state as a word and its tone.
pub fn moves(stats: &QueueStats) -> (&'static str, Tone) {
    match &stats.paused_by {
        Some(_) => ("paused", Tone::Warn),
        None if stats.workers == 0 && stats.waiting() + stats.overdue > 0 => ("no worker", Tone::Bad),
        // They wait until a deploy brings a release that knows the kind.
        None if stats.unknown_kind > 0 => ("unknown kind", Tone::Warn),
        None if stats.waiting() + stats.running + stats.overdue == 0 => ("idle", Tone::Faint),
        None => ("working", Tone::Good),
    }
}

/// The numbers of an empty queue.
#[cfg(test)]
pub fn numbers(queue: &QueueName) -> QueueStats {
    QueueStats {
        queue: queue.clone(),
        high: 0,
        normal: 0,
        low: 0,
        parked: 0,
        cancelled: 0,
        unknown_kind: 0,
        delayed: 0,
        overdue: 0,
        running: 0,
        dead: 0,
        succeeded: 0,
        oldest: None,
        next_due: None,
        paused_by: None,
        paused_at: None,
        workers: 1,
        events: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(normal: u64, workers: u64, paused_by: Option<&str>) -> QueueStats {
        QueueStats {
            normal,
            delayed: 100_000,
            dead: 100_000,
            succeeded: 123_456_789,
            oldest: Some(Utc::now()),
            paused_by: paused_by.map(str::to_owned),
            workers,
            ..numbers(&QueueName::from_static("analytics_processing"))
        }
    }

    #[test]
    fn the_state_of_a_queue_says_why_nothing_moves() {
        let all = [stats(5, 0, None), stats(5, 1, Some("ann")), stats(0, 1, None), stats(1_234_567, 1, None)];
        let text = listing(&all, Utc::now()).render(80, false);
        for word in ["no worker", "paused", "idle", "working"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
