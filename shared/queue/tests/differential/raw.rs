//! A foreign client, written from `docs/engine.md` and the headers of the scripts: it uses only the scripts of the engine.

use std::collections::BTreeMap;

use perch_base::settings::{History, QueueSettings};
use perch_job::{JobId, JobTypes, Priority, RetryPolicy, Unique, UniqueScope};
use perch_queue::{Acceptance, EnqueueError, Enqueued, Keys, NewJob};
use redis::aio::MultiplexedConnection;
use serde::Serialize;
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};

use crate::{start, support::engine};

const ONE: [&str; 3] = [
    include_str!("../../src/scripts/enqueue_one.lua"),
    include_str!("../../src/scripts/events.lua"),
    include_str!("../../src/scripts/enqueue_one_events.lua"),
];
const ANY: [&str; 8] = [
    include_str!("../../src/scripts/head.lua"),
    include_str!("../../src/scripts/events.lua"),
    include_str!("../../src/scripts/pending.lua"),
    include_str!("../../src/scripts/cancelled.lua"),
    include_str!("../../src/scripts/common.lua"),
    include_str!("../../src/scripts/enqueue_quick.lua"),
    include_str!("../../src/scripts/lib.lua"),
    include_str!("../../src/scripts/enqueue.lua"),
];

/// The keys by their names in scripts.
fn keys(keys: &Keys) -> Vec<(&'static str, String)> {
    vec![
        ("JOBS", keys.jobs()),
        ("READY_HIGH", keys.ready(Priority::High)),
        ("READY_NORMAL", keys.ready(Priority::Normal)),
        ("READY_LOW", keys.ready(Priority::Low)),
        ("DELAYED", keys.delayed()),
        ("LEASES", keys.leases()),
        ("DEAD", keys.dead()),
        ("ATTEMPTS", keys.attempts()),
        ("DEAD_ATTEMPTS", keys.dead_attempts()),
        ("ERRORS", keys.errors()),
        ("PRIORITY", keys.priority()),
        ("GROUP", keys.group()),
        ("CANCELLED", keys.cancelled()),
        ("CANCELLING", keys.cancelling()),
        ("STATE", keys.state()),
        ("WAKE", keys.wake()),
        ("EVENTS", keys.events()),
        ("EVENT_MARKS", keys.event_marks()),
        ("UNIQUE_QUEUED", keys.unique_queued()),
        ("UNIQUE_DONE", keys.unique_done()),
        ("UNKNOWN_KIND", keys.unknown_kind()),
        ("RUNNING", keys.running()),
        ("PARKED_GROUPS", keys.parked_groups()),
        ("INTAKE", keys.intake()),
        ("UNIQUE", keys.unique()),
        ("PARKED", keys.parked()),
    ]
}

/// A job as this client sends it.
struct Request {
    id: JobId,
    envelope: String,
    options: String,
    unique: Option<Unique>,
}

impl Request {
    fn of(job: &NewJob, types: &JobTypes) -> Self {
        let rules = types.get(job.kind.as_str()).expect("a kind");
        let (unique, group) = rules.check(&job.payload).expect("a payload of its kind");
        let asked = &job.options;
        let (unique, group) = (asked.unique.clone().or(unique), asked.group.clone().or(group));
        let RetryPolicy { max_attempts, base_ms, cap_ms } = asked.retry.unwrap_or(rules.retry);
        let due = asked.delay.map(|delay| start() + delay).or(asked.run_at).filter(|at| *at > start());
        let due = due.map(|at| at.timestamp_millis());
        let priority = asked.priority.filter(|priority| *priority != Priority::Normal);

        // Sorted by name; the attempts come before the payload, as scripts require.
        let mut envelope: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
        let mut field = |name, value: Option<Box<RawValue>>| envelope.extend(value.map(|value| (name, value)));
        let own_backoff = (base_ms, cap_ms) != (rules.retry.base_ms, rules.retry.cap_ms);
        field("kind", raw(Some(&job.kind)));
        field("max", raw(Some(max_attempts)));
        field("payload", Some(job.payload.clone()));
        field("backoff", raw(own_backoff.then_some([base_ms, cap_ms])));
        field("priority", raw(priority));
        field("run_at", raw(due));
        field("timeout_ms", raw(asked.timeout.map(|timeout| timeout.as_millis())));
        field("deadline", raw(asked.deadline.map(|at| at.timestamp_millis())));
        field("unique", raw(unique.as_ref()));
        field("group", raw(group.as_ref()));
        field("trace", raw(asked.traceparent.as_ref()));
        field("parent", raw(asked.parent));

        let mut options = Map::new();
        let mut option = |name: &str, value: Option<Value>| options.extend(value.map(|value| (name.to_owned(), value)));
        option("p", priority.map(|priority| json!(priority)));
        option("at", due.map(|at| json!(at)));
        option("d", asked.delay.map(|delay| json!(delay.as_millis())));
        option("g", group.map(|group| json!(group)));
        option("u", unique.as_ref().map(|unique| json!(unique.key)));
        let scope = |unique: &Unique| match unique.scope {
            UniqueScope::Queued => json!("queued"),
            UniqueScope::Done => json!("done"),
            UniqueScope::WindowMs(ms) => json!(ms),
        };
        option("s", unique.as_ref().map(scope));
        option("c", unique.as_ref().map(|_| json!(asked.on_conflict)));
        let options = if options.is_empty() { String::new() } else { Value::Object(options).to_string() };
        let id = asked.id.unwrap_or_else(|| JobId::at(start()));
        Self { id, envelope: with_sum(&envelope), options, unique }
    }
}

fn raw(value: Option<impl Serialize>) -> Option<Box<RawValue>> {
    value.map(|value| to_raw_value(&value).expect("JSON"))
}

fn with_sum(envelope: &BTreeMap<&str, Box<RawValue>>) -> String {
    let text = serde_json::to_string(envelope).expect("JSON");
    let text = text.strip_suffix('}').expect("an object");
    format!("{text},\"sum\":\"{:08x}\"}}", crc32fast::hash(text.as_bytes()))
}

/// Sends jobs in as few calls as possible, or each by itself with the smallest script that accepts it.
pub async fn enqueue(
    conn: &mut MultiplexedConnection,
    queue: &perch_queue::Queue,
    types: &JobTypes,
    jobs: &[NewJob],
    together: bool,
) -> Vec<Result<Enqueued, EnqueueError>> {
    let requests: Vec<Request> = jobs.iter().map(|job| Request::of(job, types)).collect();
    let mut answers = Vec::new();
    for some in requests.chunks(if together { requests.len() } else { 1 }) {
        let plain = !together && some[0].options.is_empty();
        let rows: Vec<(usize, u8, String)> = call(queue, some, plain).query_async(conn).await.expect("Redis answers");
        for (place, request) in (1..).zip(some) {
            let row = rows.iter().find(|(of, ..)| *of == place);
            answers.push(answer(queue, request, row.map(|(_, code, id)| (*code, id.as_str()))));
        }
    }
    answers
}

fn call(queue: &perch_queue::Queue, requests: &[Request], plain: bool) -> redis::Cmd {
    let keys = keys(queue.keys());
    let names: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
    let places: Vec<String> = (1..=keys.len()).map(|place| format!("KEYS[{place}]")).collect();
    let script = if plain { ONE.concat() } else { ANY.concat() };
    let mut call = redis::cmd("EVAL");
    call.arg(format!("local {} = {}\n{script}", names.join(", "), places.join(", "))).arg(keys.len());
    for (_, key) in keys {
        call.arg(key);
    }
    let QueueSettings { history, events_kept, events_max_bytes, max_depth, .. } = queue.settings();
    let history = if *history == History::Full { "full" } else { "failures" };
    call.arg(start().timestamp_millis()).arg(history).arg(*events_kept).arg(events_max_bytes / 64);
    call.arg(engine().errors_kept).arg(*max_depth);
    for request in requests {
        call.arg(request.id.to_string()).arg(&request.envelope);
        if !plain {
            call.arg(&request.options);
        }
    }
    call
}

fn answer(queue: &perch_queue::Queue, request: &Request, row: Option<(u8, &str)>) -> Result<Enqueued, EnqueueError> {
    let as_job = |id, acceptance, replaced| Ok(Enqueued { id, queue: queue.name().clone(), acceptance, replaced });
    let id = |text: &str| text.parse().expect("a job id");
    match row {
        None => as_job(request.id, Acceptance::Accepted, None),
        Some((1 | 5, other)) => as_job(id(other), Acceptance::Duplicate, None),
        Some((2, holder)) => {
            let key = request.unique.as_ref().map(|unique| unique.key.clone()).expect("it asked for one");
            Err(EnqueueError::Conflict { key, holder: id(holder) })
        }
        Some((3, holder)) => as_job(id(holder), Acceptance::Kept, None),
        Some((4, replaced)) => as_job(request.id, Acceptance::Replaced, Some(id(replaced))),
        Some((6, _)) => Err(EnqueueError::Full { queue: queue.name().clone(), limit: queue.settings().max_depth }),
        Some((code, _)) => panic!("an unknown code {code}"),
    }
}
