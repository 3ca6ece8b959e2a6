use perch_base::Environment;
use perch_clients::XClient;
use perch_queue::{Fail, Redis};

use crate::outcome::x_failed;

/// The ids of watched accounts by their handles, kept in Redis: X charges for each look.
#[derive(Debug, Clone)]
pub(crate) struct UserIds {
    redis: Redis,
    prefix: &'static str,
}

/// A handle may pass to another account, so its id is looked up again after a week.
const KEPT_FOR_SECONDS: u64 = 7 * 86_400;

impl UserIds {
    pub(crate) fn new(redis: Redis, env: Environment) -> Self {
        Self { redis, prefix: env.prefix() }
    }

    /// The id of the account with this handle, from Redis or else from X.
    pub(crate) async fn get(&self, x: &XClient, username: &str) -> Result<String, Fail> {
        let key = self.key(username);
        let kept: Option<String> = self.redis.cmd("read the id of an account", redis::cmd("GET").arg(&key)).await?;
        if let Some(id) = kept {
            return Ok(id);
        }
        let id = x.user_by_username(username).await.map_err(x_failed)?.id;
        let mut keep = redis::cmd("SET");
        keep.arg(&key).arg(&id).arg("EX").arg(KEPT_FOR_SECONDS);
        self.redis.cmd::<()>("keep the id of an account", &keep).await?;
        Ok(id)
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
