//! Looks up the state of a job in Redis, in the events that are not synced into Postgres yet, and in Postgres. By Postgres alone a job that
//! has just ended would still be waiting.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta};
use futures::future::try_join_all;
use perch_base::Settings;
use perch_jobs::{JobId, JobState, QueueName};
use perch_queue::{EventData, EventKind, JobEvent, JobView, QueueError, Queues};
use perch_store::{AttemptOutcome, AttemptRecord, JobRecord, Store, StoreError, Syncer, UnsyncedEvents, UnsyncedJob};

/// The most events of a queue that one look-up reads: hundreds of times the usual backlog of the sync.
const MOST_EVENTS: usize = 200_000;

/// Why a job cannot be looked up.
#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    /// Redis.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Postgres, or the streams of Redis.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The record of a job, brought up to date.
#[derive(Debug, Clone)]
pub struct JobStanding {
    /// Its record.
    pub record: JobRecord,
    /// False when Redis does not have the job and no event says how it ended: the state is then the last one recorded.
    pub is_known: bool,
}

impl JobStanding {
    /// A job that Redis does not have, by its record and the events since; `is_whole` says that no event is missing. `None` when neither
    /// has the job.
    pub fn of_gone(record: Option<JobRecord>, news: Option<&UnsyncedJob>, is_whole: bool) -> Option<Self> {
        let record = match news {
            Some(news) => news.apply_to(record),
            None => record,
        }?;
        let is_known = match record.state {
            // Where events are missing, it may have been replayed or discarded.
            JobState::Dead => is_whole,
            state => state.is_final(),
        };
        Some(Self { record, is_known })
    }
}

/// Looks jobs up.
#[derive(Debug, Clone)]
pub struct LookUp {
    queues: Queues,
    store: Store,
    syncer: Syncer,
}

impl LookUp {
    /// A look-up in the deployment with these queues.
    pub fn new(queues: &Queues, store: &Store, settings: &Settings) -> Self {
        let syncer =
            Syncer::new(queues.redis().clone(), store.clone(), settings.env, &queues.names(), settings.sync.batch);
        Self { queues: queues.clone(), store: store.clone(), syncer }
    }

    /// The events of a job, in any queue, that are not synced into Postgres yet, and whether all of them were read. To miss nothing, read
    /// the job from Redis before this, and from Postgres after it.
    pub async fn news(&self, id: JobId) -> Result<(Option<UnsyncedJob>, bool), StoreError> {
        self.news_of(id, &self.queues.names()).await
    }

    async fn news_of(&self, id: JobId, names: &[QueueName]) -> Result<(Option<UnsyncedJob>, bool), StoreError> {
        let jobs = HashSet::from([id]);
        let all = try_join_all(names.iter().map(|queue| self.syncer.unsynced(queue, &jobs, MOST_EVENTS))).await?;
        let is_whole = all.iter().all(|news| news.is_whole);
        Ok((all.into_iter().find_map(|mut news| news.jobs.remove(&id)), is_whole))
    }

    /// A job that Redis did not have, with its events that are not synced yet; `None` when no source has it.
    pub async fn gone(&self, id: JobId) -> Result<Option<(JobStanding, Vec<JobEvent>)>, StoreError> {
        let history = self.store.history();
        let first = history.job(id).await?;
        if let Some(record) = &first
            && record.state.is_final()
            && record.state != JobState::Dead
        {
            return Ok(first.map(|record| (JobStanding { record, is_known: true }, Vec::new())));
        }
        let (news, is_whole) = match &first {
            Some(record) => self.news_of(id, std::slice::from_ref(&record.queue)).await?,
            None => self.news(id).await?,
        };
        // Read again: events that were synced in between are in it.
        let standing = JobStanding::of_gone(history.job(id).await?, news.as_ref(), is_whole);
        Ok(standing.map(|standing| (standing, news.map(|news| news.events).unwrap_or_default())))
    }

    /// Brings records up to date from Redis and the events, which are newer because the records were read before.
    pub async fn standing(&self, records: Vec<JobRecord>) -> Result<Vec<JobStanding>, LookUpError> {
        let mut by_queue: BTreeMap<QueueName, Vec<JobId>> = BTreeMap::new();
        for record in &records {
            by_queue.entry(record.queue.clone()).or_default().push(record.id);
        }
        let (mut views, mut told) = (HashMap::new(), HashMap::new());
        for (name, ids) in by_queue {
            let Some(queue) = self.queues.get(&name) else { continue };
            views.extend(queue.jobs(&ids).await?.into_iter().map(|view| (view.id, view)));
            let gone = ids.into_iter().filter(|id| !views.contains_key(id)).collect();
            let UnsyncedEvents { jobs, .. } = self.syncer.unsynced(&name, &gone, MOST_EVENTS).await?;
            told.extend(jobs);
        }
        Ok(records.into_iter().map(|record| standing(record, &views, &told)).collect())
    }
}

fn standing(record: JobRecord, views: &HashMap<JobId, JobView>, told: &HashMap<JobId, UnsyncedJob>) -> JobStanding {
    if let Some(view) = views.get(&record.id) {
        let attempts = view.attempts;
        return JobStanding { record: JobRecord { state: view.state, attempts, ..record }, is_known: true };
    }
    let brought = told.get(&record.id).and_then(|news| news.apply_to(Some(record.clone())));
    let record = brought.unwrap_or(record);
    let is_known = record.state.is_final();
    JobStanding { record, is_known }
}

/// The attempts of a job, oldest first: from the history, from events that are not synced yet, and from Redis if it has the job.
pub fn attempts(history: Vec<AttemptRecord>, told: &[JobEvent], live: Option<&JobView>) -> Vec<AttemptRecord> {
    let mut all = history;
    for event in told {
        tell(&mut all, event);
    }
    if let Some(view) = live {
        remember(&mut all, view);
    }
    // The sort is stable: of attempts with the same number, those that did not count stay first.
    all.sort_by_key(|known| known.attempt);
    all
}

/// Adds what only Redis has: the last errors, and that the job is running.
fn remember(all: &mut Vec<AttemptRecord>, view: &JobView) {
    let runs = |known: &AttemptRecord, attempt| known.attempt == attempt && known.outcome == AttemptOutcome::Running;
    for found in view.errors.iter().rev().filter_map(remembered) {
        let is_same = |known: &AttemptRecord| known.attempt == found.attempt && known.error == found.error;
        if all.iter().any(|known| is_same(known) && known.outcome != AttemptOutcome::Running) {
            continue;
        }
        // The history has the start of the attempt; only Redis has its end.
        match all.iter_mut().find(|known| runs(known, found.attempt)) {
            Some(begun) => *begun = AttemptRecord { started_at: begun.started_at.or(found.started_at), ..found },
            None => all.push(found),
        }
    }
    if view.state == JobState::Running && !all.iter().any(|known| runs(known, view.attempts)) {
        all.push(AttemptRecord { worker: view.worker.clone(), ..begun(view.attempts) });
    }
}

/// The record of a failed attempt from what Redis keeps of it.
fn remembered(data: &EventData) -> Option<AttemptRecord> {
    let finished_at = data.at.and_then(DateTime::from_timestamp_millis);
    let took = data.ms.and_then(|ms| i64::try_from(ms).ok()).and_then(TimeDelta::try_milliseconds);
    Some(AttemptRecord {
        worker: data.worker.clone(),
        started_at: finished_at.zip(took).and_then(|(at, took)| at.checked_sub_signed(took)),
        finished_at,
        duration_ms: data.ms,
        outcome: AttemptOutcome::Failed,
        error: data.error.clone(),
        next_run: data.next.and_then(DateTime::from_timestamp_millis),
        trace: data.trace.clone(),
        ..begun(data.attempt?)
    })
}

/// An attempt that began; nothing else is known of it.
fn begun(attempt: u32) -> AttemptRecord {
    AttemptRecord {
        attempt,
        worker: None,
        started_at: None,
        finished_at: None,
        duration_ms: None,
        outcome: AttemptOutcome::Running,
        error: None,
        next_run: None,
        trace: None,
    }
}

/// Adds an event to the attempts. The history may have been read later and have it already.
fn tell(all: &mut Vec<AttemptRecord>, event: &JobEvent) {
    let (data, at) = (event.data(), Some(event.at()));
    let (Some(attempt), Some(outcome)) = (data.attempt, outcome(event.kind)) else { return };
    let is_known = |known: &AttemptRecord| {
        known.attempt == attempt
            && known.outcome != AttemptOutcome::Running
            && (known.finished_at >= at || known.started_at >= at)
    };
    if all.iter().any(is_known) {
        return;
    }
    let running = all.iter_mut().find(|known| known.attempt == attempt && known.outcome == AttemptOutcome::Running);
    let begun = AttemptRecord { worker: data.worker.clone(), ..begun(attempt) };
    if outcome == AttemptOutcome::Running {
        if running.is_none() {
            all.push(AttemptRecord { started_at: at, ..begun });
        }
        return;
    }
    let ended = |begun: AttemptRecord| AttemptRecord {
        worker: data.worker.clone().or(begun.worker),
        finished_at: at,
        duration_ms: data.ms,
        outcome,
        error: data.error.clone(),
        next_run: data.next.and_then(DateTime::from_timestamp_millis),
        trace: data.trace.clone(),
        ..begun
    };
    match running {
        Some(running) => *running = ended(running.clone()),
        None => all.push(ended(begun)),
    }
}

/// The outcome of an attempt by an event.
fn outcome(event: EventKind) -> Option<AttemptOutcome> {
    Some(match event {
        EventKind::Started => AttemptOutcome::Running,
        EventKind::Succeeded => AttemptOutcome::Succeeded,
        EventKind::Retried => AttemptOutcome::Retried,
        EventKind::Snoozed => AttemptOutcome::Snoozed,
        EventKind::Dead => AttemptOutcome::Dead,
        EventKind::Cancelled => AttemptOutcome::Cancelled,
        EventKind::Lost => AttemptOutcome::Lost,
        EventKind::Released => AttemptOutcome::Released,
        EventKind::Enqueued | EventKind::Replayed | EventKind::Discarded => return None,
    })
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use perch_queue::EntryId;

    use super::*;

    #[test]
    fn an_attempt_that_ended_since_the_last_sync_has_its_outcome() {
        let job = JobId::at(Utc::now());
        let event = |word: &str, ms: u64, value: &str| {
            JobEvent::read(EntryId { ms, seq: 0 }, 0, &format!("{word} {job}"), value.into()).expect("an event")
        };
        let told = [
            event("started", 500, r#"{"attempt":1,"worker":"w"}"#),
            event("retried", 1_000, r#"{"attempt":1,"error":"503","ms":5}"#),
            event("started", 2_000, r#"{"attempt":2,"worker":"w2"}"#),
            event("succeeded", 3_000, r#"{"attempt":2,"ms":900}"#),
        ];
        let words = |all: &[AttemptRecord]| -> Vec<(u32, AttemptOutcome)> {
            all.iter().map(|attempt| (attempt.attempt, attempt.outcome)).collect()
        };
        let both = [(1, AttemptOutcome::Retried), (2, AttemptOutcome::Succeeded)];
        let begun = attempts(Vec::new(), &told[..1], None);
        let all = attempts(begun, &told[1..], None);
        assert_eq!(words(&all), both);
        assert_eq!((all[1].worker.as_deref(), all[1].duration_ms), (Some("w2"), Some(900)));
        assert_eq!(words(&attempts(all, &told, None)), both, "a history that was read later knows them already");
    }

    fn record(attempt: u32, outcome: AttemptOutcome, error: Option<&str>) -> AttemptRecord {
        AttemptRecord { outcome, error: error.map(str::to_owned), ..begun(attempt) }
    }

    fn view(state: JobState, attempts: u32, errors: &[(u32, &str)]) -> JobView {
        JobView {
            id: JobId::at(Utc::now()),
            queue: QueueName::from_static("extraction"),
            state,
            due: None,
            lease_ends: None,
            worker: Some("w".into()),
            attempts,
            cancelling: false,
            unknown_kind_since: None,
            errors: errors
                .iter()
                .map(|(attempt, error)| EventData {
                    attempt: Some(*attempt),
                    error: Some((*error).to_owned()),
                    ms: Some(5),
                    ..EventData::default()
                })
                .collect(),
            envelope: String::new(),
        }
    }

    fn outcomes(history: &[AttemptRecord], view: &JobView) -> Vec<(u32, AttemptOutcome)> {
        let all = attempts(history.to_vec(), &[], Some(view));
        all.iter().map(|attempt| (attempt.attempt, attempt.outcome)).collect()
    }

    #[test]
    fn an_attempt_in_both_redis_and_the_history_is_listed_once() {
        let history = [record(1, AttemptOutcome::Retried, Some("503"))];
        let view = view(JobState::Delayed, 2, &[(2, "timeout"), (1, "503")]);
        assert_eq!(outcomes(&history, &view), [(1, AttemptOutcome::Retried), (2, AttemptOutcome::Failed)]);
    }

    #[test]
    fn without_postgres_the_attempts_are_those_that_redis_has() {
        let view = view(JobState::Running, 3, &[(2, "second"), (1, "first")]);
        let all = [(1, AttemptOutcome::Failed), (2, AttemptOutcome::Failed), (3, AttemptOutcome::Running)];
        assert_eq!(outcomes(&[], &view), all);
    }

    #[test]
    fn an_attempt_that_failed_since_the_last_sync_does_not_run_any_more() {
        let begun = [record(1, AttemptOutcome::Running, None)];
        assert_eq!(outcomes(&begun, &view(JobState::Dead, 1, &[(1, "503")])), [(1, AttemptOutcome::Failed)]);
    }
}
