use std::sync::LazyLock;

use perch_jobs::PostId;
use perch_queue::Redis;
use redis::Script;

use crate::StoreError;

static SINCE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/since.lua")));

/// Moves the post id in a Redis key forward, never back. Returns the id that is stored now.
///
/// # Errors
///
/// Redis is unavailable, or the key holds a value of another type.
pub async fn move_forward(redis: &Redis, key: &str, id: &PostId) -> Result<PostId, StoreError> {
    let digits = id.as_str().trim_start_matches('0');
    let mut call = SINCE.prepare_invoke();
    call.key(key).arg(if digits.is_empty() { "0" } else { digits });
    let held: String =
        redis.call("set a since_id", |mut conn| async move { call.invoke_async(&mut conn).await }).await?;
    Ok(held.parse().unwrap_or_else(|_| id.clone()))
}
