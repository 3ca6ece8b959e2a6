//! The Lua scripts, each called by one typed function elsewhere in this crate.

use std::{collections::HashSet, sync::LazyLock};

use perch_jobs::Priority;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind, ToRedisArgs, aio::ConnectionLike};

use crate::Keys;

/// A script, and which of the keys of its queue it names.
#[derive(Debug)]
pub(crate) struct Script {
    code: redis::Script,
    text: String,
    /// Places in [`NAMES`].
    keys: Vec<usize>,
}

type Named = (&'static str, fn(&Keys) -> String);

/// What the scripts call the keys of a queue.
const NAMES: [Named; 33] = [
    ("JOBS", Keys::jobs),
    ("READY_HIGH", |keys| keys.ready(Priority::High)),
    ("READY_NORMAL", |keys| keys.ready(Priority::Normal)),
    ("READY_LOW", |keys| keys.ready(Priority::Low)),
    ("DELAYED", Keys::delayed),
    ("LEASES", Keys::leases),
    ("DEAD", Keys::dead),
    ("ATTEMPTS", Keys::attempts),
    ("ERRORS", Keys::errors),
    ("PRIORITY", Keys::priority),
    ("GROUP", Keys::group),
    ("CANCELLED", Keys::cancelled),
    ("CANCELLING", Keys::cancelling),
    ("STATE", Keys::state),
    ("WAKE", Keys::wake),
    ("EVENTS", Keys::events),
    ("UNIQUE_QUEUED", Keys::unique_queued),
    ("UNIQUE_DONE", Keys::unique_done),
    ("RUNNING", Keys::running),
    ("PARKED_COUNT", Keys::parked_count),
    ("RESERVED", Keys::reserved),
    ("WORKERS", Keys::workers),
    ("WORKER_INFO", Keys::worker_info),
    ("CRON", Keys::cron),
    ("CRON_JOBS", Keys::cron_jobs),
    ("INTAKE", Keys::intake),
    ("UNIQUE", Keys::unique),
    ("PARKED", Keys::parked),
    ("RATE", Keys::rate),
    ("PLANNED", Keys::planned),
    ("PARTS", Keys::parts),
    ("PART", Keys::part),
    ("DEAD_ATTEMPTS", Keys::dead_attempts),
];

/// The keys of a queue as [`Call::new`] takes them.
pub(crate) fn all_keys(keys: &Keys) -> Vec<String> {
    NAMES.iter().map(|(_, key)| key(keys)).collect()
}

impl Script {
    /// Puts the parts of a script behind one another, and before them the line that gives its keys their names: each key
    /// that is sent costs Redis as much as a command.
    fn of(parts: &[&str]) -> Self {
        let code = parts.concat();
        let mentioned = words(&code);
        let keys: Vec<usize> = (0..NAMES.len()).filter(|&i| mentioned.contains(NAMES[i].0)).collect();
        let names: Vec<&str> = keys.iter().map(|&i| NAMES[i].0).collect();
        let places: Vec<String> = (1..=keys.len()).map(|place| format!("KEYS[{place}]")).collect();
        let header = format!("local {} = {}\n", names.join(", "), places.join(", "));
        let text = header + &code;
        Self { code: redis::Script::new(&text), text, keys }
    }
}

/// The words of a script, without those of its comments.
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

// A quick part before the transitions is all that most calls run.
scripts! {
    ENQUEUE_ONE = ["enqueue_one", "parts_open", "enqueue_one_open"],
    ENQUEUE_NEW = ["enqueue_new", "parts_open", "enqueue_one_open"],
    ENQUEUE = ["head", "parts", "cancelled", "common", "parts_open", "enqueue_quick", "parts_remove", "lib", "enqueue"],
    FETCH_BEHIND = ["fetch_behind"],
    DEAD_PAGE = ["dead_page"],
    FETCH = ["head", "parts", "common", "fetch_quick", "parts_remove", "lib", "fetch"],
    FINISH = ["head", "parts", "cancelled", "common", "parts_open", "parts_remove", "finish_quick", "lib", "finish"],
}

macro_rules! operations {
    ($($name:ident = $part:literal),* $(,)?) => {
        scripts! {
            $($name = ["head", "parts", "cancelled", "common", "parts_open", "parts_remove", "lib", $part]),*
        }
    };
}

// These are called so seldom that they may have everything before them.
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
}

/// How a call says which script it is of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    /// By its hash, which a Redis that does not know the script refuses.
    Hash,
    /// By itself: Redis knows it from then on.
    Code,
}

/// A call of a script. Unlike the library's own, it writes its keys and arguments once, into the command itself.
#[derive(Debug)]
pub(crate) struct Call {
    script: &'static Script,
    cmd: Cmd,
}

impl Call {
    /// A call with the keys of a queue, as [`all_keys`] answers them.
    pub fn new(script: &'static Script, keys: &[String], by: By) -> Self {
        let (name, told) = match by {
            By::Hash => ("EVALSHA", script.code.get_hash()),
            By::Code => ("EVAL", script.text.as_str()),
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

    /// Gives Redis the script.
    pub async fn load(&self, conn: &mut impl ConnectionLike) -> RedisResult<()> {
        Box::pin(self.script.code.load_async(conn)).await.map(|_| ())
    }

    /// Calls it; a Redis that does not know the script is given it.
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
