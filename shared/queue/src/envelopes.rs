//! Reading the envelopes of a queue without a script.

use perch_job::JobId;

use crate::{Queue, QueueError, raw_text::RawText};

/// Ids in one command.
const AT_ONCE: usize = 250;
/// The approximate number of hash fields in one scan step.
const FIELDS: usize = 1_000;

type HashPage = (u64, Vec<(RawText, Vec<u8>)>);

impl Queue {
    /// The envelopes of jobs, in the order of `ids`.
    pub(crate) async fn envelopes<S: AsRef<str>>(&self, ids: &[S]) -> Result<Vec<Option<Vec<u8>>>, QueueError> {
        let mut read = redis::cmd("HMGET");
        read.arg(self.keys().jobs());
        for id in ids {
            read.arg(id.as_ref());
        }
        self.redis().cmd("read envelopes", &read).await
    }

    /// The `ids` that Redis does not have.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn missing(&self, ids: &[JobId]) -> Result<Vec<JobId>, QueueError> {
        let mut missing = Vec::new();
        for chunk in ids.chunks(AT_ONCE) {
            let mut pipe = redis::pipe();
            for id in chunk {
                pipe.cmd("HEXISTS").arg(self.keys().jobs()).arg(id.to_string());
            }
            let there: Vec<bool> =
                self.redis().call("look for jobs", |mut conn| async move { pipe.query_async(&mut conn).await }).await?;
            missing.extend(chunk.iter().zip(there).filter(|(_, there)| !there).map(|(id, _)| *id));
        }
        Ok(missing)
    }

    /// Calls `tell` with the jobs in Redis, in batches. A job that exists during the whole scan is passed at least once.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn scan(&self, mut tell: impl FnMut(Vec<JobId>) + Send) -> Result<(), QueueError> {
        self.scan_envelopes(|found| tell(found.into_iter().filter_map(|(id, _)| id.parse().ok()).collect())).await
    }

    /// Like [`scan`](Self::scan), but passes the id and the envelope of each job as stored, whether they can be read or not.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn scan_envelopes(&self, mut tell: impl FnMut(Vec<(String, Vec<u8>)>) + Send) -> Result<(), QueueError> {
        let mut cursor = 0;
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(self.keys().jobs()).arg(cursor).arg("COUNT").arg(FIELDS);
            let (next, fields): HashPage = self.redis().cmd("look through the jobs", &scan).await?;
            tell(fields.into_iter().map(|(id, envelope)| (id.0, envelope)).collect());
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}
