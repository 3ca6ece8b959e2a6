use std::time::Duration;

use perch_base::settings::RedisSettings;
use perch_queue::Redis;
use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use secrecy::SecretString;

/// A separate Redis database on the server of the tests.
///
/// The server has 1,024 databases; a counter in database 0 assigns the others in turn.
#[derive(Debug)]
pub struct TestRedis {
    url: String,
}

impl TestRedis {
    /// Claims an empty database.
    ///
    /// # Panics
    /// When `PERCH_TEST_REDIS_URL` is missing or the server does not answer.
    pub async fn claim() -> Self {
        let server = std::env::var("PERCH_TEST_REDIS_URL")
            .expect("PERCH_TEST_REDIS_URL is not set; run the tests through ./ops/test, which starts the servers");
        let server = server.trim_end_matches('/').to_owned();
        let mut conn = Self::at(&server).raw().await;
        let turn: u64 = redis::cmd("INCR").arg("perch-tests").query_async(&mut conn).await.expect("INCR works");
        let claimed = Self::at(&format!("{server}/{}", turn % 1_023 + 1));
        claimed.wipe().await;
        claimed
    }

    /// The database at `url`, as it is.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned() }
    }

    /// Its URL, with the database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its URL as in the configuration.
    pub fn secret_url(&self) -> SecretString {
        SecretString::from(self.url.clone())
    }

    /// Empties it, like a Redis that lost its data.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn wipe(&self) {
        let wiped = redis::cmd("FLUSHDB").query_async::<()>(&mut self.raw().await).await;
        wiped.expect("the Redis of the tests answers");
    }

    /// A client of it.
    pub fn door(&self) -> Redis {
        Redis::new(&self.secret_url(), &redis_settings()).expect("a Redis URL")
    }

    /// A plain connection, for commands without the engine.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn raw(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url.as_str()).expect("a Redis URL");
        // The timeouts of the library, a second and half a second, are too short while many tests run.
        let patience = Some(Duration::from_secs(30));
        let config = AsyncConnectionConfig::new().set_connection_timeout(patience).set_response_timeout(patience);
        let connected = client.get_multiplexed_async_connection_with_config(&config).await;
        connected.expect("the Redis of the tests answers")
    }
}

/// Settings with short timeouts.
pub fn redis_settings() -> RedisSettings {
    RedisSettings { pool_size: 4, connect_timeout: Duration::from_secs(5), command_timeout: Duration::from_secs(5) }
}
