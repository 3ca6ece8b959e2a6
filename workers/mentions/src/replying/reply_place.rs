use perch_jobs::{AccountId, Mention};
use perch_store::StoreError;

use crate::{
    Mentions,
    store::{MentionStore as _, ReplyPlace},
};

/// Takes a place for a mention in its conversation and its author's day. Places are counted in Redis and restored from Postgres where
/// Redis has lost them. When no place is left, mentions that ended without a reply give theirs back.
pub(crate) async fn take_place(
    bot: &Mentions,
    account: &AccountId,
    mention: &Mention,
) -> Result<ReplyPlace, StoreError> {
    let settings = &*bot.settings;
    let take = || {
        let (of_conversation, of_user) = (settings.replies_per_conversation, settings.replies_per_user_per_day);
        bot.control.take_place(account, mention, of_conversation, of_user)
    };
    let known = bot.store.mentions();
    let mut place = take().await?;
    if place == ReplyPlace::Unknown {
        let in_conversation = known.taken_in_conversation(account, &mention.conversation_id).await?;
        let of_author = known.taken_of_author(account, &mention.author_id, mention.created_at.date_naive()).await?;
        bot.control.restore_places(account, mention, &in_conversation, &of_author).await?;
        place = take().await?;
    }
    if matches!(place, ReplyPlace::ConversationFull | ReplyPlace::UserFull) {
        let taken = bot.control.place_holders(account, mention).await?;
        let unanswered = known.unanswered(account, &taken).await?;
        if !unanswered.is_empty() {
            bot.control.leave_places(account, mention, &unanswered).await?;
            place = take().await?;
        }
    }
    Ok(place)
}
