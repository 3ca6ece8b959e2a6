//! The input of a live view: events as they come, and the numbers of the queues every second.

use std::time::Duration;

use perch_queue::{JobEvent, Queue, QueueStats, Subscription};
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval},
};

use crate::{commands::queues::read, error::chain};

const EVERY: Duration = Duration::from_secs(1);
/// Longest wait of one read.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(1);

/// An update for a live view.
#[derive(Debug)]
pub enum FeedUpdate {
    /// An event.
    Event(Box<(Queue, JobEvent)>),
    /// The numbers of the queues, or why they could not be read.
    Stats(Result<Vec<QueueStats>, String>),
}

/// Watches queues for a live view.
pub struct Feed {
    queues: Vec<Queue>,
    events: mpsc::Receiver<(Queue, JobEvent)>,
    clock: Interval,
}

impl Feed {
    /// Starts to watch. This keeps one blocking read open for each queue.
    pub fn start(queues: &[Queue]) -> Self {
        let mut clock = interval(EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { queues: queues.to_vec(), events: follow(queues), clock }
    }

    /// The next update. It is safe to cancel the wait: no update is lost.
    pub async fn next(&mut self) -> FeedUpdate {
        tokio::select! {
            Some(event) = self.events.recv() => FeedUpdate::Event(Box::new(event)),
            _ = self.clock.tick() => FeedUpdate::Stats(read(&self.queues).await.map(|read| read.stats).map_err(|error| chain(&error))),
        }
    }
}

/// The events of all these queues from now on. A queue that cannot be read is tried again for ever. Outages of Redis are reported with
/// the numbers, not here.
fn follow(queues: &[Queue]) -> mpsc::Receiver<(Queue, JobEvent)> {
    let (sender, receiver) = mpsc::channel(1_000);
    for queue in queues {
        let (queue, sender) = (queue.clone(), sender.clone());
        tokio::spawn(async move {
            let mut follow = Subscription::new(&queue, None);
            while !sender.is_closed() {
                let Ok(events) = follow.next(PATIENCE).await else {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                };
                for event in events {
                    if sender.send((queue.clone(), event)).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
    receiver
}
