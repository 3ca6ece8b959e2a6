//! The Lua scripts, each called by one typed function elsewhere in this crate.

use std::{collections::HashSet, sync::LazyLock};

use perch_job::Priority;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind, ToRedisArgs, aio::ConnectionLike};

use crate::Keys;

/// A script, and the keys of its queue that it uses.
#[derive(Debug)]
pub(crate) struct Script {
    code: redis::Script,
    text: String,
    /// Indices into [`NAMES`].
    keys: Vec<usize>,
}

/// A key and its name in scripts. `holds` is its expected Redis type; none for a prefix of keys.
struct ScriptKey {
    name: &'static str,
    key: fn(&Keys) -> String,
    holds: Option<&'static str>,
}

const fn named(name: &'static str, key: fn(&Keys) -> String, holds: &'static str) -> ScriptKey {
    ScriptKey { name, key, holds: Some(holds) }
}

const fn prefix(name: &'static str, key: fn(&Keys) -> String) -> ScriptKey {
    ScriptKey { name, key, holds: None }
}

/// The names of the keys of a queue in scripts.
const NAMES: [ScriptKey; 31] = [
    named("JOBS", Keys::jobs, "hash"),
    named("READY_HIGH", |keys| keys.ready(Priority::High), "list"),
    named("READY_NORMAL", |keys| keys.ready(Priority::Normal), "list"),
    named("READY_LOW", |keys| keys.ready(Priority::Low), "list"),
    named("DELAYED", Keys::delayed, "zset"),
    named("LEASES", Keys::leases, "zset"),
    named("DEAD", Keys::dead, "zset"),
    named("ATTEMPTS", Keys::attempts, "hash"),
    named("DEAD_ATTEMPTS", Keys::dead_attempts, "hash"),
    named("ERRORS", Keys::errors, "hash"),
    named("PRIORITY", Keys::priority, "hash"),
    named("GROUP", Keys::group, "hash"),
    named("CANCELLED", Keys::cancelled, "set"),
    named("CANCELLING", Keys::cancelling, "hash"),
    named("STATE", Keys::state, "hash"),
    named("WAKE", Keys::wake, "list"),
    named("EVENTS", Keys::events, "stream"),
    named("EVENT_MARKS", Keys::event_marks, "list"),
    named("UNIQUE_QUEUED", Keys::unique_queued, "hash"),
    named("UNIQUE_DONE", Keys::unique_done, "hash"),
    named("UNKNOWN_KIND", Keys::unknown_kind, "hash"),
    named("RUNNING", Keys::running, "hash"),
    named("PARKED_GROUPS", Keys::parked_groups, "zset"),
    named("WORKERS", Keys::workers, "zset"),
    named("WORKER_INFO", Keys::worker_info, "hash"),
    named("CRON", Keys::cron, "hash"),
    named("CRON_JOBS", Keys::cron_jobs, "hash"),
    named("INTAKE", Keys::intake, "zset"),
    prefix("UNIQUE", Keys::unique),
    prefix("PARKED", Keys::parked),
    prefix("RATE", Keys::rate),
];

/// The keys of a queue, in the order of [`NAMES`].
pub(crate) fn all_keys(keys: &Keys) -> Vec<String> {
    NAMES.iter().map(|named| (named.key)(keys)).collect()
}

/// The keys of a queue, without prefixes, each with its expected Redis type.
pub(crate) fn typed_keys(keys: &Keys) -> impl Iterator<Item = (String, &'static str)> + '_ {
    NAMES.iter().filter_map(|named| Some(((named.key)(keys), named.holds?)))
}

impl Script {
    /// Concatenates the parts of a script after a line that names only the keys it uses, because each key sent costs Redis as
    /// much as a command. A script that reads `KEYS` gets all of [`typed_keys`].
    fn of(parts: &[&str]) -> Self {
        let code = guarded(parts.concat());
        let used = words(&code);
        let all = used.contains("KEYS");
        let is_named = |named: &ScriptKey| if all { named.holds.is_some() } else { used.contains(named.name) };
        let keys: Vec<usize> = (0..NAMES.len()).filter(|&i| is_named(&NAMES[i])).collect();
        let text = if all { code } else { header(&keys) + &code };
        Self { code: redis::Script::new(&text), text, keys }
    }
}

/// The code, without the guard against times from another clock if a test disables it.
fn guarded(code: String) -> String {
    fail::fail_point!("queue.clocks", |_| code.replace("2 * lease_ms + 60000", "1e15"));
    code
}

fn header(keys: &[usize]) -> String {
    let names: Vec<&str> = keys.iter().map(|&i| NAMES[i].name).collect();
    let places: Vec<String> = (1..=keys.len()).map(|place| format!("KEYS[{place}]")).collect();
    format!("local {} = {}\n", names.join(", "), places.join(", "))
}

/// The words of a script outside comments.
fn words(code: &str) -> HashSet<&str> {
    code.lines()
        .filter_map(|line| line.split("--").next())
        .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .collect()
}

macro_rules! scripts {
    ($($name:ident = [$($part:literal),*]),* $(,)?) => {
        $(pub(crate) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::of(&[$(include_str!(concat!("scripts/", $part, ".lua"))),*]));)*
    };
}

// Most calls end in the quick part, before the shared transitions.
scripts! {
    ENQUEUE_ONE = ["enqueue_one", "events", "enqueue_one_events"],
    ENQUEUE_NEW = ["enqueue_new"],
    ENQUEUE = ["head", "events", "pending", "cancelled", "common", "enqueue_quick", "lib", "enqueue"],
    FETCH_BEHIND = ["fetch_behind", "events", "fetch_behind_events"],
    DEAD_PAGE = ["dead_page"],
    DELAYED_PAGE = ["delayed_page"],
    WAITING_PAGE = ["waiting_page"],
    FETCH = ["head", "events", "pending", "common", "fetch_quick", "lib", "fetch"],
    COUNTS = ["head", "common", "counts"],
    FINISH = ["head", "events", "pending", "cancelled", "common", "finish_quick", "lib", "finish"],
}

macro_rules! operations {
    ($($name:ident = $part:literal),* $(,)?) => {
        scripts! {
            $($name = ["head", "events", "pending", "cancelled", "common", "lib", $part]),*
        }
    };
}

// These are rarely called, so each has all shared parts before it.
operations! {
    HEARTBEAT = "heartbeat",
    CANCEL = "cancel",
    RUN_NOW = "run_now",
    REPLAY = "replay",
    DISCARD = "discard",
    PRUNE = "prune",
    PURGE = "purge",
    CRON = "cron",
    PAUSE = "pause",
    GOODBYE = "goodbye",
    RECLAIM = "reclaim",
    RESTORE = "restore",
    DROP = "drop",
    RUN_ID = "run_id",
    BEGIN = "begin",
}

// Without the shared parts, which would fail on keys of the wrong type.
scripts! {
    SET_ASIDE = ["set_aside"],
}

/// How a call refers to its script.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ScriptReference {
    /// By its hash; a Redis that does not know the script refuses the call.
    Hash,
    /// By its text; Redis knows the script from then on.
    Code,
}

/// A call of a script. Unlike that of the library, it writes keys and arguments straight into the command, only once.
#[derive(Debug)]
pub(crate) struct ScriptCall {
    script: &'static Script,
    cmd: Cmd,
}

impl ScriptCall {
    /// A call with the keys of a queue, from [`all_keys`].
    pub fn new(script: &'static Script, keys: &[String], by: ScriptReference) -> Self {
        let (name, told) = match by {
            ScriptReference::Hash => ("EVALSHA", script.code.get_hash()),
            ScriptReference::Code => ("EVAL", script.text.as_str()),
        };
        let mut cmd = redis::cmd(name);
        cmd.arg(told).arg(script.keys.len());
        for &place in &script.keys {
            cmd.arg(&keys[place]);
        }
        Self { script, cmd }
    }

    pub fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        self.cmd.arg(argument);
        self
    }

    /// The call as a command. A Redis that does not know the script refuses it.
    pub fn cmd(&self) -> &Cmd {
        &self.cmd
    }

    /// Loads the script into Redis.
    pub async fn load(&self, conn: &mut impl ConnectionLike) -> RedisResult<()> {
        Box::pin(self.script.code.load_async(conn)).await.map(|_| ())
    }

    /// Calls the script, and loads it first if Redis does not know it.
    pub async fn invoke<T: FromRedisValue>(&self, conn: &mut impl ConnectionLike) -> RedisResult<T> {
        match self.cmd.query_async(conn).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.load(conn).await?;
                self.cmd.query_async(conn).await
            }
            answer => answer,
        }
    }
}
