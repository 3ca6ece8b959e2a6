//! Draws the screen of `perch top`.

use chrono::{DateTime, Utc};
use perch_queue::QueueStats;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::Line,
    widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, Table},
};

use super::board::Board;
use crate::{
    commands::{queues::moves, tail::tone},
    format::{
        table::Tone,
        text::one_line,
        time::{clock, from_now, from_now_or_dash, took},
    },
    live::SECONDS,
};

/// Draws the board on the whole screen.
pub fn draw(frame: &mut Frame<'_>, board: &Board) {
    let now = Utc::now();
    let queues = u16::try_from(board.stats.len()).unwrap_or(u16::MAX);
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(queues.saturating_add(2).clamp(3, 12)),
        Constraint::Percentage(35),
        Constraint::Min(4),
        Constraint::Length(1),
    ]);
    let [head, queues, middle, events, foot] = rows.areas(frame.area());
    let title = format!("perch {}  {}{}", board.env, now.format("%H:%M:%SZ"), brakes(&board.brakes));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let title_style = if board.brakes.is_empty() { bold } else { bold.fg(Color::Red) };
    frame.render_widget(Paragraph::new(title).style(title_style), head);
    draw_queues(frame, queues, board, now);
    let [workers, causes] = Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(middle);
    draw_workers(frame, workers, board, now);
    draw_causes(frame, causes, board, now);
    draw_events(frame, events, board);
    let keys = "q quit   up/down choose   p pause   r resume";
    let (text, colour) =
        board.said.as_ref().map_or((keys.to_owned(), Color::DarkGray), |said| (one_line(said), Color::Yellow));
    frame.render_widget(Paragraph::new(text).style(Style::new().fg(colour)), foot);
}

/// The first brake that is on, and how many more.
fn brakes(lines: &[String]) -> String {
    let Some((first, more)) = lines.split_first() else { return String::new() };
    let more = if more.is_empty() { String::new() } else { format!("{} more, ", more.len()) };
    format!("  {more}{}", one_line(first))
}

fn block(title: &str) -> Block<'_> {
    Block::new().borders(Borders::TOP).title(title).border_style(Style::new().fg(Color::DarkGray))
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Warn => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red),
        Tone::Faint => Style::new().fg(Color::DarkGray),
    }
}

const CHART: u16 = 20;

fn draw_queues(frame: &mut Frame<'_>, area: Rect, board: &Board, now: DateTime<Utc>) {
    let [numbers, charts] = Layout::horizontal([Constraint::Min(40), Constraint::Length(CHART)]).areas(area);
    let header = Row::new(["QUEUE", "WAIT", "DELAY", "RUN", "DEAD", "DONE/S", "STATE"]).style(style(Tone::Faint));
    let rows = board.stats.iter().enumerate().map(|(place, stats)| queue_row(board, stats, now, place == board.place));
    let widths = [
        Constraint::Min(14),
        Constraint::Length(6),
        Constraint::Length(6),
        Constraint::Length(4),
        Constraint::Length(6),
        Constraint::Length(6),
        Constraint::Length(12),
    ];
    frame.render_widget(Table::new(rows, widths).header(header).block(block("queues")), numbers);
    frame.render_widget(block("done, last minute"), charts);
    for (stats, y) in board.stats.iter().zip(area.y + 2..area.bottom()) {
        let line = board.activity.sparkline(&stats.queue, now);
        let shown = &line[SECONDS.saturating_sub(usize::from(charts.width))..];
        let spot = Rect { y, height: 1, ..charts };
        frame.render_widget(Sparkline::default().data(shown).style(style(Tone::Good)), spot);
    }
}

fn queue_row<'a>(board: &Board, stats: &QueueStats, now: DateTime<Utc>, is_selected: bool) -> Row<'a> {
    let done = format!("{:.1}", board.activity.rate(&stats.queue, now));
    let (word, looks) = moves(stats);
    let dead = if stats.dead > 0 { Tone::Bad } else { Tone::Faint };
    let row = Row::new([
        Cell::from(stats.queue.to_string()),
        Cell::from(stats.waiting().to_string()),
        Cell::from(stats.delayed.to_string()),
        Cell::from(stats.running.to_string()),
        Cell::from(stats.dead.to_string()).style(style(dead)),
        Cell::from(done),
        Cell::from(word).style(style(looks)),
    ]);
    if is_selected { row.style(Style::new().add_modifier(Modifier::REVERSED)) } else { row }
}

fn draw_workers(frame: &mut Frame<'_>, area: Rect, board: &Board, now: DateTime<Utc>) {
    let rows = board.workers.iter().map(|worker| {
        let of = worker.concurrency.map_or_else(|| "?".to_owned(), |n| n.to_string());
        Row::new([
            Cell::from(one_line(&worker.name)),
            Cell::from(worker.queue.to_string()),
            Cell::from(format!("{}/{of}", worker.running)),
            Cell::from(from_now_or_dash(worker.since, now)),
        ])
    });
    let widths = [Constraint::Fill(1), Constraint::Fill(1), Constraint::Length(7), Constraint::Length(8)];
    let header = Row::new(["WORKER", "QUEUE", "RUN", "STARTED"]).style(style(Tone::Faint));
    frame.render_widget(Table::new(rows, widths).header(header).block(block("workers")), area);
}

fn draw_causes(frame: &mut Frame<'_>, area: Rect, board: &Board, now: DateTime<Utc>) {
    let rows = board.causes.iter().map(|cause| {
        Row::new([
            Cell::from(cause.count.to_string()).style(style(Tone::Bad)),
            Cell::from(from_now(cause.newest, now)),
            Cell::from(one_line(&cause.cause)),
        ])
    });
    let widths = [Constraint::Length(6), Constraint::Length(8), Constraint::Fill(1)];
    let header = Row::new(["DEAD", "LAST", "CAUSE"]).style(style(Tone::Faint));
    frame.render_widget(Table::new(rows, widths).header(header).block(block("dead letters by cause")), area);
}

fn draw_events(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let block = block("events");
    let room = usize::from(block.inner(area).height);
    let lines: Vec<Line<'_>> = board
        .activity
        .events()
        .take(room)
        .map(|event| {
            let what = event.error.as_deref().map(one_line).or_else(|| event.ms.map(took)).unwrap_or_default();
            let kind = event.kind.as_ref().map_or_else(|| event.queue.to_string(), ToString::to_string);
            let at = clock(event.at, Utc::now());
            let text = format!("{at}  {}  {:<10} {kind:<16} {what}", event.job, event.what.as_str());
            Line::styled(text, style(tone(event.what)))
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

#[cfg(test)]
mod tests {
    use perch_base::Environment;
    use perch_jobs::QueueName;
    use perch_queue::QueueStats;
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::commands::queues::numbers;

    fn screen(width: u16, height: u16, board: &Board) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal in memory");
        terminal.draw(|frame| draw(frame, board)).expect("it draws");
        let buffer = terminal.backend().buffer().clone();
        let rows = buffer.content().chunks(usize::from(width));
        rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>()).collect::<Vec<_>>().join("\n")
    }

    fn board() -> Board {
        let mut board = Board::new(Environment::Staging, crate::live::Activity::default());
        board.take_stats(Ok(vec![QueueStats {
            high: 1,
            normal: 41,
            delayed: 7,
            running: 3,
            dead: 5,
            paused_by: Some("ann".into()),
            ..numbers(&QueueName::from_static("analytics_processing"))
        }]));
        board
    }

    #[test]
    fn the_screen_shows_a_queue_with_its_numbers_on_80_columns() {
        let text = screen(80, 24, &board());
        for part in ["staging", "analytics_proc", "42", "paused", "workers", "dead letters by cause", "q quit"] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
    }

    #[test]
    fn a_brake_that_is_on_stands_at_the_head_of_the_screen() {
        let mut braked = board();
        braked.brakes = vec!["BRAKE ON  2m ago, by ann: wrong odds".into()];
        let text = screen(80, 24, &braked);
        assert!(text.lines().next().is_some_and(|head| head.contains("by ann: wrong odds")), "{text}");
        braked.brakes.push("BRAKE ON  account:main  2m ago, by ann: odd words".into());
        let text = screen(80, 24, &braked);
        assert!(text.lines().next().is_some_and(|head| head.contains("1 more, BRAKE ON 2m ago, by ann")), "{text}");
    }

    #[test]
    fn a_tiny_terminal_is_no_reason_to_break() {
        for (width, height) in [(1, 1), (10, 3), (20, 5), (300, 2)] {
            screen(width, height, &board());
        }
    }
}
