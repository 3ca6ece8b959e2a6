use std::time::Duration;

use perch_base::Environment;
use perch_clients::{XClient, XError};
use perch_core::x_failed;
use perch_queue::{Fail, QueueError, Redis};

/// A cache in Redis of the ids of watched accounts by handle, since X charges for each lookup.
#[derive(Debug, Clone)]
pub(crate) struct UserIds {
    redis: Redis,
    prefix: &'static str,
}

/// Why the id of a handle is not known.
#[derive(Debug)]
pub(crate) enum UserIdError {
    /// X did not return it.
    X(XError),
    /// Redis failed.
    Redis(QueueError),
}

impl From<QueueError> for UserIdError {
    fn from(error: QueueError) -> Self {
        Self::Redis(error)
    }
}

impl From<UserIdError> for Fail {
    fn from(error: UserIdError) -> Self {
        match error {
            UserIdError::X(error) => x_failed(error),
            UserIdError::Redis(error) => error.into(),
        }
    }
}

impl UserIds {
    /// How long an id is cached. A handle may be taken over by another account, so it is looked up again after a week.
    pub(crate) const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);

    pub(crate) fn new(redis: Redis, env: Environment) -> Self {
        Self { redis, prefix: env.prefix() }
    }

    /// The id of the account with this handle, from Redis, otherwise from X.
    pub(crate) async fn get(&self, x: &XClient, username: &str) -> Result<String, UserIdError> {
        let key = self.key(username);
        let kept: Option<String> = self.redis.cmd("read the id of an account", redis::cmd("GET").arg(&key)).await?;
        if let Some(id) = kept {
            return Ok(id);
        }
        let id = x.user_by_username(username).await.map_err(UserIdError::X)?.id;
        let mut keep = redis::cmd("SET");
        keep.arg(&key).arg(&id).arg("EX").arg(Self::KEPT_FOR.as_secs());
        self.redis.cmd::<()>("keep the id of an account", &keep).await?;
        Ok(id)
    }

    /// Caches an id that is known from elsewhere for `time`, unless Redis has one.
    pub(crate) async fn restore(&self, username: &str, id: &str, time: Duration) -> Result<(), QueueError> {
        let mut keep = redis::cmd("SET");
        keep.arg(self.key(username)).arg(id).arg("NX").arg("EX").arg(time.as_secs().max(1));
        self.redis.cmd::<Option<String>>("restore the id of an account", &keep).await.map(|_| ())
    }

    /// Forgets the id of a handle, so that the next poll looks it up.
    pub(crate) async fn forget(&self, username: &str) -> Result<(), Fail> {
        self.redis.cmd::<i64>("forget the id of an account", redis::cmd("DEL").arg(self.key(username))).await?;
        Ok(())
    }

    fn key(&self, username: &str) -> String {
        format!("{}user_id:{}", self.prefix, username.to_lowercase())
    }
}
