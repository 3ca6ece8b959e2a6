//! What a live view is fed with: events as they come, and the numbers of the queues every second.

use std::time::Duration;

use perch_queue::{JobEvent, Queue, QueueStats};
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval},
};

use crate::{
    commands::{queues::stats, tail::follow},
    error::chain,
};

const EVERY: Duration = Duration::from_secs(1);

/// Something new.
#[derive(Debug)]
pub enum News {
    /// An event.
    Event(Box<(Queue, JobEvent)>),
    /// The numbers of the queues, or why they are not known.
    Stats(Result<Vec<QueueStats>, String>),
}

/// Watches queues.
pub struct Feed {
    queues: Vec<Queue>,
    events: mpsc::Receiver<(Queue, JobEvent)>,
    clock: Interval,
}

impl Feed {
    /// Begins to watch. It takes one blocking read for each queue.
    pub fn start(queues: &[Queue]) -> Self {
        let mut clock = interval(EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // When Redis is away the numbers say so; the events need not say it again.
        Self { queues: queues.to_vec(), events: follow(queues, None, |_| {}), clock }
    }

    /// The next thing that is new. Nothing is lost when the wait is broken off.
    pub async fn next(&mut self) -> News {
        tokio::select! {
            Some(event) = self.events.recv() => News::Event(Box::new(event)),
            _ = self.clock.tick() => News::Stats(stats(&self.queues).await.map_err(|error| chain(&error))),
        }
    }
}
