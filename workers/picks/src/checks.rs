//! The checks of the bot for `perch doctor`.

use perch_base::chain;
use perch_bot::{Check, Platform};

use crate::watch_list::{WatchList, WatchedAccount};

const WATCHED: &str = "watched accounts";
/// How many handles a line names; the rest are only counted.
const MOST_NAMED: usize = 5;

/// Runs all checks.
pub async fn all(platform: &Platform) -> Vec<Check> {
    let list = match WatchList::new(&platform.settings) {
        Ok(list) => list,
        Err(error) => return vec![Check::fail(WATCHED, chain(&error))],
    };
    vec![match list.all(&platform.store).await {
        Ok(accounts) => judge_watched(&accounts),
        Err(error) => Check::warn(WATCHED, chain(&error)).mend("mend the connection first"),
    }]
}

fn judge_watched(accounts: &[WatchedAccount]) -> Check {
    let handles: Vec<&str> =
        accounts.iter().filter(|account| account.watched).map(|account| account.handle.as_str()).collect();
    let rest = handles.len().saturating_sub(MOST_NAMED);
    let named = handles.iter().take(MOST_NAMED).copied().collect::<Vec<_>>().join(", ");
    match (handles.len(), rest) {
        (0, _) => Check::info(WATCHED, "none, so the picks bot reads nothing")
            .mend("`perch accounts add HANDLE`, or name them in picks.watch"),
        (_, 0) => Check::ok(WATCHED, named),
        (_, rest) => Check::ok(WATCHED, format!("{named} and {rest} more")),
    }
}

#[cfg(test)]
mod tests {
    use perch_bot::Level;

    use super::*;

    #[test]
    fn who_watches_nobody_is_told_how_to_begin() {
        let none = judge_watched(&[]);
        assert!(none.level == Level::Info && none.mend.is_some_and(|mend| mend.contains("accounts add")));
    }
}
