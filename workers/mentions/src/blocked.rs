//! Users who are not answered.

use std::collections::BTreeSet;

use perch_base::{Page, Paging};
use perch_jobs::AccountId;
use perch_store::{Store, StoreError};

use crate::{BlockedUser, Mentions, MentionsSettings, store::MentionStore as _};

/// Users who are not answered: handles in lower case, and ids.
pub(crate) async fn blocked(bot: &Mentions, account: &AccountId) -> Result<BTreeSet<String>, StoreError> {
    let configured = bot.settings.blocked_users.iter().map(|user| user.to_lowercase());
    let by_operators = bot.store.mentions().blocked(account).await?.into_iter();
    Ok(configured.chain(by_operators.flat_map(|user| [Some(user.who), user.author_id]).flatten()).collect())
}

/// Users who are not answered, page by page: those of the configuration, then those that operators blocked, the latest first.
pub(crate) async fn list(
    settings: &MentionsSettings,
    store: &Store,
    account: &AccountId,
    paging: &Paging,
) -> Result<Page<BlockedUser>, StoreError> {
    let configured = settings.blocked_users.iter().map(|user| BlockedUser {
        who: user.clone(),
        author_id: None,
        reason: None,
        blocked_by: "configuration".to_owned(),
        blocked_at: None,
    });
    let mut all: Vec<BlockedUser> = configured.chain(store.mentions().blocked(account).await?).collect();
    let place = |user: &BlockedUser| (user.blocked_at.map(|at| -at.timestamp_micros()), user.who.clone());
    all.sort_by_key(place);
    all.dedup_by_key(|user| place(user));
    Ok(Page::of_all("blocked", all, paging, place)?)
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
