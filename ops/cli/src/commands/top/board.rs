//! The state of the screen.

use chrono::Utc;
use perch_base::Environment;
use perch_core::dead_causes::DeadCause;
use perch_jobs::QueueName;
use perch_queue::{QueueStats, WorkerView};

use super::keys::Pressed;
use crate::{commands::pause::Switch, live::Activity};

/// The state of the screen.
pub struct Board {
    pub env: Environment,
    pub stats: Vec<QueueStats>,
    pub workers: Vec<WorkerView>,
    pub causes: Vec<DeadCause>,
    pub activity: Activity,
    /// The text of the last line: the answer to a key, or an error.
    pub said: Option<String>,
    /// The index of the selected queue, on which keys act.
    pub place: usize,
    /// The brakes that are on, that of everything first.
    pub brakes: Vec<String>,
    /// The action that waits for confirmation.
    asked: Option<(Switch, QueueName)>,
}

impl Board {
    /// An empty board.
    pub fn new(env: Environment, activity: Activity) -> Self {
        let (stats, workers, causes) = Default::default();
        Self { env, stats, workers, causes, activity, said: None, place: 0, brakes: Vec::new(), asked: None }
    }

    /// Sets the numbers of the queues, or why they could not be read.
    pub fn take_stats(&mut self, stats: Result<Vec<QueueStats>, String>) {
        match stats {
            Ok(stats) => {
                if self.said.as_ref().is_some_and(|said| said.starts_with(AWAY)) {
                    self.said = None;
                }
                self.activity.take_stats(&stats, Utc::now());
                self.stats = stats;
                self.place = self.place.min(self.stats.len().saturating_sub(1));
            }
            Err(error) => self.said = Some(format!("{AWAY}{error}")),
        }
    }

    /// Shows a text in the last line.
    pub fn say(&mut self, what: String) {
        self.said = Some(what);
    }

    /// Handles a key. Returns the action to carry out once it was confirmed.
    pub fn press(&mut self, key: Pressed) -> Option<(Switch, QueueName)> {
        if let Some(asked) = self.asked.take() {
            self.said = None;
            return (key == Pressed::Yes).then_some(asked);
        }
        match key {
            Pressed::Up => self.select(-1),
            Pressed::Down => self.select(1),
            Pressed::Pause => self.ask(Switch::Pause),
            Pressed::Resume => self.ask(Switch::Resume),
            Pressed::Yes | Pressed::Other => {}
        }
        None
    }

    fn ask(&mut self, switch: Switch) {
        let Some(queue) = self.selected().cloned() else { return };
        let (word, means) = match switch {
            Switch::Pause => ("pause", "no worker fetches from it"),
            Switch::Resume => ("resume", "workers fetch from it again"),
        };
        self.say(format!("{word} {queue} in {}: {means}? y to do it, any other key to leave it", self.env));
        self.asked = Some((switch, queue));
    }

    /// Moves the selection within the queues.
    pub fn select(&mut self, step: isize) {
        let last = self.stats.len().saturating_sub(1);
        self.place = self.place.saturating_add_signed(step).min(last);
    }

    /// The selected queue.
    pub fn selected(&self) -> Option<&QueueName> {
        self.stats.get(self.place).map(|stats| &stats.queue)
    }
}

const AWAY: &str = "the numbers are old: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selection_stays_within_the_queues() {
        let mut board = Board::new(Environment::Staging, Activity::default());
        board.select(1);
        assert_eq!(board.selected(), None);
        board.select(-5);
        assert_eq!(board.place, 0);
    }

    #[test]
    fn a_queue_is_paused_only_after_a_yes() {
        let queue = QueueName::from_static("extraction");
        let mut board = Board::new(Environment::Staging, Activity::default());
        board.take_stats(Ok(vec![crate::commands::queues::numbers(&queue)]));
        for (answer, done) in
            [(Pressed::Other, None), (Pressed::Pause, None), (Pressed::Down, None), (Pressed::Yes, Some(Switch::Pause))]
        {
            assert_eq!(board.press(Pressed::Pause), None, "it asks");
            assert!(
                board.said.as_ref().is_some_and(|said| said.contains("pause extraction in staging")),
                "{:?}",
                board.said
            );
            assert_eq!(board.press(answer).map(|(switch, _)| switch), done, "{answer:?}");
            assert_eq!(board.press(Pressed::Yes), None, "a yes counts once");
        }
    }

    #[test]
    fn numbers_that_come_again_take_back_the_complaint() {
        let mut board = Board::new(Environment::Staging, Activity::default());
        board.take_stats(Err("redis is away".into()));
        assert!(board.said.as_ref().is_some_and(|said| said.contains("redis is away")));
        board.take_stats(Ok(Vec::new()));
        assert_eq!(board.said, None);
    }
}
