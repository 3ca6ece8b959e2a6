//! `perch top`: the queues on the whole screen.

mod board;
mod draw;
mod keys;

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use perch_core::dead_causes::Causes;
use perch_jobs::QueueName;
use perch_queue::{Queue, QueueError, Queues};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::{board::Board, keys::Key};
use crate::{
    app::{App, operator},
    commands::{audit, brake, pause::Switch},
    error::{CommandError, chain},
    live::{Activity, Feed, FeedUpdate, Kinds},
    process::{Stop, on_signals},
};

#[derive(Debug, clap::Args)]
pub struct Args {}

/// How often workers and causes of dead letters are read.
const SLOWLY: Duration = Duration::from_secs(5);
/// Most dead letters of a queue that are grouped by cause.
const LOOKED_AT: usize = 200;
const SEEN_WITHIN: Duration = Duration::from_secs(60);

pub async fn run(app: &App, _: &Args) -> Result<(), CommandError> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(CommandError::Refused(
            "`perch top` needs a terminal; elsewhere use `perch queues` or `perch tail --json`".into(),
        ));
    }
    let (settings, queues) = app.queues()?;
    let all: Vec<Queue> = queues.iter().cloned().collect();
    queues.redis().ping().await?;
    let stop = Stop::default();
    on_signals(&stop)?;
    let mut board = Board::new(settings.env, Activity::default());
    // This also restores the terminal when something panics.
    let mut terminal = ratatui::try_init().map_err(CommandError::Runtime)?;
    let doors = &queues;
    let mut screen = Screen { stop: stop.token(), settings: &settings, doors, queues: &all, board: &mut board };
    let outcome = screen.run(&mut terminal).await;
    ratatui::restore();
    outcome
}

struct Screen<'a> {
    stop: CancellationToken,
    settings: &'a perch_base::Settings,
    doors: &'a Queues,
    queues: &'a [Queue],
    board: &'a mut Board,
}

impl Screen<'_> {
    async fn run(&mut self, terminal: &mut ratatui::DefaultTerminal) -> Result<(), CommandError> {
        let mut feed = Feed::start(self.queues);
        let mut keys = keys::read();
        let mut kinds = Kinds::default();
        let mut slowly = interval(SLOWLY);
        slowly.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut redraw = true;
        loop {
            if redraw {
                terminal.draw(|frame| draw::draw(frame, self.board)).map_err(CommandError::Output)?;
            }
            redraw = true;
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                key = keys.recv() => match key {
                    None | Some(Key::Quit) => return Ok(()),
                    Some(Key::Pressed(pressed)) => {
                        if let Some((switch, queue)) = self.board.press(pressed) {
                            self.switch(switch, &queue).await;
                        }
                    }
                    Some(Key::Redraw) => terminal.autoresize().map_err(CommandError::Output)?,
                },
                news = feed.next() => match news {
                    FeedUpdate::Event(event) => {
                        let (queue, event) = *event;
                        let kind = kinds.of(&event);
                        self.board.activity.take_in(queue.name(), &event, kind);
                        // The numbers redraw the screen every second; redrawing for each of thousands of events would waste time.
                        redraw = false;
                    }
                    FeedUpdate::Stats(stats) => self.board.take_stats(stats),
                },
                _ = slowly.tick() => {
                    if let Err(error) = self.look_slowly().await {
                        self.board.say(chain(&error));
                    }
                }
            }
        }
    }

    async fn look_slowly(&mut self) -> Result<(), QueueError> {
        self.board.brakes = brake::glance(self.settings, self.doors).await;
        let mut workers = Vec::new();
        let mut causes = Causes::default();
        for queue in self.queues {
            workers.extend(queue.workers(SEEN_WITHIN).await?);
            let letters = queue.dead_page(None, LOOKED_AT).await?.letters;
            for letter in &letters {
                causes.add(queue.name(), letter);
            }
        }
        self.board.workers = workers;
        self.board.causes = causes.stats(false).causes;
        Ok(())
    }

    async fn switch(&mut self, switch: Switch, name: &QueueName) {
        let Some(queue) = self.queues.iter().find(|queue| queue.name() == name) else { return };
        let by = operator();
        let (changed, action, said) = match switch {
            Switch::Pause => (queue.pause(&by).await, "queue.pause", "paused"),
            Switch::Resume => (queue.resume(&by).await, "queue.resume", "resumed"),
        };
        match changed {
            Ok(true) => {
                self.board.say(format!("{name} {said}"));
                let details = serde_json::json!({});
                if let Err(error) = audit::add(self.settings, action, name.as_str(), &details).await {
                    self.board.say(format!("{name} {said}; the audit log does not say so: {}", chain(&error)));
                }
            }
            Ok(false) => self.board.say(format!("{name} was {said} already")),
            Err(error) => self.board.say(chain(&error)),
        }
    }
}
