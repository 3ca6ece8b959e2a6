use perch_jobs::{AccountId, Mention};
use perch_store::StoreError;

use crate::Mentions;
use crate::store::{MentionStore as _, Room};

/// Takes a place for a mention in its conversation and its author's day. Redis knows which are taken; what it does not know,
/// Postgres tells it. Mentions that ended without a reply, however that came about, give back their places once there is no
/// other.
pub(crate) async fn take_room(bot: &Mentions, account: &AccountId, mention: &Mention) -> Result<Room, StoreError> {
    let settings = &*bot.settings;
    let take = || {
        let (of_conversation, of_user) = (settings.replies_per_conversation, settings.replies_per_user_per_day);
        bot.control.take_room(account, mention, of_conversation, of_user)
    };
    let known = bot.store.mentions();
    let mut room = take().await?;
    if room == Room::Unknown {
        let in_conversation = known.taken_in_conversation(account, &mention.conversation_id).await?;
        let of_author = known.taken_of_author(account, &mention.author_id, mention.created_at.date_naive()).await?;
        bot.control.tell_room(account, mention, &in_conversation, &of_author).await?;
        room = take().await?;
    }
    if matches!(room, Room::ConversationFull | Room::UserFull) {
        let taken = bot.control.in_room(account, mention).await?;
        let unanswered = known.unanswered(account, &taken).await?;
        if !unanswered.is_empty() {
            bot.control.leave_room(account, mention, &unanswered).await?;
            room = take().await?;
        }
    }
    Ok(room)
}
