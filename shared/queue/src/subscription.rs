//! Following the events of a queue as they come.

use std::time::Duration;

use crate::{Connection, EntryId, JobEvent, Queue, QueueError, event::Entries};

/// The events of one queue from an entry on. One blocking read at a time.
pub struct Subscription {
    queue: Queue,
    after: Option<EntryId>,
    conn: Option<Connection>,
}

impl Subscription {
    /// The events of `queue` after the entry `after`, or from now on.
    pub fn new(queue: &Queue, after: Option<EntryId>) -> Self {
        Self { queue: queue.clone(), after, conn: None }
    }

    /// The queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The next events. Waits for them up to `patience`, and returns an empty list if none came.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read; the next call continues where this one began.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, no events are skipped: the next call returns them.
    pub async fn next(&mut self, patience: Duration) -> Result<Vec<JobEvent>, QueueError> {
        let doing = "follow events";
        let after = match self.after {
            Some(after) => after,
            None => self.latest().await?,
        };
        self.after = Some(after);
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.queue.redis().dedicated().await?,
        };
        let mut cmd = redis::cmd("XREAD");
        cmd.arg("COUNT").arg(500).arg("BLOCK").arg(patience.as_millis().max(1).to_string()).arg("STREAMS");
        cmd.arg(self.queue.keys().events()).arg(after.to_string());
        let read = tokio::time::timeout(patience + Duration::from_secs(5), cmd.query_async(&mut conn)).await;
        let reply: Option<Vec<(String, Entries)>> = read
            .map_err(|_| QueueError::Timeout { doing, after: patience })?
            .map_err(|e| QueueError::from_redis(doing, e))?;
        self.conn = Some(conn);
        let mut events = Vec::new();
        for (id, of_entry) in reply.into_iter().flatten().flat_map(|(_, entries)| entries.0) {
            self.after = Some(id);
            events.extend(of_entry);
        }
        Ok(events)
    }

    /// The id of the last entry. Reading from it, instead of from "now", misses nothing between two reads.
    async fn latest(&self) -> Result<EntryId, QueueError> {
        let mut cmd = redis::cmd("XREVRANGE");
        cmd.arg(self.queue.keys().events()).arg("+").arg("-").arg("COUNT").arg(1);
        let Entries(last) = self.queue.redis().cmd("follow events", &cmd).await?;
        Ok(last.first().map(|(id, _)| *id).unwrap_or_default())
    }
}
