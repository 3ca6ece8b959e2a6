//! The Lua scripts, each called by one typed function elsewhere in this crate.

use std::sync::LazyLock;

use redis::Script;

macro_rules! scripts {
    ($($name:ident = $file:literal),* $(,)?) => {
        $(pub(crate) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!(include_str!("scripts/lib.lua"), include_str!(concat!("scripts/", $file)))));)*
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
