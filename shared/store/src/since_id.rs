use std::sync::LazyLock;

use perch_jobs::PostId;
use perch_queue::Redis;
use redis::Script;

use crate::StoreError;

static SINCE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/since.lua")));

/// Moves the id of a post that a key of Redis holds forward, never back. Answers the one that holds now.
///
/// # Errors
///
/// Redis is away, or the key holds something else than an id.
pub async fn move_forward(redis: &Redis, key: &str, id: &PostId) -> Result<PostId, StoreError> {
    let digits = id.as_str().trim_start_matches('0');
    let mut call = SINCE.prepare_invoke();
    call.key(key).arg(if digits.is_empty() { "0" } else { digits });
    let held: String =
        redis.call("set a since_id", |mut conn| async move { call.invoke_async(&mut conn).await }).await?;
    Ok(held.parse().unwrap_or_else(|_| id.clone()))
}
