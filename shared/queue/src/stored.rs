//! Where the envelopes of a queue lie, read from outside its scripts. `scripts/parts.lua` tells which job lies where.

use perch_jobs::JobId;

use crate::{Keys, Queue, QueueError, lossy::Lossy};

/// Ids asked for in one pipeline.
const AT_ONCE: usize = 250;
/// Parts that a job may lie in.
const PARTS: usize = 2;
/// Parts looked through in one pipeline.
const PARTS_AT_ONCE: usize = 100;
/// Fields of a hash that a step looks at, about.
const FIELDS: usize = 1_000;

type Found = (u64, Vec<(Lossy, Vec<u8>)>);

impl Keys {
    /// The hashes that a job may lie in if it is not among those that lie together: that of its 32 ms, that of its millisecond.
    pub fn parts_of(&self, id: &str) -> [String; PARTS] {
        [9, 10].map(|width| format!("{}{}", self.part(), id.get(..width).unwrap_or(id)))
    }
}

impl Queue {
    /// The envelopes of jobs, in the order of `ids`.
    pub(crate) async fn envelopes<S: AsRef<str>>(&self, ids: &[S]) -> Result<Vec<Option<Vec<u8>>>, QueueError> {
        let mut together = redis::cmd("HMGET");
        together.arg(self.keys().jobs());
        for id in ids {
            together.arg(id.as_ref());
        }
        let mut envelopes: Vec<Option<Vec<u8>>> = self.redis().cmd("read envelopes", &together).await?;
        let absent: Vec<usize> = (0..ids.len()).filter(|&i| envelopes[i].is_none()).collect();
        if absent.is_empty() {
            return Ok(envelopes);
        }
        let mut apart = redis::pipe();
        for &i in &absent {
            for part in self.keys().parts_of(ids[i].as_ref()) {
                apart.cmd("HGET").arg(part).arg(ids[i].as_ref());
            }
        }
        let found: Vec<Option<Vec<u8>>> =
            self.redis().call("read envelopes", |mut conn| async move { apart.query_async(&mut conn).await }).await?;
        for (i, places) in absent.into_iter().zip(found.chunks(PARTS)) {
            envelopes[i] = places.iter().flatten().next().cloned();
        }
        Ok(envelopes)
    }

    /// Those of `ids` that Redis does not know.
    pub async fn missing(&self, ids: &[JobId]) -> Result<Vec<JobId>, QueueError> {
        let mut missing = Vec::new();
        for chunk in ids.chunks(AT_ONCE) {
            let mut pipe = redis::pipe();
            for id in chunk.iter().map(ToString::to_string) {
                pipe.cmd("HEXISTS").arg(self.keys().jobs()).arg(&id);
                for part in self.keys().parts_of(&id) {
                    pipe.cmd("HEXISTS").arg(part).arg(&id);
                }
            }
            let there: Vec<bool> =
                self.redis().call("look for jobs", |mut conn| async move { pipe.query_async(&mut conn).await }).await?;
            let there = there.chunks(1 + PARTS).map(|places| places.contains(&true));
            missing.extend(chunk.iter().zip(there).filter(|(_, there)| !there).map(|(id, _)| *id));
        }
        Ok(missing)
    }

    /// Tells of the jobs that Redis knows, some at a time. One that is there all the while is told at least once.
    pub async fn scan(&self, mut tell: impl FnMut(Vec<JobId>) + Send) -> Result<(), QueueError> {
        self.scan_hashes(vec![self.keys().jobs()], &mut tell).await?;
        let mut cursor = 0;
        loop {
            let (next, fields) = self.step(&self.keys().parts(), cursor).await?;
            let names = fields.into_iter().map(|(name, _)| name.0).filter(|name| !name.starts_with("from"));
            let parts: Vec<String> = names.map(|name| format!("{}{name}", self.keys().part())).collect();
            for some in parts.chunks(PARTS_AT_ONCE) {
                self.scan_hashes(some.to_vec(), &mut tell).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    async fn scan_hashes(
        &self,
        hashes: Vec<String>,
        tell: &mut (impl FnMut(Vec<JobId>) + Send),
    ) -> Result<(), QueueError> {
        let mut pipe = redis::pipe();
        for hash in &hashes {
            pipe.cmd("HSCAN").arg(hash).arg(0).arg("COUNT").arg(FIELDS);
        }
        let begun: Vec<Found> =
            self.redis().call(LOOKING, |mut conn| async move { pipe.query_async(&mut conn).await }).await?;
        for (hash, (mut cursor, fields)) in hashes.iter().zip(begun) {
            tell(ids(fields));
            while cursor != 0 {
                let (next, fields) = self.step(hash, cursor).await?;
                tell(ids(fields));
                cursor = next;
            }
        }
        Ok(())
    }

    async fn step(&self, hash: &str, cursor: u64) -> Result<Found, QueueError> {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(hash).arg(cursor).arg("COUNT").arg(FIELDS);
        self.redis().cmd(LOOKING, &scan).await
    }
}

const LOOKING: &str = "look through the jobs";

fn ids(fields: Vec<(Lossy, Vec<u8>)>) -> Vec<JobId> {
    fields.into_iter().filter_map(|(id, _)| id.0.parse().ok()).collect()
}
