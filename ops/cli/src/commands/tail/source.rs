//! Reads the events of one queue from a time on, each once: first from the history, then from the stream. The sync moves entries from
//! the stream into the history, so an entry is looked for in the stream first, and in the history when
//! the stream does not go back that far.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use perch_jobs::JobId;
use perch_queue::{EntryId, JobEvent, Queue};
use perch_store::{QueueEvent, Store, Syncer};

use super::event::TailEvent;
use crate::{
    error::{CommandError, chain},
    live::Kinds,
    output::Output,
};

/// Entries, or events of the history, read in one step.
const PAGE: usize = 500;
/// Most events read to find the kinds of jobs.
const LOOKED_AT: usize = 100_000;

/// The history of a queue.
#[derive(Clone)]
pub struct History {
    pub store: Store,
    pub syncer: Syncer,
}

/// The events of one queue.
pub struct Source {
    queue: Queue,
    past: Option<History>,
    since: DateTime<Utc>,
    /// The last entry that was read.
    entry: EntryId,
    /// The last event that was read from the history.
    place: (EntryId, u32),
    /// Whether entries were read already, so that a gap can be noticed.
    has_begun: bool,
    kinds: Kinds,
    out: Output,
}

impl Source {
    /// The events of `queue` from `since` on.
    pub fn new(queue: &Queue, past: Option<History>, since: DateTime<Utc>, out: Output) -> Self {
        let ms = u64::try_from(since.timestamp_millis()).unwrap_or(0).saturating_sub(1);
        let entry = EntryId { ms, seq: u64::MAX };
        let kinds = Kinds::default();
        Self { queue: queue.clone(), past, since, entry, place: (entry, u32::MAX), has_begun: false, kinds, out }
    }

    /// The next events, oldest first; none when there are none yet.
    pub async fn page(&mut self) -> Result<Vec<TailEvent>, CommandError> {
        loop {
            let entries = self.queue.events_after(self.entry, PAGE).await?;
            if entries.is_empty() {
                return Ok(Vec::new());
            }
            // Read after the page: if the sync removed entries before it, the stream begins later now.
            let first = self.queue.events_after(EntryId::default(), 1).await?;
            let is_unbroken = first.first().is_some_and(|(id, _)| *id <= self.entry);
            if !is_unbroken {
                match self.past_page().await {
                    Ok(Some(events)) if events.is_empty() => continue,
                    Ok(Some(events)) => return Ok(events),
                    Ok(None) => {}
                    Err(error) => {
                        self.out.note(format_args!(
                            "the history of {} cannot be read: {}; this is what Redis still has",
                            self.queue.name(),
                            chain(&error)
                        ));
                        self.past = None;
                    }
                }
            }
            return self.of_stream(&entries, is_unbroken).await;
        }
    }

    /// The next events of the history; `None` when it lacks the entries that the stream has dropped.
    async fn past_page(&mut self) -> Result<Option<Vec<TailEvent>>, CommandError> {
        let Some(History { store, syncer }) = &self.past else { return Ok(None) };
        let name = self.queue.name();
        let synced = syncer.synced(name).await?;
        if synced.entry <= self.entry {
            return Ok(None);
        }
        let most = u32::try_from(PAGE).unwrap_or(u32::MAX);
        let (events, next) = store.history().queue_events(name, self.place, synced.version, self.since, most).await?;
        if let Some(next) = next {
            self.place = next;
        } else {
            (self.entry, self.place) = (synced.entry, (synced.version, u32::MAX));
        }
        self.has_begun = true;
        let mut told: Vec<TailEvent> = events.into_iter().map(|event| TailEvent::of(name, event)).collect();
        // A job whose envelope was synced after its events has no kind there yet.
        self.find_kinds(&mut told).await;
        Ok(Some(told))
    }

    async fn of_stream(
        &mut self,
        entries: &[(EntryId, Vec<JobEvent>)],
        is_unbroken: bool,
    ) -> Result<Vec<TailEvent>, CommandError> {
        if !is_unbroken && self.has_begun {
            self.out.note(format_args!(
                "some events of {} are missing here: the stream had let go of them before they were in the history",
                self.queue.name()
            ));
        }
        if let Some((last, _)) = entries.last() {
            self.entry = *last;
            self.place = self.place.max((*last, u32::MAX));
        }
        self.has_begun = true;
        let mut told = Vec::new();
        for event in entries.iter().flat_map(|(_, events)| events) {
            let kind = self.kinds.of(event).map(|kind| kind.to_string());
            told.push(TailEvent::of(self.queue.name(), QueueEvent { kind, ..QueueEvent::of_stream(event) }));
        }
        self.find_kinds(&mut told).await;
        Ok(told)
    }

    /// Finds kinds that no event carried: in Redis while it has the job, in Postgres, or in events not yet synced.
    async fn find_kinds(&mut self, told: &mut [TailEvent]) {
        let missing = |told: &[TailEvent]| -> HashSet<JobId> {
            told.iter().filter(|told| told.what.kind.is_none()).map(|told| told.what.job).collect()
        };
        let unknown: Vec<JobId> = missing(told).into_iter().collect();
        if unknown.is_empty() {
            return;
        }
        let mut found: HashMap<JobId, String> = HashMap::new();
        for view in self.queue.jobs(&unknown).await.unwrap_or_default() {
            if let Some(envelope) = view.salvaged() {
                found.insert(view.id, envelope.kind.to_string());
            }
        }
        fill(told, &found);
        let unknown = missing(told);
        if let Some(History { store, syncer }) = self.past.as_ref().filter(|_| !unknown.is_empty()) {
            // Events are shown even when a kind cannot be found.
            if let Ok(news) = syncer.unsynced(self.queue.name(), &unknown, LOOKED_AT).await {
                let kinds = news.jobs.iter().filter_map(|(job, news)| Some((*job, news.kind()?.to_owned())));
                found.extend(kinds);
            }
            let unknown: Vec<JobId> = unknown.into_iter().filter(|job| !found.contains_key(job)).collect();
            found.extend(store.history().kinds(&unknown).await.unwrap_or_default());
            fill(told, &found);
        }
        for (job, kind) in found {
            if let Ok(kind) = kind.parse() {
                self.kinds.remember(job, kind);
            }
        }
    }
}

fn fill(told: &mut [TailEvent], found: &HashMap<JobId, String>) {
    for told in told.iter_mut().filter(|told| told.what.kind.is_none()) {
        told.what.kind = found.get(&told.what.job).cloned();
    }
}
