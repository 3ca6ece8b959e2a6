//! Stores admitted jobs in Redis: the calls of the enqueue scripts and their results.

use perch_base::{crash_point, settings::History};
use perch_job::JobKind;

use crate::{
    Acceptance, EnqueueError, Enqueued, Queue,
    admission::Admission,
    scripts::{self, Script, ScriptCall, ScriptReference},
};

/// Jobs in one script call.
pub(crate) const CHUNK: usize = 250;
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Cuts jobs into script calls of at most [`CHUNK`] jobs and [`CHUNK_BYTES`] of payload.
pub(crate) fn chunked<'a>(jobs: impl Iterator<Item = &'a Admission>) -> Vec<Vec<&'a Admission>> {
    let mut chunks: Vec<Vec<&Admission>> = Vec::new();
    let mut bytes = 0;
    for job in jobs {
        let size = job.envelope.payload.get().len();
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK && bytes + size <= CHUNK_BYTES => chunk.push(job),
            _ => {
                bytes = 0;
                chunks.push(vec![job]);
            }
        }
        bytes += size;
    }
    chunks
}

/// Stores prepared jobs of one queue, at most [`CHUNK`] of them.
pub(crate) async fn push(queue: &Queue, jobs: &[&Admission]) -> Vec<Result<Enqueued, EnqueueError>> {
    store(queue, jobs, ScriptReference::Hash).await
}

/// Stores chunks, several at a time. The first chunk for each script carries the text of the script: a chunk with an unknown hash
/// would be sent again after the others, and jobs must keep their order.
pub(crate) fn pushes<'a>(
    queue: &'a Queue,
    chunks: &'a [Vec<&'a Admission>],
) -> Vec<impl Future<Output = Vec<Result<Enqueued, EnqueueError>>> + 'a> {
    let mut brought: Vec<*const Script> = Vec::new();
    let mut by = |chunk: &[&Admission]| {
        let script: *const Script = script(queue, chunk);
        if chunks.len() == 1 || brought.contains(&script) {
            return ScriptReference::Hash;
        }
        brought.push(script);
        ScriptReference::Code
    };
    chunks.iter().map(|chunk| store(queue, chunk, by(chunk))).collect()
}

async fn store(queue: &Queue, jobs: &[&Admission], by: ScriptReference) -> Vec<Result<Enqueued, EnqueueError>> {
    let call = call(queue, jobs, by);
    crash_point!("enqueue.before");
    let answered = queue.run::<Vec<(usize, u8, String)>>("enqueue", &call).await;
    crash_point!("enqueue.after");
    match answered {
        Ok(others) => answers(queue, jobs, &others),
        Err(error) => jobs.iter().map(|_| Err(error.again("enqueue").into())).collect(),
    }
}

/// The cheapest script that can store these jobs.
fn script(queue: &Queue, jobs: &[&Admission]) -> &'static Script {
    let plain = jobs.iter().all(|job| job.is_plain());
    match jobs {
        [_] if plain => &scripts::ENQUEUE_ONE,
        _ if plain && jobs.iter().all(|job| job.new) && is_sent_once(queue) => &scripts::ENQUEUE_NEW,
        _ => &scripts::ENQUEUE,
    }
}

/// The call that stores jobs.
fn call(queue: &Queue, jobs: &[&Admission], by: ScriptReference) -> ScriptCall {
    let script = script(queue, jobs);
    let mut call = queue.invocation_by(script, by);
    call.arg(queue.settings().max_depth);
    let has_options = std::ptr::eq(script, &raw const *scripts::ENQUEUE);
    for job in jobs {
        call.arg(job.id.to_string()).arg(job.envelope.encode());
        if has_options {
            call.arg(job.script_options());
        }
    }
    call
}

/// Whether a call reaches Redis at most once and writes no events. The library may send a call to a cluster twice.
fn is_sent_once(queue: &Queue) -> bool {
    !queue.redis().is_cluster() && queue.settings().history == History::Failures
}

/// The results of a call. The script returns a position, a code and an id only for jobs that are not simply accepted.
fn answers(queue: &Queue, jobs: &[&Admission], others: &[(usize, u8, String)]) -> Vec<Result<Enqueued, EnqueueError>> {
    let accepted = |job: &&Admission| {
        Ok(Enqueued { id: job.id, queue: queue.name().clone(), acceptance: Acceptance::Accepted, replaced: None })
    };
    let mut answers: Vec<_> = jobs.iter().map(accepted).collect();
    for (place, code, other) in others {
        let place = place.saturating_sub(1);
        if let (Some(slot), Some(job)) = (answers.get_mut(place), jobs.get(place)) {
            *slot = answer(queue, job, *code, other);
        }
    }
    count_accepted(queue, jobs, &answers);
    answers
}

fn count_accepted(queue: &Queue, jobs: &[&Admission], answers: &[Result<Enqueued, EnqueueError>]) {
    let mut by_kind: Vec<(&JobKind, u64)> = Vec::new();
    for (job, answer) in jobs.iter().zip(answers) {
        let new = matches!(answer, Ok(Enqueued { acceptance: Acceptance::Accepted | Acceptance::Replaced, .. }));
        match by_kind.iter_mut().find(|(kind, _)| **kind == job.envelope.kind) {
            Some((_, count)) => *count += u64::from(new),
            None => by_kind.push((&job.envelope.kind, u64::from(new))),
        }
    }
    for (kind, count) in by_kind {
        queue.count_accepted(kind, count);
    }
}

fn answer(queue: &Queue, job: &Admission, code: u8, other: &str) -> Result<Enqueued, EnqueueError> {
    let other = other.parse().unwrap_or(job.id);
    let enqueued = |id, acceptance, replaced| Ok(Enqueued { id, queue: queue.name().clone(), acceptance, replaced });
    match code {
        2 => Err(EnqueueError::Conflict {
            key: job.envelope.unique.as_ref().map(|u| u.key.clone()).unwrap_or_default(),
            holder: other,
        }),
        3 => enqueued(other, Acceptance::Kept, None),
        4 => enqueued(job.id, Acceptance::Replaced, Some(other)),
        6 => Err(EnqueueError::Full { queue: queue.name().clone(), limit: queue.settings().max_depth }),
        _ => enqueued(job.id, Acceptance::Duplicate, None),
    }
}

/// Stores admitted jobs of one queue in calls of bounded size, several at a time.
pub(crate) async fn push_all(queue: &Queue, jobs: &[&Admission]) -> Vec<Result<Enqueued, EnqueueError>> {
    use futures::{StreamExt as _, stream};

    let chunks = chunked(jobs.iter().copied());
    if chunks.len() > 1
        && let Err(error) = queue.redis().connected("enqueue").await
    {
        return jobs.iter().map(|_| Err(error.again("enqueue").into())).collect();
    }
    // Collected first, because with a closure over the chunks the future would not be `Send`.
    let pushes = pushes(queue, &chunks);
    stream::iter(pushes).buffered(IN_FLIGHT).collect::<Vec<_>>().await.into_iter().flatten().collect()
}

/// Most calls under way at once.
const IN_FLIGHT: usize = 4;
