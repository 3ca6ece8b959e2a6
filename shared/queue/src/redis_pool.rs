//! Connections to Redis: a single server or a cluster, pooled by deadpool.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use deadpool_redis::{Runtime, cluster as deadpool_cluster};
use perch_base::settings::RedisSettings;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, cluster::ClusterClient};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    Connection, QueueError,
    redis_clock::RedisClock,
    shared_connection::{ConnectionOrWait, NumberedConnection, SharedConnection},
};

#[expect(clippy::large_enum_variant, reason = "there are few pools")]
enum Pool {
    Single { pool: deadpool_redis::Pool, client: redis::Client },
    Cluster { pool: deadpool_cluster::Pool, client: ClusterClient },
}

struct Inner {
    url: SecretString,
    pool: Pool,
    settings: RedisSettings,
    shared: SharedConnection,
    clock: RedisClock,
}

/// Connections to one Redis. Cheap to clone. It connects on first use and again after every failure.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0.pool {
            Pool::Single { .. } => "Redis(single)",
            Pool::Cluster { .. } => "Redis(cluster)",
        })
    }
}

impl Redis {
    /// Connections to `url`: one URL for a single server, several separated by commas for a cluster. `rediss://` uses TLS. It
    /// does not connect yet.
    ///
    /// # Errors
    ///
    /// The URL is not a Redis URL.
    pub fn new(url: &SecretString, settings: &RedisSettings) -> Result<Self, QueueError> {
        let bad = |e: &dyn std::fmt::Display| QueueError::Configuration(e.to_string());
        let nodes: Vec<&str> = url.expose_secret().split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
        let pool = match nodes.as_slice() {
            [] => return Err(QueueError::Configuration("it is empty".into())),
            [node] => {
                let manager =
                    deadpool_redis::Manager::new_with_config(*node, timeouts(settings)).map_err(|e| bad(&e))?;
                let pool = deadpool_redis::Pool::builder(manager)
                    .max_size(settings.pool_size)
                    .wait_timeout(Some(settings.command_timeout))
                    .create_timeout(Some(settings.connect_timeout))
                    .recycle_timeout(Some(settings.command_timeout))
                    .runtime(Runtime::Tokio1)
                    .build()
                    .map_err(|e| bad(&e))?;
                Pool::Single { pool, client: redis::Client::open(*node).map_err(|e| bad(&e))? }
            }
            nodes => {
                let owned: Vec<String> = nodes.iter().map(|&n| n.to_owned()).collect();
                let manager = deadpool_cluster::Manager::new(owned.clone(), false).map_err(|e| bad(&e))?;
                let pool = deadpool_cluster::Pool::builder(manager)
                    .max_size(settings.pool_size)
                    .wait_timeout(Some(settings.command_timeout))
                    .create_timeout(Some(settings.connect_timeout))
                    .recycle_timeout(Some(settings.command_timeout))
                    .runtime(Runtime::Tokio1)
                    .build()
                    .map_err(|e| bad(&e))?;
                let client = ClusterClient::builder(owned)
                    .connection_timeout(settings.connect_timeout)
                    .overall_response_timeout(None)
                    .response_timeout(LONGEST_BLOCK)
                    .build()
                    .map_err(|e| bad(&e))?;
                Pool::Cluster { pool, client }
            }
        };
        Ok(Self(Arc::new(Inner {
            url: url.clone(),
            pool,
            settings: settings.clone(),
            shared: SharedConnection::default(),
            clock: RedisClock::default(),
        })))
    }

    /// Connections to the same Redis that share nothing with these, for use on another runtime: a connection belongs to the
    /// runtime that opened it.
    #[must_use]
    pub fn separate(&self) -> Self {
        Self::new(&self.0.url, &self.0.settings).expect("a URL that was accepted once is accepted again")
    }

    /// True for a cluster.
    pub fn is_cluster(&self) -> bool {
        matches!(self.0.pool, Pool::Cluster { .. })
    }

    /// An unshared connection for blocking reads, which waits for replies without a timeout.
    pub(crate) async fn dedicated(&self) -> Result<Connection, QueueError> {
        let doing = "connect";
        let opened = async {
            match &self.0.pool {
                Pool::Single { client, .. } => {
                    let config = AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(self.0.settings.connect_timeout))
                        .set_response_timeout(None);
                    client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Single)
                }
                Pool::Cluster { client, .. } => client.get_async_connection().await.map(Connection::Cluster),
            }
        };
        self.limited(doing, self.0.settings.connect_timeout, pin!(opened)).await
    }

    /// Runs one short command or script. If `run` fails because its connection is lost, the next call opens a new one. It never
    /// retries, because only the caller knows whether that is safe.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, does not reply in time, or refuses the command. In the first two cases the command may have run all
    /// the same.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the command may or may not run. The connection stays in use.
    pub async fn call<T, F, Fut>(&self, doing: &'static str, run: F) -> Result<T, QueueError>
    where
        F: FnOnce(Connection) -> Fut,
        Fut: Future<Output = redis::RedisResult<T>>,
    {
        let NumberedConnection { conn, number } = self.shared(doing).await?;
        if self.0.clock.is_due() {
            // In parallel with the call, to keep the order of calls.
            tokio::spawn(self.clone().read_clock(conn.clone()));
        }
        let result = self.limited(doing, self.0.settings.command_timeout, pin!(run(conn))).await;
        if let Err(error) = &result {
            metrics::counter!("perch_redis_errors_total", "doing" => doing).increment(1);
            if error.is_unavailable() && self.0.shared.failed(number, error) {
                self.forget_pooled();
            }
        }
        result
    }

    /// The current time by the clock of Redis, which is the same for all processes. Until Redis is reached for the first time,
    /// that of this machine.
    ///
    /// The clock is read with each new connection and once a minute; in between, the monotonic clock of this machine is added.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// Errors are ignored; the calls that run in parallel report them.
    async fn read_clock(self, conn: Connection) {
        let _ = self.ask_the_time(conn).await;
        self.0.clock.was_read();
    }

    async fn ask_the_time(&self, mut conn: Connection) -> Result<(), QueueError> {
        let asked = Instant::now();
        let read = async { redis::cmd("TIME").query_async::<(i64, i64)>(&mut conn).await };
        let (seconds, micros) = self.limited("read the clock", self.0.settings.command_timeout, pin!(read)).await?;
        let halfway = asked + asked.elapsed() / 2;
        self.0.clock.set(halfway, seconds.saturating_mul(1_000).saturating_add(micros / 1_000));
        Ok(())
    }

    /// Runs one short command on a connection of [`dedicated`](Self::dedicated). Unlike [`call`](Self::call) it takes no lock, so
    /// its future may stay unpolled for a while.
    pub(crate) async fn soon<T>(
        &self,
        doing: &'static str,
        run: impl Future<Output = redis::RedisResult<T>>,
    ) -> Result<T, QueueError> {
        self.limited(doing, self.0.settings.command_timeout, pin!(run)).await
    }

    /// Runs one command and reads its reply.
    ///
    /// # Errors
    ///
    /// As [`Redis::call`].
    ///
    /// # Cancel safety
    ///
    /// As [`Redis::call`].
    pub async fn cmd<T: FromRedisValue + Send>(&self, doing: &'static str, cmd: &Cmd) -> Result<T, QueueError> {
        self.call(doing, |mut conn| async move { cmd.query_async(&mut conn).await }).await
    }

    /// Opens the shared connection if there is none. Calls that start one after the other without waiting reach Redis in that
    /// order only if it is open.
    pub(crate) async fn connected(&self, doing: &'static str) -> Result<(), QueueError> {
        self.shared(doing).await.map(|_| ())
    }

    /// Pings Redis.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn ping(&self) -> Result<(), QueueError> {
        self.cmd::<String>("ping", &redis::cmd("PING")).await.map(|_| ())
    }

    /// Drops idle connections: after a failover they may lead to a server that replies but refuses writes.
    fn forget_pooled(&self) {
        match &self.0.pool {
            Pool::Single { pool, .. } => drop(pool.retain(|_, _| false)),
            Pool::Cluster { pool, .. } => drop(pool.retain(|_, _| false)),
        }
    }

    /// The connection that short commands share. All callers wait for the same attempt to connect, but no longer than
    /// [`WHILE_AWAY`] while Redis is unavailable.
    async fn shared(&self, doing: &'static str) -> Result<NumberedConnection, QueueError> {
        match self.0.shared.ask() {
            ConnectionOrWait::Connection(conn) => Ok(conn),
            ConnectionOrWait::Wait { answer, connects, is_away } => {
                if connects {
                    // In its own task, so that a caller that is dropped does not end the attempt for the others.
                    tokio::spawn(self.clone().connect());
                }
                let patience = if is_away { WHILE_AWAY } else { self.longest_connect() };
                Box::pin(self.0.shared.answer(answer, doing, patience)).await
            }
        }
    }

    fn longest_connect(&self) -> Duration {
        self.0.settings.connect_timeout + self.0.settings.command_timeout
    }

    /// Opens the connection that short commands share.
    async fn connect(self) {
        let mut attempt = ConnectAttempt { pool: self.clone(), opened: None };
        attempt.opened = Some(self.open().await);
    }

    /// Opens a connection, and fails if it does not answer: a server that hangs still accepts connections.
    async fn open(&self) -> Result<Connection, QueueError> {
        let conn = self.pooled().await?;
        let answered = self.ask_the_time(conn.clone()).await;
        if answered.is_err() {
            self.forget_pooled();
        }
        answered.map(|()| conn)
    }

    async fn pooled(&self) -> Result<Connection, QueueError> {
        let doing = "connect";
        match &self.0.pool {
            Pool::Single { pool, .. } => match pool.get().await {
                Ok(conn) => Ok(Connection::Single((*conn).clone())),
                Err(error) => Err(self.pool_error(doing, error)),
            },
            Pool::Cluster { pool, .. } => match pool.get().await {
                Ok(conn) => Ok(Connection::Cluster((*conn).clone())),
                Err(error) => Err(self.pool_error(doing, error)),
            },
        }
    }

    fn pool_error(&self, doing: &'static str, error: deadpool_redis::PoolError) -> QueueError {
        metrics::counter!("perch_redis_errors_total", "doing" => doing).increment(1);
        match error {
            deadpool_redis::PoolError::Backend(source) => QueueError::from_redis(doing, source),
            _ => QueueError::Timeout { doing, after: self.0.settings.connect_timeout },
        }
    }

    async fn limited<T>(
        &self,
        doing: &'static str,
        after: Duration,
        run: Pin<&mut impl Future<Output = redis::RedisResult<T>>>,
    ) -> Result<T, QueueError> {
        match tokio::time::timeout(after, run).await {
            Ok(result) => result.map_err(|e| QueueError::from_redis(doing, e)),
            Err(_) => Err(QueueError::Timeout { doing, after }),
        }
    }
}

/// An attempt to connect. Its waiters get a result even if its runtime ends first.
struct ConnectAttempt {
    pool: Redis,
    opened: Option<Result<Connection, QueueError>>,
}

impl Drop for ConnectAttempt {
    fn drop(&mut self) {
        let settings = &self.pool.0.settings;
        let given_up = || Err(QueueError::Timeout { doing: "connect", after: settings.connect_timeout });
        self.pool.0.shared.connected(self.opened.take().unwrap_or_else(given_up));
    }
}

/// How long a caller waits for a connection while Redis is known to be unavailable.
const WHILE_AWAY: Duration = Duration::from_millis(200);

/// The longest blocking read; validation keeps `engine.idle_block` below it.
const LONGEST_BLOCK: Duration = Duration::from_secs(600);

fn timeouts(settings: &RedisSettings) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout))
        .set_response_timeout(Some(settings.command_timeout))
}
