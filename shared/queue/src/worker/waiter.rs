//! The blocking read of an idle worker.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use perch_base::crash_point;
use redis::{ErrorKind, ServerErrorKind};

use crate::{Connection, Queue, QueueError, fetch::Batch, scripts::ScriptCall};

type PendingRead = BoxFuture<'static, Result<(Connection, Option<Batch>), QueueError>>;

/// The blocking read of an idle worker, with the next fetch sent along. Redis runs both as soon as there is a token, so a lone
/// job costs no second round trip. The read stays pending while the worker fetches for another reason, so that none is wasted.
pub(super) struct Waiter {
    queue: Queue,
    pending: Option<PendingRead>,
    idle: Option<Connection>,
}

impl Waiter {
    pub fn new(queue: Queue) -> Self {
        Self { queue, pending: None, idle: None }
    }

    /// Waits until a token comes or the read times out in Redis. Returns the result of the fetch, or `None` if a new fetch is
    /// needed. After an error the result of the fetch may be lost.
    pub async fn woken(&mut self, fetch: impl FnOnce() -> ScriptCall) -> Result<Option<Batch>, QueueError> {
        if self.pending.is_none() {
            let fetch = may_go_along(&self.queue).then(fetch);
            self.pending = Some(read(self.queue.clone(), self.idle.take(), fetch).boxed());
        }
        self.woken_if_pending().await
    }

    /// Whether a read was started whose result was not taken yet.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Like [`woken`](Self::woken), for a read that was started before; without one it never returns.
    pub async fn woken_if_pending(&mut self) -> Result<Option<Batch>, QueueError> {
        let Some(read) = &mut self.pending else { return std::future::pending().await };
        let result = read.await;
        self.pending = None;
        let (conn, batch) = result?;
        self.idle = Some(conn);
        Ok(batch)
    }

    /// Drops the connection, and the read with it.
    pub fn forget(&mut self) {
        self.pending = None;
        self.idle = None;
    }
}

/// Whether a fetch may be sent before there is a token. Not on a cluster, whose connection does not keep the order of commands;
/// not with a manual clock, whose time is part of the call; and not with rates, because a released job has used up a start.
fn may_go_along(queue: &Queue) -> bool {
    let settings = queue.settings();
    let rates = settings.rate.is_some() || settings.group_rate.is_some();
    !queue.redis().is_cluster() && queue.clock().is_system() && !rates
}

async fn read(
    queue: Queue,
    conn: Option<Connection>,
    fetch: Option<ScriptCall>,
) -> Result<(Connection, Option<Batch>), QueueError> {
    let mut conn = if let Some(conn) = conn {
        conn
    } else {
        let mut conn = queue.redis().dedicated().await?;
        if let Some(fetch) = &fetch {
            load(&queue, fetch, &mut conn).await?;
        }
        conn
    };
    let doing = "wait for work";
    let longest = queue.engine().idle_block;
    let mut cmd = redis::cmd("BLPOP");
    cmd.arg(queue.keys().wake()).arg(longest.as_secs_f64());
    let mut behind = conn.clone();
    let both = async {
        // Sent in this order on one connection. While the read blocks, Redis does not run the commands after it.
        let token = cmd.query_async::<Option<(String, String)>>(&mut conn);
        let found = async {
            match &fetch {
                Some(fetch) => fetch.cmd().query_async::<Batch>(&mut behind).await.map(Some),
                None => Ok(None),
            }
        };
        tokio::join!(biased; token, found)
    };
    // On a connection that died unnoticed it would block forever.
    let (token, found) = tokio::time::timeout(longest + Duration::from_secs(5), both)
        .await
        .map_err(|_| QueueError::Timeout { doing, after: longest })?;
    token.map_err(|e| QueueError::from_redis(doing, e))?;
    crash_point!("fetch.after");
    match (found, fetch) {
        (Err(error), Some(fetch)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            // The next use of the connection reports its error.
            let _ = load(&queue, &fetch, &mut conn).await;
            Ok((conn, None))
        }
        (found, _) => Ok((conn, found.map_err(|e| QueueError::from_redis(doing, e))?)),
    }
}

/// A call that is sent ahead cannot load its script when it runs.
async fn load(queue: &Queue, fetch: &ScriptCall, conn: &mut Connection) -> Result<(), QueueError> {
    queue.redis().soon("load a script", fetch.load(conn)).await
}
