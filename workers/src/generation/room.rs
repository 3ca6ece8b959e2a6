use perch_jobs::{AccountId, Mention};
use perch_store::{Room, StoreError};

use crate::Services;

/// Takes a place for a mention in its conversation and its author's day. Redis knows which are taken; what it does not know,
/// Postgres tells it.
pub(crate) async fn take_room(services: &Services, account: &AccountId, mention: &Mention) -> Result<Room, StoreError> {
    let settings = &services.settings.mentions;
    let take = || {
        let (of_conversation, of_user) = (settings.replies_per_conversation, settings.replies_per_user_per_day);
        services.mentions.take_room(account, mention, of_conversation, of_user)
    };
    let room = take().await?;
    if room != Room::Unknown {
        return Ok(room);
    }
    let known = services.store.mentions();
    let in_conversation = known.taken_in_conversation(account, &mention.conversation_id).await?;
    let of_author = known.taken_of_author(account, &mention.author_id, mention.created_at.date_naive()).await?;
    services.mentions.tell_room(account, mention, &in_conversation, &of_author).await?;
    take().await
}
