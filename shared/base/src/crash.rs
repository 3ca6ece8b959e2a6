//! Crash points: named points at which a test lets the process die as if it was killed there.
//!
//! In builds with debug assertions, a process aborts when it reaches the point that the environment variable `PERCH_CRASH_AT`
//! names: no destructor runs, nothing is flushed. `name:3` means the third time. Release builds have no crash points.

/// The crash points of the platform; bots have lists of their own. At each, a crash may leave the step before it without the step after it.
pub const POINTS: &[&str] = &[
    // The client: around the script that accepts jobs.
    "enqueue.before",
    "enqueue.after",
    // A worker: around its fetch, from there to the reply to the acknowledgement, and around the release of the uniqueness key of
    // a job that starts.
    "fetch.before",
    "fetch.after",
    "worker.fetched",
    "begin.before",
    "begin.after",
    "worker.before_handler",
    "worker.after_handler",
    "worker.before_ack",
    "worker.after_ack",
    "heartbeat.before",
    "heartbeat.after",
    // A worker: around the release of the leases of a lost reply, and around its removal from the list of workers.
    "reclaim.before",
    "reclaim.after",
    "goodbye.before",
    "goodbye.after",
    // The intake: before a batch is enqueued, before it is removed from the intake, and after that.
    "intake.read",
    "intake.enqueued",
    "intake.removed",
    // The scheduler: around the script that fires a tick.
    "cron.before",
    "cron.after",
    // The sync of events: before and after the transaction in Postgres, and after the stream is trimmed.
    "sync.read",
    "sync.committed",
    "sync.trimmed",
    // The ledger: after it stored a job, after Redis has it, after the ledger marked that.
    "ledger.kept",
    "ledger.pushed",
    "ledger.settled",
    // The relay of the outbox: after it read rows, after Redis has them, after the outbox marked that.
    "relay.taken",
    "relay.pushed",
    "relay.settled",
    // Publishing: from the gate (brake, quotas, quiet hours) that let the post pass, through the claim in the effect ledger, to the
    // record of the post.
    "publish.admitted",
    "publish.claimed",
    "publish.before_call",
    "publish.after_call",
    "publish.confirmed",
    "publish.recorded",
    // A thread: after each part, and after each deletion of a part of one that stays half.
    "thread.part",
    "thread.deleted",
    // An operator: around each script, and so between two calls of one that works in batches. Pause and resume share a point.
    "cancel.before",
    "cancel.after",
    "run_now.before",
    "run_now.after",
    "pause.before",
    "pause.after",
    "purge.before",
    "purge.after",
    "replay.before",
    "replay.after",
    "discard.before",
    "discard.after",
    // The retention of dead letters, enforced by the scheduler.
    "prune.before",
    "prune.after",
    // The recovery: around the scripts that remove finished jobs and restore lost ones.
    "drop.before",
    "drop.after",
    "restore.before",
    "restore.after",
    // Around the query of the run of Redis, and the mark that a queue was compared with Postgres in that run.
    "run_id.before",
    "run_id.after",
];

/// Whether `name` is one of these crash points.
pub const fn is_in(points: &[&str], name: &str) -> bool {
    let mut i = 0;
    while i < points.len() {
        if equal(points[i].as_bytes(), name.as_bytes()) {
            return true;
        }
        i += 1;
    }
    false
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// Marks a crash point of the platform, which stands in [`crash::POINTS`](crate::crash::POINTS), or of a bot:
/// `crash_point!("post.kept" in CRASH_POINTS)`.
#[macro_export]
macro_rules! crash_point {
    ($name:literal) => {
        $crate::crash_point!($name in $crate::crash::POINTS)
    };
    ($name:literal in $points:path) => {
        #[cfg(debug_assertions)]
        {
            const _: () = assert!($crate::crash::is_in($points, $name), "a crash point is named in its list");
            $crate::crash::pass($name);
        }
    };
}

/// The lists of the bots of this process.
#[cfg(debug_assertions)]
static OF_BOTS: std::sync::Mutex<Vec<&'static [&'static str]>> = std::sync::Mutex::new(Vec::new());

/// Adds the crash points of a bot, before any is passed. Does nothing in a release build.
#[cfg_attr(not(debug_assertions), expect(unused_variables, reason = "a release build has no crash points"))]
pub fn add(points: &'static [&'static str]) {
    #[cfg(debug_assertions)]
    OF_BOTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(points);
}

/// All lists.
#[cfg(debug_assertions)]
fn all() -> Vec<&'static str> {
    let of_bots = OF_BOTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).concat();
    POINTS.iter().copied().chain(of_bots).collect()
}

/// Reaches the point `name`. Use [`crash_point!`](crate::crash_point), which does nothing in a release build.
#[cfg(debug_assertions)]
#[doc(hidden)]
pub fn pass(name: &str) {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    };
    static CRASH: LazyLock<Option<(String, AtomicU64)>> = LazyLock::new(|| {
        let wanted = parse(&std::env::var("PERCH_CRASH_AT").ok()?);
        if wanted.is_none() {
            eprintln!("PERCH_CRASH_AT names no crash point; they are: {}", all().join(", "));
            std::process::abort();
        }
        wanted.map(|(name, times)| (name, AtomicU64::new(times)))
    });
    if let Some((wanted, left)) = &*CRASH
        && wanted == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        std::process::abort();
    }
}

/// `name` or `name:times`.
#[cfg(debug_assertions)]
fn parse(text: &str) -> Option<(String, u64)> {
    let (name, times) = text.split_once(':').map_or(Some((text, 1)), |(name, n)| Some((name, n.parse().ok()?)))?;
    (is_in(&all(), name) && times > 0).then(|| (name.to_owned(), times))
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_asked_for_by_the_name_of_a_point_and_perhaps_a_number() {
        assert_eq!(parse("worker.fetched"), Some(("worker.fetched".to_owned(), 1)));
        assert_eq!(parse("enqueue.before:3"), Some(("enqueue.before".to_owned(), 3)));
        for wrong in ["", "worker", "worker.fetched.too", "worker.fetched:0", "worker.fetched:x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        add(&["bread.baked"]);
        assert_eq!(parse("bread.baked:2"), Some(("bread.baked".to_owned(), 2)));
    }
}
