//! The Lua scripts, each called by one typed function elsewhere in this crate.

use std::sync::LazyLock;

use redis::Script;

/// The line of a script that the shared transitions take the place of.
const LIB: &str = "\n-- lib.lua\n";

/// A script with what it shares with others: the names at its beginning, the transitions where it asks for them.
fn assemble(script: &str) -> Script {
    let (head, lib) = (include_str!("scripts/head.lua"), include_str!("scripts/lib.lua"));
    let code = match script.split_once(LIB) {
        Some((quick, rest)) => [head, quick, lib, rest].concat(),
        None => [head, lib, script].concat(),
    };
    Script::new(&code)
}

macro_rules! scripts {
    ($($name:ident = $file:literal),* $(,)?) => {
        $(pub(crate) static $name: LazyLock<Script> =
            LazyLock::new(|| assemble(include_str!(concat!("scripts/", $file))));)*
    };
}

scripts! {
    ENQUEUE = "enqueue.lua",
    FETCH = "fetch.lua",
    FINISH = "finish.lua",
    HEARTBEAT = "heartbeat.lua",
    CANCEL = "cancel.lua",
    RUN_NOW = "run_now.lua",
    REPLAY = "replay.lua",
    DISCARD = "discard.lua",
    PRUNE = "prune.lua",
    PURGE = "purge.lua",
    CRON = "cron.lua",
    PAUSE = "pause.lua",
    GOODBYE = "goodbye.lua",
    RECLAIM = "reclaim.lua",
    RESTORE = "restore.lua",
    DROP = "drop.lua",
    RUN_ID = "run_id.lua",
}
