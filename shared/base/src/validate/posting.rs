use std::time::Duration;

use super::DAY;
use crate::{
    check::Check,
    settings::{FileSettings, PostingSettings},
};

/// The limits of X are lower: 100 posts of an account in 15 minutes.
const MOST_A_DAY: u32 = 10_000;
const NAMES: [&str; 4] = ["per_day", "replies_per_day", "retweets_per_day", "per_three_hours"];

pub(super) fn posting(check: &mut Check, settings: &FileSettings) {
    let PostingSettings { min_interval, per_day, replies_per_day, retweets_per_day, per_three_hours, .. } =
        settings.posting;
    let counts = [Some(per_day), Some(replies_per_day), Some(retweets_per_day), Some(per_three_hours)];
    limits(check, "posting", Some(min_interval), counts);
    check.duration("posting.without_redis_after", settings.posting.without_redis_after, Duration::ZERO..=DAY);
    for (account, own) in &settings.x.accounts {
        let key = format!("x.accounts.{account}.posting");
        let own = &own.posting;
        let counts = [own.per_day, own.replies_per_day, own.retweets_per_day, own.per_three_hours];
        limits(check, &key, own.min_interval, counts);
    }
}

fn limits(check: &mut Check, key: &str, min_interval: Option<Duration>, counts: [Option<u32>; 4]) {
    if let Some(interval) = min_interval {
        check.duration(format!("{key}.min_interval"), interval, Duration::ZERO..=DAY);
    }
    for (name, count) in NAMES.into_iter().zip(counts) {
        if let Some(count) = count {
            check.range(format!("{key}.{name}"), count, 0..=MOST_A_DAY);
        }
    }
}
