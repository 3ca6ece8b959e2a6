//! The sync: it moves the event streams of the queues, and the records that bots write, from Redis into Postgres.
//!
//! Each batch is one transaction that writes its rows and moves the cursor of its stream; the entries are trimmed afterwards. While one
//! batch is written, the next is read, and its events, which are append-only, are written ahead through a second connection; a
//! transaction commits only when the events of its batch are written. After a crash before the commit the batch is read again; after
//! a crash between commit and trim, the cursor skips its entries. Versions and keys make writing a row idempotent.

mod ahead;
mod batch;
mod cursor;
mod fold;
mod rejects;
mod rows;
mod stream;
mod trim;
mod unit;
mod write;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use perch_base::{Environment, crash_point};
use perch_jobs::QueueName;
use perch_queue::{EntryId, Keys, Redis};
use serde::Serialize;

use crate::query_as;

pub use self::{
    ahead::{SyncedPosition, UnsyncedEvents, UnsyncedJob},
    rejects::SyncReject,
};
use self::{
    batch::{HotUnit, JobBatch, SyncBatch},
    stream::{Continuity, Entry, Position, StreamRead},
    trim::TrimCandidates,
    unit::SourceField,
    write::{CursorMove, written},
};
use crate::{Store, StoreError, hot, record::signed, row::unsigned};

/// Moves the hot state into Postgres. Any number may run at once; each entry is moved once.
#[derive(Debug, Clone)]
pub struct Syncer {
    redis: Redis,
    store: Store,
    streams: Vec<SyncStream>,
    batch: usize,
    /// Whether every stream has been read in full since the start.
    looked: Arc<AtomicBool>,
    /// By the name of the stream.
    trim_candidates: Arc<Mutex<HashMap<String, TrimCandidates>>>,
    kept: Duration,
}

#[derive(Debug, Clone)]
struct SyncStream {
    /// Its name in the cursors, in reports and in metrics.
    name: String,
    key: String,
    /// `None` for the records that bots write.
    queue: Option<QueueName>,
}

/// What one run moved.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SyncReport {
    /// Job events.
    pub events: u64,
    /// Records of bots.
    pub hot: u64,
    /// The streams that had something, by name: `events:<queue>` or `hot`.
    pub streams: Vec<StreamReport>,
    /// The age of the oldest entry that was found waiting, over all streams.
    pub lag: Duration,
    /// False when a stream filled as fast as it was emptied, and the run stopped before its end.
    pub complete: bool,
}

/// What one run moved from one stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StreamReport {
    /// The stream.
    pub name: String,
    /// Events or records moved.
    pub rows: u64,
    /// Entries that were trimmed before they could be moved.
    pub lost_entries: u64,
    /// Events or records that cannot be stored; they are in the table `sync_rejects`.
    pub rejected: u64,
    /// The age of the oldest entry that was found waiting.
    pub lag: Duration,
}

/// How far behind Postgres is with one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamLag {
    /// The stream: `events:<queue>` or `hot`.
    pub name: String,
    /// The age of the oldest entry that is not in Postgres yet; zero when there is none.
    pub lag: Duration,
    /// Entries that Redis holds, the last one moved included.
    pub entries: u64,
}

/// A stream of which Postgres has fewer entries than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    /// The stream: `events:<queue>` or `hot`.
    pub stream: String,
    /// The last entry that Postgres had.
    pub had: EntryId,
    /// The last entry that Postgres has now.
    pub has: EntryId,
}

/// How long entries stay in Redis after they were moved.
const KEPT: Duration = Duration::from_secs(60);

/// The most batches moved from one stream in one run, so that a run ends even when entries arrive as fast as they are moved.
const MOST_BATCHES: usize = 1_000;

impl Syncer {
    /// A sync of the events of `queues` and of the records of bots, `batch` rows to a transaction (an entry is never
    /// split, so it may be up to 500 more).
    pub fn new(redis: Redis, store: Store, env: Environment, queues: &[QueueName], batch: usize) -> Self {
        let mut streams = vec![SyncStream { name: "hot".to_owned(), key: hot::stream_key(env), queue: None }];
        streams.extend(queues.iter().map(|queue| SyncStream {
            name: format!("events:{queue}"),
            key: Keys::new(env, queue).events(),
            queue: Some(queue.clone()),
        }));
        let (looked, trim_candidates) = (Arc::default(), Arc::default());
        Self { redis, store, streams, batch: batch.max(1), looked, trim_candidates, kept: KEPT }
    }

    /// Sets how long Redis keeps entries after they were moved (60 s by default): a Postgres that loses its last seconds, by a failover
    /// to a standby that lagged, gets them again. A process that lives for less time trims nothing.
    #[must_use]
    pub fn keeping(self, kept: Duration) -> Self {
        Self { kept, ..self }
    }

    /// Moves everything there is. A stream that fails does not stop the others; its error is returned at the end.
    pub async fn run_once(&self) -> Result<SyncReport, StoreError> {
        let positions = cursor::load(&self.store).await?;
        for SyncStream { name, .. } in &self.streams {
            let has = positions.get(name).copied().unwrap_or_default().id;
            self.trim_candidates(name, |candidates, now| candidates.note(has, now, self.kept));
        }
        let mut report = SyncReport { complete: true, ..SyncReport::default() };
        let mut failure = None;
        for stream in self.with_news(&positions).await? {
            let mut from = positions.get(&stream.name).copied().unwrap_or_default();
            let mut line = StreamReport { name: stream.name.clone(), ..StreamReport::default() };
            let drained = self.drain(stream, &mut from, &mut line).await;
            match drained {
                Ok(complete) => report.complete &= complete,
                Err(error) if error.is_unavailable() => return Err(error),
                Err(error) => {
                    tracing::error!(stream = stream.name, %error, "the sync of a stream failed");
                    failure.get_or_insert(error);
                }
            }
            if stream.queue.is_some() {
                report.events += line.rows;
            } else {
                report.hot += line.rows;
            }
            report.lag = report.lag.max(line.lag);
            report.streams.push(line);
        }
        failure.map_or(Ok(report), Err)
    }

    /// The streams that hold entries after their cursor. On a single server that is one command for all of them,
    /// so that a sync with nothing to do costs next to nothing.
    async fn with_news(&self, positions: &HashMap<String, Position>) -> Result<Vec<&SyncStream>, StoreError> {
        // A stream that was recreated under a clock that is behind is only detected by a full read, which is needed once.
        // The nodes of a cluster are always asked one by one.
        if self.redis.is_cluster() || !self.looked.swap(true, Ordering::Relaxed) {
            return Ok(self.streams.iter().collect());
        }
        let mut cmd = redis::cmd("XREAD");
        cmd.arg("COUNT").arg(1).arg("STREAMS");
        for stream in &self.streams {
            cmd.arg(&stream.key);
        }
        for stream in &self.streams {
            let id = positions.get(&stream.name).copied().unwrap_or_default().id;
            cmd.arg(id.to_string());
        }
        // Only the names in the answer matter: the entries are read one stream at a time.
        type Named = Vec<(Vec<u8>, redis::Value)>;
        let found = match self.redis.cmd::<Option<Named>>("look for news in streams", &cmd).await {
            Ok(found) => found.unwrap_or_default(),
            Err(error) if error.is_unavailable() => return Err(error.into()),
            Err(error) => {
                // One of the keys is not a stream. Read one by one, it does not stop the others.
                tracing::error!(%error, "the streams cannot be read together");
                return Ok(self.streams.iter().collect());
            }
        };
        let has_news = |stream: &&SyncStream| found.iter().any(|(name, _)| name == stream.key.as_bytes());
        let (news, idle): (Vec<_>, Vec<_>) = self.streams.iter().partition(has_news);
        for stream in idle {
            note_lag(stream, Duration::ZERO);
        }
        Ok(news)
    }

    /// Moves one stream until nothing is left. False when it stopped before.
    async fn drain(
        &self,
        stream: &SyncStream,
        from: &mut Position,
        line: &mut StreamReport,
    ) -> Result<bool, StoreError> {
        let mut next = self.read(stream, *from, line).await?;
        for _ in 0..MOST_BATCHES {
            let Some(PendingBatch { step, batch, unreadable, more }) = next else {
                note_lag(stream, Duration::ZERO);
                return Ok(true);
            };
            crash_point!("sync.read");
            let (to, continuity, rows) = (step.to, step.continuity, batch.len());
            let writing = written(self.store.clone(), step, batch, unreadable);
            let reading = async { if more { self.read(stream, to, line).await } else { Ok(None) } };
            let (written, following) = tokio::join!(writing, reading);
            let Some(rejected) = written? else {
                // Another sync was faster; continue from its cursor.
                *from = cursor::one(&self.store, &stream.name).await?;
                self.trim_candidates(&stream.name, |candidates, now| candidates.note(from.id, now, self.kept));
                next = self.read(stream, *from, line).await?;
                continue;
            };
            crash_point!("sync.committed");
            *from = to;
            if continuity == Continuity::Restarted {
                self.trim_candidates(&stream.name, |candidates, _| candidates.forget());
            }
            count(stream, line, rows, rejected, continuity);
            self.let_go(stream, to.id).await?;
            crash_point!("sync.trimmed");
            next = following?;
        }
        Ok(false)
    }

    /// Records in Redis that Postgres has the entries up to `upto`, and trims those that it has had for long enough.
    async fn let_go(&self, stream: &SyncStream, upto: EntryId) -> Result<(), StoreError> {
        stream::note_synced(&self.redis, &stream.key, upto).await?;
        let settled = self.trim_candidates(&stream.name, |candidates, now| {
            candidates.note(upto, now, self.kept);
            candidates.take(now, self.kept)
        });
        match settled {
            Some(settled) => stream::trim(&self.redis, &stream.key, settled).await,
            None => Ok(()),
        }
    }

    fn trim_candidates<T>(&self, stream: &str, work: impl FnOnce(&mut TrimCandidates, Instant) -> T) -> T {
        let mut all = self.trim_candidates.lock().unwrap_or_else(PoisonError::into_inner);
        work(all.entry(stream.to_owned()).or_default(), Instant::now())
    }

    /// Reads the next batch of a stream. `None` when there is none.
    async fn read(
        &self,
        stream: &SyncStream,
        from: Position,
        line: &mut StreamReport,
    ) -> Result<Option<PendingBatch>, StoreError> {
        let (look, continuity) = self.look(stream, from, self.batch).await?;
        line.lag = line.lag.max(look.lag());
        note_lag(stream, look.lag());
        if look.entries.is_empty() {
            return Ok(None);
        }
        if self.has_rolled_back(stream, &look, from).await? {
            tracing::warn!(
                stream = stream.name,
                "Postgres has fewer entries of a stream than before; they are written again"
            );
            self.store.recovery().note_loss().await?;
        }
        let step = CursorMove { stream: stream.name.clone(), from, to: look.after(from), continuity };
        let more = look.more;
        let (batch, unreadable) = self.sort_out(stream, look.entries)?;
        Ok(Some(PendingBatch { step, batch, unreadable, more }))
    }

    /// Whether Postgres has fewer entries of a stream than before. Another sync may just have moved the cursor, so it is read again.
    async fn has_rolled_back(
        &self,
        stream: &SyncStream,
        look: &StreamRead,
        from: Position,
    ) -> Result<bool, StoreError> {
        Ok(look.is_beyond(from) && look.is_beyond(cursor::one(&self.store, &stream.name).await?))
    }

    /// Converts entries to rows; what cannot be read is returned with the reason.
    fn sort_out(
        &self,
        stream: &SyncStream,
        entries: Vec<Entry>,
    ) -> Result<(SyncBatch, Vec<(SourceField, String)>), StoreError> {
        let mut unreadable = Vec::new();
        if let Some(queue) = &stream.queue {
            let units = fold::fold(queue, entries, &mut unreadable);
            return Ok((SyncBatch::Jobs(Box::new(JobBatch::begin(&self.store, units)?)), unreadable));
        }
        let mut units = Vec::new();
        for entry in entries {
            for (index, (field, value)) in (0u32..).zip(entry.fields) {
                let source = SourceField { entry: entry.id, version: entry.version, index, field, value };
                match HotUnit::read(source, &self.store.records) {
                    Ok(unit) => units.push(unit),
                    Err(reject) => unreadable.push(reject),
                }
            }
        }
        Ok((SyncBatch::Hot(units), unreadable))
    }

    /// Reads what follows a position. A stream that was recreated, or came back without its last entries, is read from its beginning:
    /// entries added since may have lower ids, because they follow another clock.
    async fn look(
        &self,
        stream: &SyncStream,
        from: Position,
        fields: usize,
    ) -> Result<(StreamRead, Continuity), StoreError> {
        let mut look = stream::read(&self.redis, &stream.key, from.id, fields).await?;
        let continuity = look.continuity(from);
        if continuity == Continuity::Restarted {
            tracing::warn!(stream = stream.name, "the stream was recreated; reading it from its beginning");
            look = stream::read(&self.redis, &stream.key, EntryId::default(), fields).await?;
        }
        let doubtful = look.not_later_than(from.version);
        let moved = if doubtful.is_empty() { HashSet::new() } else { self.moved(stream, &doubtful).await? };
        look.give_versions(from.version, |id| moved.contains(&id));
        Ok((look, continuity))
    }

    /// The entries that are already in Postgres. The events are compared too, because another server may have reused an id. Entries of the
    /// records of bots are not stored, so all of them count as moved.
    async fn moved(&self, stream: &SyncStream, entries: &[(EntryId, &str)]) -> Result<HashSet<EntryId>, StoreError> {
        let Some(queue) = &stream.queue else { return Ok(entries.iter().map(|(id, _)| *id).collect()) };
        let rows: Vec<(i64, i64)> = query_as!(
            "select distinct e.ms, e.seq from job_events e
             join unnest($3::bigint[], $4::bigint[], $5::text[]) as asked(ms, seq, event)
                  on e.ms = asked.ms and e.seq = asked.seq and e.kind || ' ' || e.job_id = asked.event
             where e.environment = $1 and e.queue = $2",
            self.store.env_name(),
            queue.as_str(),
            entries.iter().map(|(id, _)| signed(id.ms)).collect::<Vec<_>>(),
            entries.iter().map(|(id, _)| signed(id.seq)).collect::<Vec<_>>(),
            entries.iter().map(|(_, event)| event.replace('\0', "")).collect::<Vec<_>>()
        )
        .fetch_all(&self.store.pool)
        .await
        .map_err(StoreError::on("look for events that were moved before"))?;
        Ok(rows.into_iter().map(|(ms, seq)| EntryId { ms: unsigned(ms), seq: unsigned(seq) }).collect())
    }

    /// The streams of which Postgres has fewer entries than before: it was restored from an older copy, or a standby that lagged was
    /// promoted.
    pub async fn rolled_back(&self) -> Result<Vec<RolledBack>, StoreError> {
        // Redis is read before Postgres: a sync records in Redis only what Postgres already has.
        let mut had = Vec::with_capacity(self.streams.len());
        for stream in &self.streams {
            had.push(stream::synced(&self.redis, &stream.key).await?);
        }
        let positions = cursor::load(&self.store).await?;
        let rolled_back = |(stream, had): (&SyncStream, Option<EntryId>)| {
            let has = positions.get(&stream.name).copied().unwrap_or_default().id;
            let had = had.filter(|had| *had > has)?;
            Some(RolledBack { stream: stream.name.clone(), had, has })
        };
        Ok(self.streams.iter().zip(had).filter_map(rolled_back).collect())
    }

    /// Accepts what Postgres has now as complete, once an operator has dealt with the loss.
    pub async fn accept_roll_back(&self) -> Result<(), StoreError> {
        let streams: HashMap<&str, &SyncStream> =
            self.streams.iter().map(|stream| (stream.name.as_str(), stream)).collect();
        for RolledBack { stream, has, .. } in self.rolled_back().await? {
            stream::note_synced(&self.redis, &streams[stream.as_str()].key, has).await?;
        }
        Ok(())
    }

    /// How far Postgres is behind, for each stream. Moves nothing.
    pub async fn lag(&self) -> Result<Vec<StreamLag>, StoreError> {
        let positions = cursor::load(&self.store).await?;
        let mut lags = Vec::with_capacity(self.streams.len());
        for stream in &self.streams {
            let from = positions.get(&stream.name).copied().unwrap_or_default();
            let (look, _) = self.look(stream, from, 1).await?;
            note_lag(stream, look.lag());
            lags.push(StreamLag { name: stream.name.clone(), lag: look.lag(), entries: look.length() });
        }
        Ok(lags)
    }
}

/// A batch that was read but not written yet.
struct PendingBatch {
    step: CursorMove,
    batch: SyncBatch,
    unreadable: Vec<(SourceField, String)>,
    more: bool,
}

fn count(stream: &SyncStream, line: &mut StreamReport, rows: u64, rejected: u64, continuity: Continuity) {
    line.rows += rows;
    line.rejected += rejected;
    metrics::counter!("perch_sync_rows_total", "stream" => stream.name.clone()).increment(rows);
    metrics::counter!("perch_sync_rejects_total", "stream" => stream.name.clone()).increment(rejected);
    if let Continuity::Gap(lost) = continuity {
        line.lost_entries += lost;
        metrics::counter!("perch_sync_lost_entries_total", "stream" => stream.name.clone()).increment(lost);
        tracing::error!(stream = stream.name, lost, "entries were trimmed before they could be synced");
    }
}

fn note_lag(stream: &SyncStream, lag: Duration) {
    metrics::gauge!("perch_sync_lag_seconds", "stream" => stream.name.clone()).set(lag.as_secs_f64());
}
