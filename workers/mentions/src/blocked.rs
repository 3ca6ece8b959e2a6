//! Users who are not answered.

use std::collections::BTreeSet;

use perch_jobs::AccountId;
use perch_store::StoreError;

use crate::Mentions;
use crate::store::MentionStore as _;

/// Users who are not answered: handles in lower case, and ids.
pub(crate) async fn blocked(bot: &Mentions, account: &AccountId) -> Result<BTreeSet<String>, StoreError> {
    let configured = bot.settings.blocked_users.iter().map(|user| user.to_lowercase());
    let by_operators = bot.store.mentions().blocked(account).await?.into_iter();
    Ok(configured.chain(by_operators.flat_map(|user| [Some(user.who), user.author_id]).flatten()).collect())
}

/// Whether a user is not answered.
pub(crate) async fn is_blocked(
    bot: &Mentions,
    account: &AccountId,
    id: &str,
    handle: Option<&str>,
) -> Result<bool, StoreError> {
    Ok(is_among(&blocked(bot, account).await?, id, handle))
}

/// Whether a user is among these handles and ids.
pub(crate) fn is_among(users: &BTreeSet<String>, id: &str, handle: Option<&str>) -> bool {
    users.contains(id) || handle.is_some_and(|handle| users.contains(&handle.to_lowercase()))
}
