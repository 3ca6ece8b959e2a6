//! The view of `perch up`: a table of the queues, redrawn in place, with log lines above it.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use chrono::Utc;
use perch_queue::{Queue, QueueStats};
use tokio_util::sync::CancellationToken;

use super::{
    activity::Activity,
    feed::{Feed, FeedUpdate},
    lines::LogLines,
};
use crate::{
    commands::queues::state,
    format::{
        table::{Listing, Tone, cell, compact, cut, number, whole},
        text::clean_lines,
        time::{clock, took},
    },
    output::Output,
};

/// Draws the table until `stop`; then shows log lines until their writer is dropped.
pub async fn follow_on_terminal(out: Output, queues: &[Queue], mut logs: LogLines, stop: CancellationToken) {
    let mut feed = Feed::start(queues);
    let mut activity = Activity::default();
    let mut drawn = Drawn::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(line) = logs.recv() => drawn.above(&line),
            news = feed.next() => match news {
                FeedUpdate::Event(event) => activity.take_in(event.0.name(), &event.1, None),
                FeedUpdate::Stats(Ok(stats)) => {
                    activity.take_stats(&stats, Utc::now());
                    drawn.table(&table(&out, &stats, &activity));
                }
                FeedUpdate::Stats(Err(error)) => drawn.table(&Tone::Bad.line(error).draw(out.colour())),
            },
        }
    }
    drawn.above("stopping: running jobs finish first; Ctrl-C again to stop at once");
    while let Some(line) = logs.recv().await {
        drawn.above(&line);
    }
}

/// The part of the terminal that the next draw replaces.
#[derive(Default)]
struct Drawn {
    text: String,
}

impl Drawn {
    fn table(&mut self, text: &str) {
        self.replace("", text.to_owned());
    }

    fn above(&mut self, said: &str) {
        let text = std::mem::take(&mut self.text);
        let height = text.lines().count();
        let said: Vec<_> = clean_lines(said).collect();
        self.draw(height, &format!("{}\n", said.join("\n")), text);
    }

    fn replace(&mut self, above: &str, text: String) {
        let height = self.text.lines().count();
        self.draw(height, above, text);
    }

    /// One write, so that no other output comes in between.
    fn draw(&mut self, height: usize, above: &str, text: String) {
        let up = if height > 0 { format!("\u{1b}[{height}A") } else { String::new() };
        let end = if text.is_empty() { "" } else { "\n" };
        // Turns off wrapping, so that a line of the table is one line of the terminal.
        let all = format!("{up}\r\u{1b}[J{above}\u{1b}[?7l{text}{end}\u{1b}[?7h");
        let mut stdout = io::stdout().lock();
        // A closed terminal is reported by a signal; the view can ignore the error.
        let _ = stdout.write_all(all.as_bytes()).and_then(|()| stdout.flush());
        self.text = text;
    }
}

fn table(out: &Output, all: &[QueueStats], activity: &Activity) -> String {
    let now = Utc::now();
    let mut listing = Listing::new([
        whole("QUEUE"),
        number("WAIT"),
        number("DELAY"),
        number("RUN"),
        number("DEAD"),
        number("DONE"),
        number("DONE/S"),
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
            cell(format_args!("{:.1}", activity.rate(&stats.queue, now))).tone(Tone::Faint),
            state(stats),
        ]);
    }
    let mut last = Listing::new([whole(""), whole(""), whole(""), cut("")]);
    for event in activity.events().take(3) {
        let what = event.error.clone().or_else(|| event.ms.map(took)).unwrap_or_default();
        last.row([
            cell(clock(event.at, now)).tone(Tone::Faint),
            cell(event.job).tone(Tone::Faint),
            cell(event.what).tone(crate::commands::tail::tone(event.what)),
            cell(format_args!("{} {what}", event.queue)),
        ]);
    }
    let width = out.width();
    let parts = [String::new(), listing.render(width, out.colour()), last.render_rows(width, out.colour())];
    parts.join("\n").trim_end().to_owned()
}

const LINE_EVERY: Duration = Duration::from_secs(5);

/// Writes a line about the queues every few seconds while something changes, until `stop`.
pub async fn follow_plainly(out: Output, queues: &[Queue], stop: CancellationToken) {
    let mut feed = Feed::start(queues);
    let mut activity = Activity::default();
    let mut last = (Instant::now(), String::new());
    loop {
        let news = tokio::select! {
            () = stop.cancelled() => return,
            news = feed.next() => news,
        };
        let line = match news {
            FeedUpdate::Event(event) => {
                activity.take_in(event.0.name(), &event.1, None);
                continue;
            }
            FeedUpdate::Stats(Ok(stats)) => stats.iter().map(summary).collect::<Vec<_>>().join(" | "),
            FeedUpdate::Stats(Err(error)) => error,
        };
        if line != last.1 && last.0.elapsed() >= LINE_EVERY {
            // The work goes on without a reader.
            let _ = out.line(&line);
            last = (Instant::now(), line);
        }
    }
}

fn summary(stats: &QueueStats) -> String {
    let dead = if stats.dead > 0 { format!(", {} dead", stats.dead) } else { String::new() };
    let paused = if stats.paused_by.is_some() { ", paused" } else { "" };
    format!(
        "{} {} ready, {} later, {} running, {} done{dead}{paused}",
        stats.queue,
        stats.waiting(),
        stats.delayed,
        stats.running,
        stats.succeeded
    )
}
