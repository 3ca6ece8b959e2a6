//! Folds a batch of events into one row for each job and one row for each event.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, JobState, QueueName};
use perch_queue::{EntryId, Envelope, EventData, EventKind, JobEvent};
use serde_json::value::RawValue;

use super::{
    stream::Entry,
    unit::{EventRow, JobRow, JobUnit, SourceField},
};
use crate::{
    json,
    record::{signed, storable_time},
};

/// Folds the entries of a queue's stream, oldest first. What this release cannot read as an event goes into `rejects`.
pub(super) fn fold(queue: &QueueName, entries: Vec<Entry>, rejects: &mut Vec<(SourceField, String)>) -> Vec<JobUnit> {
    let mut order: HashMap<JobId, usize> = HashMap::new();
    let mut units: Vec<JobUnit> = Vec::new();
    for entry in entries {
        for (index, (field, value)) in (0u32..).zip(entry.fields) {
            let event = match JobEvent::read(entry.id, index, &field, value) {
                Ok(event) => event,
                Err(value) => {
                    let source = SourceField { entry: entry.id, version: entry.version, index, field, value };
                    rejects.push((source, "not an event that this release knows".to_owned()));
                    continue;
                }
            };
            let at = *order.entry(event.job).or_insert_with(|| {
                let row = blank(queue, event.job, entry.id);
                units.push(JobUnit { row, events: Vec::new(), sources: Vec::new() });
                units.len() - 1
            });
            let unit = &mut units[at];
            // The value of an `enqueued` event is only the envelope.
            let accepted = event.kind == EventKind::Enqueued;
            let mut data = if accepted { EventData::default() } else { event.data() };
            let applied = apply(&mut unit.row, &event, &data);
            (unit.row.version_ms, unit.row.version_seq) = (signed(entry.version.ms), signed(entry.version.seq));
            if accepted {
                data.trace.clone_from(&unit.row.traceparent);
            }
            unit.events.push(event_row(&event, entry.version, data));
            let source = SourceField { entry: entry.id, version: entry.version, index, field, value: event.value };
            if let Err(reason) = applied {
                rejects.push((source.clone(), reason));
            }
            unit.sources.push(source);
        }
    }
    units
}

fn blank(queue: &QueueName, job: JobId, entry: EntryId) -> JobRow {
    let made = storable_time(job.created_at().timestamp_millis()).unwrap_or_else(|| entry.at());
    JobRow {
        id: job.to_string(),
        queue: queue.to_string(),
        kind: None,
        state: JobState::Waiting,
        priority: None,
        payload: None,
        envelope: None,
        group_key: None,
        parent: None,
        max_attempts: None,
        run_at: None,
        created_at: made,
        started_at: None,
        finished_at: None,
        attempts: None,
        replays: None,
        worker: None,
        last_error: None,
        result: None,
        traceparent: None,
        changed_at: entry.at(),
        version_ms: 0,
        version_seq: 0,
    }
}

/// Applies one event to the row. The error says why its envelope could not be read; the rest is applied anyway.
fn apply(row: &mut JobRow, event: &JobEvent, data: &EventData) -> Result<(), String> {
    let at = event.at();
    let mut read = Ok(());
    if matches!(event.kind, EventKind::Enqueued | EventKind::Replayed) {
        read = open_envelope(row, &event.value);
    }
    let next = data.next.and_then(storable_time);
    let run_at = if matches!(event.kind, EventKind::Enqueued) { row.run_at } else { next };
    row.state = next_state(event.kind, run_at, at);
    row.run_at = run_at.or(row.run_at);
    row.finished_at = row.state.is_final().then_some(at);
    row.changed_at = at;
    match event.kind {
        EventKind::Started => row.started_at = Some(at),
        EventKind::Snoozed | EventKind::Released => {}
        _ if row.started_at.is_none() => row.started_at = data.ms.and_then(|ms| began(at, ms)),
        _ => {}
    }
    if let Some(attempt) = data.attempt {
        // An attempt that was put off or given back does not count.
        let uncounted = matches!(event.kind, EventKind::Snoozed | EventKind::Released);
        row.attempts = Some(if uncounted { attempt.saturating_sub(1) } else { attempt });
    }
    if data.worker.is_some() {
        row.worker.clone_from(&data.worker);
    }
    let failure = matches!(event.kind, EventKind::Retried | EventKind::Dead | EventKind::Lost | EventKind::Cancelled);
    if failure && data.error.is_some() {
        row.last_error.clone_from(&data.error);
    }
    if event.kind == EventKind::Succeeded && data.result.is_some() {
        row.result.clone_from(&data.result);
    }
    read
}

/// The state of a job after an event.
fn next_state(event: EventKind, run_at: Option<DateTime<Utc>>, at: DateTime<Utc>) -> JobState {
    match event {
        EventKind::Enqueued
        | EventKind::Replayed
        | EventKind::Retried
        | EventKind::Snoozed
        | EventKind::Lost
        | EventKind::Released => {
            if run_at.is_some_and(|due| due > at) {
                JobState::Delayed
            } else {
                JobState::Waiting
            }
        }
        EventKind::Started => JobState::Running,
        EventKind::Succeeded => JobState::Done,
        EventKind::Dead => JobState::Dead,
        EventKind::Cancelled => JobState::Cancelled,
        EventKind::Discarded => JobState::Discarded,
    }
}

fn open_envelope(row: &mut JobRow, text: &str) -> Result<(), String> {
    let Ok(mut fields) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(text) else {
        row.envelope = Some(json::quoted(text));
        return Err("the envelope is not a JSON object".to_owned());
    };
    row.payload = fields.remove("payload").map(json::storable);
    // The checksum covers bytes that Postgres does not keep.
    fields.remove("sum");
    row.envelope = serde_json::value::to_raw_value(&fields).ok().map(json::storable);
    match Envelope::decode(text.as_bytes()) {
        Ok(envelope) => {
            row.kind = Some(envelope.kind.to_string());
            row.priority = Some(envelope.priority);
            row.group_key = envelope.group;
            row.parent = envelope.parent.map(|id| id.to_string());
            row.max_attempts = Some(envelope.max_attempts);
            row.run_at = envelope.run_at.and_then(|at| storable_time(at.timestamp_millis()));
            row.replays = Some(envelope.replays);
            row.traceparent = envelope.traceparent;
            Ok(())
        }
        Err(error) => {
            row.kind = fields.get("kind").and_then(|kind| serde_json::from_str(kind.get()).ok());
            Err(error.to_string())
        }
    }
}

fn event_row(event: &JobEvent, version: EntryId, data: EventData) -> EventRow {
    EventRow {
        ms: signed(version.ms),
        seq: signed(version.seq),
        idx: event.index,
        job_id: event.job.to_string(),
        kind: event.kind.as_str(),
        at: event.at(),
        attempt: data.attempt,
        worker: data.worker,
        duration_ms: data.ms.map(signed),
        error: data.error,
        next_run: data.next.and_then(storable_time),
        trace: data.trace,
        result: data.result,
        actor: data.by,
    }
}

fn began(at: DateTime<Utc>, took_ms: u64) -> Option<DateTime<Utc>> {
    storable_time(at.timestamp_millis().checked_sub(i64::try_from(took_ms).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01JDABCDEFGHJKMNPQRSTVWXYZ";

    fn entry(ms: u64, fields: &[(&str, &str)]) -> Entry {
        Entry {
            id: EntryId { ms, seq: 0 },
            version: EntryId { ms, seq: 0 },
            fields: fields.iter().map(|(word, value)| (format!("{word} {ID}"), (*value).to_owned())).collect(),
        }
    }

    fn folded(entries: Vec<Entry>) -> JobRow {
        let mut rejects = Vec::new();
        let units = fold(&QueueName::from_static("extraction"), entries, &mut rejects);
        assert!(rejects.is_empty(), "{rejects:?}");
        assert_eq!(units.len(), 1);
        units.into_iter().next().expect("one job").row
    }

    const ENVELOPE: &str = r#"{"kind":"extract_post","max":6,"group":"main","payload":{"a":1},"colour":"blue"}"#;

    #[test]
    fn a_job_that_ran_through_is_done_with_its_envelope_its_worker_and_its_answer() {
        let row = folded(vec![
            entry(1_000, &[("enqueued", ENVELOPE)]),
            entry(2_000, &[("started", r#"{"attempt":1,"worker":"w1"}"#)]),
            entry(3_000, &[("succeeded", r#"{"attempt":1,"ms":900,"result":{"read":2}}"#)]),
        ]);
        assert_eq!(row.state, JobState::Done);
        assert_eq!((row.kind.as_deref(), row.group_key.as_deref()), (Some("extract_post"), Some("main")));
        assert_eq!((row.attempts, row.worker.as_deref()), (Some(1), Some("w1")));
        assert_eq!(row.started_at.map(|at| at.timestamp_millis()), Some(2_000));
        assert_eq!(row.finished_at.map(|at| at.timestamp_millis()), Some(3_000));
        assert_eq!(row.payload.expect("a payload").get(), r#"{"a":1}"#);
        assert!(row.envelope.expect("an envelope").get().contains("blue"));
        assert_eq!(row.version_ms, 3_000);
    }

    #[test]
    fn a_retry_is_scheduled_until_its_time_and_a_lost_job_waits() {
        let retried = folded(vec![entry(1_000, &[("retried", r#"{"attempt":2,"error":"503","next":9000,"ms":400}"#)])]);
        assert_eq!((retried.state, retried.attempts), (JobState::Delayed, Some(2)));
        assert_eq!(retried.run_at.map(|at| at.timestamp_millis()), Some(9_000));
        assert_eq!(retried.started_at.map(|at| at.timestamp_millis()), Some(600));
        assert_eq!(retried.finished_at, None);
        let lost = folded(vec![entry(1_000, &[("lost", r#"{"attempt":1,"error":"worker lost: w1"}"#)])]);
        assert_eq!((lost.state, lost.last_error.as_deref()), (JobState::Waiting, Some("worker lost: w1")));
    }

    #[test]
    fn an_attempt_that_was_put_off_or_given_back_is_not_counted() {
        for word in ["snoozed", "released"] {
            assert_eq!(folded(vec![entry(1_000, &[(word, r#"{"attempt":3}"#)])]).attempts, Some(2));
        }
    }

    #[test]
    fn a_failure_that_brings_its_envelope_along_says_all_that_is_known() {
        let row = folded(vec![entry(5_000, &[("enqueued", ENVELOPE), ("dead", r#"{"attempt":6,"error":"no"}"#)])]);
        assert_eq!((row.state, row.kind.as_deref()), (JobState::Dead, Some("extract_post")));
        assert_eq!(row.last_error.as_deref(), Some("no"));
    }

    #[test]
    fn a_replay_brings_a_dead_job_back_with_nothing_left_of_its_end() {
        let replayed = ENVELOPE.replace("\"max\":6", "\"max\":6,\"replays\":1,\"by\":\"ann\"");
        let entries = vec![
            entry(5_000, &[("dead", r#"{"attempt":6,"error":"no"}"#)]),
            entry(6_000, &[("replayed", &replayed)]),
            entry(7_000, &[("enqueued", &replayed), ("retried", "{}")]),
        ];
        let row = folded(entries[..2].to_vec());
        assert_eq!((row.state, row.replays, row.finished_at), (JobState::Waiting, Some(1), None));
        let units = fold(&QueueName::from_static("extraction"), entries, &mut Vec::new());
        let actors: Vec<_> = units[0].events.iter().map(|event| event.actor.as_deref()).collect();
        assert_eq!(actors, [None, Some("ann"), None, None], "who brought it back is told once");
    }

    #[test]
    fn an_envelope_that_cannot_be_read_is_put_aside_and_the_job_keeps_its_state() {
        for envelope in ["}{", r#"{"v":9,"kind":"later","payload":1}"#] {
            let mut rejects = Vec::new();
            let entries = vec![entry(1, &[("enqueued", envelope), ("dead", r#"{"error":"unreadable"}"#)])];
            let units = fold(&QueueName::from_static("extraction"), entries, &mut rejects);
            assert_eq!(rejects.len(), 1, "{rejects:?}");
            assert_eq!(units[0].row.state, JobState::Dead);
            assert!(units[0].row.envelope.is_some());
        }
    }

    #[test]
    fn what_is_no_event_is_put_aside() {
        let mut rejects = Vec::new();
        let entries = vec![entry(1, &[("teleported", "{}")])];
        assert!(fold(&QueueName::from_static("extraction"), entries, &mut rejects).is_empty());
        assert_eq!(rejects.len(), 1);
    }
}
