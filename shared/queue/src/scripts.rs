//! The Lua scripts, each called by one typed function elsewhere in this crate.

use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, Script, ServerErrorKind, ToRedisArgs, aio::ConnectionLike};

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

/// A call of a script. Unlike the library's own, it writes its keys and arguments once, into the command itself.
#[derive(Debug)]
pub(crate) struct Call {
    script: &'static Script,
    cmd: Cmd,
}

impl Call {
    pub fn new(script: &'static Script, keys: &[String]) -> Self {
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(script.get_hash()).arg(keys.len()).arg(keys);
        Self { script, cmd }
    }

    pub fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        self.cmd.arg(argument);
        self
    }

    /// Calls it; a Redis that does not know the script is given it.
    pub async fn invoke<T: FromRedisValue>(&self, conn: &mut impl ConnectionLike) -> RedisResult<T> {
        match self.cmd.query_async(conn).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script.load_async(conn).await?;
                self.cmd.query_async(conn).await
            }
            answer => answer,
        }
    }
}
