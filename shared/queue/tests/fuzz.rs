//! Broken data in Redis: envelopes, events, and values written by hand. No worker panics, no queue stalls, and no job is lost
//! silently.

mod support;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use perch_base::{Clock, settings::EngineSettings};
use perch_job::JobId;
use perch_queue::{EntryId, Envelope, EventKind, JobEvent, JobState, worker::Handlers};
use perch_testkit::fuzz;
use serde_json::value::RawValue;
use support::{Chore, World};

fn corpus(name: &str) -> String {
    format!("{}/tests/corpus/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn an_envelope_is_refused_with_its_reason_or_reads_the_same_when_written_again() {
    fuzz(corpus("envelopes"), |input| {
        let envelope = match Envelope::decode(input) {
            Ok(envelope) => envelope,
            Err(error) => {
                assert!(error.to_string().contains("the envelope"), "{error}");
                return error.to_string().chars().filter(|c| c.is_alphabetic()).take(60).collect();
            }
        };
        let written = envelope.encode();
        let again = Envelope::decode(written.as_bytes()).expect("what was written is read");
        assert_eq!(again.encode(), written);
        assert_eq!(again.payload.get(), envelope.payload.get(), "the payload stays byte for byte");
        let text = std::str::from_utf8(input).expect("an envelope is text");
        let mark = RawValue::from_string("7".into()).expect("JSON");
        // A duplicate key is read once and kept once.
        if let Ok(amended) = Envelope::amend(text, &[("replays", mark)]) {
            let amended = Envelope::decode(amended.as_bytes()).expect("what was amended is read");
            assert_eq!((amended.replays, amended.payload.get()), (7, envelope.payload.get()));
        }
        "ok".to_owned()
    });
}

#[test]
fn an_event_is_passed_over_or_can_be_read() {
    fuzz(corpus("events"), |input| {
        let text = String::from_utf8_lossy(input);
        let mut parts = text.splitn(3, '\n');
        let mut part = || parts.next().unwrap_or_default();
        let (id, field, value) = (part(), part(), part());
        let Ok(entry) = id.parse::<EntryId>() else { return "no id".to_owned() };
        assert_eq!(entry.to_string().parse::<EntryId>(), Ok(entry));
        let _ = entry.at();
        let Ok(event) = JobEvent::read(entry, 0, field, value.to_owned()) else { return "passed over".to_owned() };
        let _ = (event.at(), event.data());
        event.kind.to_string()
    });
}

/// Puts one thing into Redis as a line says: where, what, and with what value, apart by tabs.
fn plant(world: &World, pipe: &mut redis::Pipeline, line: &[u8]) {
    let mut parts = line.splitn(3, |byte| *byte == b'\t');
    let mut part = || parts.next().unwrap_or_default();
    let (place, name, value) = (part(), part(), part());
    let keys = world.queue.keys();
    let hash = match place {
        b"jobs" => keys.jobs(),
        b"attempts" => keys.attempts(),
        b"dead_attempts" => keys.dead_attempts(),
        b"errors" => keys.errors(),
        b"priority" => keys.priority(),
        b"group" => keys.group(),
        b"cancelling" => keys.cancelling(),
        b"worker_info" => keys.worker_info(),
        b"cron" => keys.cron(),
        b"unknown_kind" => keys.unknown_kind(),
        b"unique_done" => keys.unique_done(),
        _ => String::new(),
    };
    let score = std::str::from_utf8(value).ok().and_then(|text| text.parse::<f64>().ok()).filter(|n| n.is_finite());
    let zset = match place {
        b"delayed" => keys.delayed(),
        b"leases" => keys.leases(),
        b"dead" => keys.dead(),
        b"workers" => keys.workers(),
        _ => String::new(),
    };
    if !hash.is_empty() {
        pipe.cmd("HSET").arg(hash).arg(name).arg(value).ignore();
    } else if !zset.is_empty() {
        pipe.cmd("ZADD").arg(zset).arg(score.unwrap_or(0.0)).arg(name).ignore();
    } else if place == b"cancelled" {
        pipe.cmd("SADD").arg(keys.cancelled()).arg(name).ignore();
    } else if place == b"events" {
        pipe.cmd("XADD").arg(keys.events()).arg("*").arg(name).arg(value).ignore();
    } else {
        pipe.cmd("RPUSH").arg(keys.ready(perch_job::Priority::Normal)).arg(name).ignore();
    }
}

/// The ids of valid jobs that wait for a worker.
fn waiting(input: &[u8]) -> BTreeSet<JobId> {
    let field = |line: &[u8], place: &str| {
        let mut parts = line.splitn(3, |byte| *byte == b'\t');
        let is_here = parts.next() == Some(place.as_bytes());
        parts.next().filter(|_| is_here).and_then(|id| std::str::from_utf8(id).ok()?.parse::<JobId>().ok())
    };
    let of =
        |place| input.split(|byte| *byte == b'\n').filter_map(move |line| field(line, place)).collect::<BTreeSet<_>>();
    let (stored, cancelled) = (of("jobs"), of("cancelled"));
    of("ready").into_iter().filter(|id| stored.contains(id) && !cancelled.contains(id)).collect()
}

async fn until_settled(world: &World, ids: &BTreeSet<JobId>) {
    let began = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    loop {
        let events = world.events().await;
        let ended = |id: &JobId| {
            let ends = [EventKind::Succeeded, EventKind::Dead, EventKind::Cancelled];
            events.iter().any(|event| event.job == *id && ends.contains(&event.kind))
        };
        if ids.iter().all(ended) {
            return;
        }
        let left: Vec<&JobId> = ids.iter().filter(|id| !ended(id)).collect();
        assert!(began.elapsed() < Duration::from_secs(8), "these jobs neither ran nor died: {left:?}");
        pace.tick().await;
    }
}

/// Reads the queue in every possible way.
async fn look(world: &World) {
    let queue = &world.queue;
    queue.stats().await.expect("the numbers can be read");
    for state in [JobState::Waiting, JobState::Delayed, JobState::Running, JobState::Dead] {
        queue.job_page(state, None, 100).await.expect("jobs can be listed");
    }
    for letter in queue.dead_page(None, 100).await.expect("dead letters can be listed").letters {
        let _ = (letter.decoded(), letter.cause());
    }
    queue.workers(Duration::from_secs(60)).await.expect("workers can be listed");
}

#[test]
fn what_was_planted_in_redis_stalls_no_queue_and_hides_no_job() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    // A job of no known kind is dead at once.
    let hasty = |_: &mut _, engine: &mut EngineSettings| engine.unknown_kind_wait = Duration::ZERO;
    let world = runtime.block_on(World::with(hasty, Clock::system()));
    fuzz(corpus("planted"), |input| {
        runtime.block_on(async {
            let mut raw = world.redis.raw().await;
            redis::cmd("FLUSHDB").exec_async(&mut raw).await.expect("FLUSHDB");
            let mut pipe = redis::pipe();
            for line in input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                plant(&world, &mut pipe, line);
            }
            // Odd names may be refused; then the others are not planted either, and nothing is lost by that.
            let planted = pipe.query_async::<()>(&mut raw).await.is_ok();
            look(&world).await;
            let mut ids = if planted { waiting(input) } else { BTreeSet::new() };
            let working =
                world.work(Handlers::new().on(|_: Chore| async { perch_queue::worker::HandlerResult::Ok(()) }));
            ids.insert(world.client.enqueue(&Chore::number(1)).await.expect("accepted").id);
            until_settled(&world, &ids).await;
            look(&world).await;
            working.stop().await;
            format!("{planted} {}", ids.len().min(4))
        })
    });
}
