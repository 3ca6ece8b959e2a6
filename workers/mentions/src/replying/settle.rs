use perch_jobs::AccountId;
use perch_store::{Store, StoreError};

use crate::store::MentionStore as _;

/// Settles the mentions of an account, and counts the changes in the metrics. All code settles through this function, because only here
/// the changes are counted.
pub async fn settle(store: &Store, account: &AccountId) -> Result<(), StoreError> {
    let settled = store.mentions().settle(account).await?;
    let label = || account.to_string();
    for seconds in &settled.answered {
        metrics::histogram!("perch_reply_seconds", "account" => label()).record(*seconds);
    }
    let answered = settled.answered.len() as u64;
    for (state, n) in [("answered", answered), ("failed", settled.failed), ("expired", settled.expired)] {
        metrics::counter!("perch_mentions_settled_total", "account" => label(), "state" => state).increment(n);
    }
    Ok(())
}
