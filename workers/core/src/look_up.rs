//! Where a job stands, by all that is known of it: Redis while it has the job, the events that are on their way to Postgres, and
//! Postgres. By Postgres alone a job that has just ended would still wait.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::DateTime;
use futures::future::try_join_all;
use perch_base::Settings;
use perch_jobs::{JobId, QueueName};
use perch_queue::{EventKind, JobEvent, JobState, JobView, QueueError, Queues};
use perch_store::{AttemptOutcome, AttemptRecord, JobNews, JobRecord, News, Store, StoreError, Syncer};

/// Events that one look reads of a queue: hundreds of times what is on its way while the sync runs.
const MOST_EVENTS: usize = 200_000;

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    /// Redis.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Postgres, or the streams of Redis.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A job that Postgres knows.
#[derive(Debug, Clone)]
pub struct JobStanding {
    /// What is known of it.
    pub record: JobRecord,
    /// False when Redis does not have it and nothing tells how it ended: its state is the last that was told.
    pub is_known: bool,
}

impl JobStanding {
    /// A job that Redis does not have, by its record and what has been told since; `is_whole` when that is all that was told. `None`
    /// when nobody knows the job.
    pub fn of_gone(record: Option<JobRecord>, news: Option<&JobNews>, is_whole: bool) -> Option<Self> {
        let record = match news {
            Some(news) => news.onto(record),
            None => record,
        }?;
        let is_known = match record.state {
            // Brought back or discarded, if not everything is known that was told since.
            perch_store::JobState::Dead => is_whole,
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
    /// Of the deployment with these queues.
    pub fn new(queues: &Queues, store: &Store, settings: &Settings) -> Self {
        let syncer =
            Syncer::new(queues.redis().clone(), store.clone(), settings.env, &queues.names(), settings.sync.batch);
        Self { queues: queues.clone(), store: store.clone(), syncer }
    }

    /// What events that Postgres does not have yet say of a job, in whatever queue it is; and whether that is all that they say.
    /// Ask Redis for the job before, and Postgres after this.
    pub async fn news(&self, id: JobId) -> Result<(Option<JobNews>, bool), StoreError> {
        self.news_of(id, &self.queues.names()).await
    }

    async fn news_of(&self, id: JobId, names: &[QueueName]) -> Result<(Option<JobNews>, bool), StoreError> {
        let jobs = HashSet::from([id]);
        let all = try_join_all(names.iter().map(|queue| self.syncer.news(queue, &jobs, MOST_EVENTS))).await?;
        let is_whole = all.iter().all(|news| news.is_whole);
        Ok((all.into_iter().find_map(|mut news| news.jobs.remove(&id)), is_whole))
    }

    /// A job that Redis did not have when it was asked, with the events that tell of it; `None` when nobody knows it.
    pub async fn gone(&self, id: JobId) -> Result<Option<(JobStanding, Vec<JobEvent>)>, StoreError> {
        let history = self.store.history();
        let first = history.job(id).await?;
        if let Some(record) = &first
            && record.state.is_final()
            && record.state != perch_store::JobState::Dead
        {
            return Ok(first.map(|record| (JobStanding { record, is_known: true }, Vec::new())));
        }
        let (news, is_whole) = match &first {
            Some(record) => self.news_of(id, std::slice::from_ref(&record.queue)).await?,
            None => self.news(id).await?,
        };
        // Once more: what was moved in between is in it.
        let standing = JobStanding::of_gone(history.job(id).await?, news.as_ref(), is_whole);
        Ok(standing.map(|standing| (standing, news.map(|news| news.events).unwrap_or_default())))
    }

    /// Brings records up to what Redis and the events say. They were read before, so what those say is newer.
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
            let News { jobs, .. } = self.syncer.news(&name, &gone, MOST_EVENTS).await?;
            told.extend(jobs);
        }
        Ok(records.into_iter().map(|record| standing(record, &views, &told)).collect())
    }
}

fn standing(record: JobRecord, views: &HashMap<JobId, JobView>, told: &HashMap<JobId, JobNews>) -> JobStanding {
    if let Some(view) = views.get(&record.id) {
        let attempts = view.attempts;
        return JobStanding { record: JobRecord { state: recorded(view.state), attempts, ..record }, is_known: true };
    }
    let brought = told.get(&record.id).and_then(|news| news.onto(Some(record.clone())));
    let record = brought.unwrap_or(record);
    let is_known = record.state.is_final();
    JobStanding { record, is_known }
}

/// The word of the history for where Redis has a job.
pub fn recorded(state: JobState) -> perch_store::JobState {
    match state {
        JobState::Waiting => perch_store::JobState::Waiting,
        JobState::Delayed => perch_store::JobState::Scheduled,
        JobState::Running => perch_store::JobState::Running,
        JobState::Dead => perch_store::JobState::Dead,
    }
}

/// The attempts of a job, oldest first: those of the history, and what events on their way there tell.
pub fn attempts(history: Vec<AttemptRecord>, told: &[JobEvent]) -> Vec<AttemptRecord> {
    let mut all = history;
    for event in told {
        tell(&mut all, event);
    }
    // The sort keeps the order of attempts that share a number: those that did not count come first.
    all.sort_by_key(|known| known.attempt);
    all
}

/// Adds what an event tells of an attempt. The history may have been read later, and know it already.
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
    let begun = AttemptRecord {
        attempt,
        worker: data.worker.clone(),
        started_at: None,
        finished_at: None,
        duration_ms: None,
        outcome: AttemptOutcome::Running,
        error: None,
        next_run: None,
        trace: None,
    };
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

/// What an event says of the attempt it belongs to.
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
    fn an_attempt_that_ended_since_the_last_sync_is_told_as_it_ended() {
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
        let begun = attempts(Vec::new(), &told[..1]);
        let all = attempts(begun, &told[1..]);
        assert_eq!(words(&all), both);
        assert_eq!((all[1].worker.as_deref(), all[1].duration_ms), (Some("w2"), Some(900)));
        assert_eq!(words(&attempts(all, &told)), both, "a history that was read later knows them already");
    }
}
