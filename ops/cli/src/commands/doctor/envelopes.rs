//! Checks that every job in Redis is as it was written.

use perch_base::Settings;
use perch_jobs::{JobId, QueueName};
use perch_queue::{JobView, Queue};

use super::check::Check;
use crate::{
    app::queues,
    error::{CommandError, chain},
    format::text::count,
};

const NAME: &str = "envelopes";
/// Jobs read at once.
const AT_ONCE: usize = 500;
/// Most damaged jobs that are named.
const NAMED: usize = 10;

/// Reads every envelope and compares it with its checksum.
pub async fn check(settings: &Settings) -> Check {
    let mut found = EnvelopeTally::default();
    match found.look(settings).await {
        Ok(()) => found.judge(),
        Err(error) => Check::warn(NAME, chain(&error)).mend("mend the connection first"),
    }
}

#[derive(Default)]
struct EnvelopeTally {
    read: u64,
    damaged: u64,
    named: Vec<(JobId, QueueName)>,
}

impl EnvelopeTally {
    async fn look(&mut self, settings: &Settings) -> Result<(), CommandError> {
        for queue in queues(settings)?.iter() {
            self.look_into(queue).await?;
        }
        Ok(())
    }

    async fn look_into(&mut self, queue: &Queue) -> Result<(), CommandError> {
        let mut ids = Vec::new();
        queue.scan(|some| ids.extend(some)).await?;
        ids.sort_unstable();
        ids.dedup();
        for some in ids.chunks(AT_ONCE) {
            for view in queue.jobs(some).await? {
                self.count(&view);
            }
        }
        Ok(())
    }

    fn count(&mut self, view: &JobView) {
        self.read += 1;
        if view.decoded().is_none() {
            self.damaged += 1;
            if self.named.len() < NAMED {
                self.named.push((view.id, view.queue.clone()));
            }
        }
    }

    fn judge(&self) -> Check {
        let read = count(self.read, "job");
        if self.damaged == 0 {
            return Check::ok(NAME, format!("{read} read; each is as it was written"));
        }
        let named: Vec<String> = self.named.iter().map(|(id, queue)| format!("{id} in {queue}")).collect();
        let more = match self.damaged - self.named.len() as u64 {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let damaged = format!("{} of {read} damaged or unreadable: {}{more}", self.damaged, named.join(", "));
        Check::warn(NAME, damaged).mend(
            "none of them runs: a worker that takes one puts it into the dead letters; repair its payload there with `perch dead replay \
             --id ID --editor`, or discard it. Find out what wrote into Redis",
        )
    }
}
